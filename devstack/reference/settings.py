"""The page of settings: the service's from their fields, the others by the names that their programs read."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from devstack.reference.markdown import code, filled, table
from replicator_service.configuration.environment import PREFIX
from replicator_service.configuration.settings import Settings
from warehouse_jobs.generator.server import DATABASE, DEFAULT_DATABASE, URI
from warehouse_jobs.marts.server import DEFAULT_TIMEZONE, DEFAULT_WORK_MEM

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}

_JOBS = (
    (URI, "-", "Address of MongoDB for `warehouse generate`; or `..._FILE`."),
    (DATABASE, DEFAULT_DATABASE, "The database that it writes to."),
    ("WAREHOUSE_POSTGRES_DSN", "-", "Address of PostgreSQL for `warehouse marts`; or `..._FILE`."),
    ("MART_TIMEZONE", DEFAULT_TIMEZONE, "Where days begin: the name of a time zone, not an offset."),
    ("MART_WORK_MEM", DEFAULT_WORK_MEM, "`work_mem` of a load."),
    ("MART_MAX_LAG", "1h", "How old the replicated tables may be for a load: `90s`, `15m`, `2h`, `1d`, or `off`."),
    ("MART_DIRECTORY", "sql/marts", "Where the definitions of the marts are."),
    ("MART_LATE_AFTER_MINUTES", "60", "In Airflow: after this long a load counts as late."),
)

_DEVSTACK = (
    ("MONGOD", "a mongod on the PATH, else a wheel's", "The program to run."),
    ("PG_BINDIR", "the PATH, Debian's place, else a wheel's", "Directories of PostgreSQL's programs, like PATH."),
    ("DEVSTACK_CACHE", "a cache of this user", "Where unpacked wheels are kept."),
)


def page() -> str:
    """The whole page."""
    columns = ("variable", "default", "meaning")
    return filled(
        "settings",
        {
            "service": table(columns, [_row(*each) for each in Settings.model_fields.items()]),
            "jobs": table(columns, [_other(*each) for each in _JOBS]),
            "devstack": table(columns, [(code(name), was, told) for name, was, told in _DEVSTACK]),
        },
    )


def _row(name: str, field: FieldInfo) -> tuple[str, str, str]:
    meaning = f"{field.description or ''} {_bounds(field)}".strip()
    return code(PREFIX + name.upper()), _default(field), meaning


def _other(name: str, default: str, meaning: str) -> tuple[str, str, str]:
    return code(name), default if default == "-" else code(default), meaning


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is PydanticUndefined:
        return "required, secret" if field.annotation is SecretStr else "required"
    if value is None:
        return "-"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return code(value.value if isinstance(value, Enum) else value)


def _bounds(field: FieldInfo) -> str:
    found = [
        f"{words} {getattr(each, name)}"
        for each in field.metadata
        for name, words in _BOUNDS.items()
        if getattr(each, name, None) is not None
    ]
    return f"({', '.join(found)})" if found else ""
