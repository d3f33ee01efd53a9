"""The environment of the marts, read once into values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from replicator_service.core.mapping.problems import closest
from warehouse_jobs.marts.address import Address
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY
from warehouse_jobs.marts.errors import SettingsError
from warehouse_jobs.marts.server import DEFAULT_TIMEZONE, DEFAULT_WORK_MEM
from warehouse_jobs.marts.source import DEFAULT_MAX_LAG

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "MART_"
_DSN = "WAREHOUSE_POSTGRES_DSN"
_KNOWN = ("MART_TIMEZONE", "MART_WORK_MEM", "MART_DIRECTORY", "MART_MAX_LAG", "MART_LATE_AFTER_MINUTES")
"""The last is read by the DAG ``pg_datamart_loader``."""

_DURATION = re.compile(r"(\d{1,9})\s*([smhd]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class MartSettings:
    """Where the warehouse is and how marts are computed. ``max_lag`` None is no limit."""

    dsn: Address
    timezone: str
    work_mem: str
    directory: Path
    max_lag: timedelta | None = DEFAULT_MAX_LAG


def read_settings(environ: Mapping[str, str], address: Address | None = None) -> MartSettings:
    """Read ``WAREHOUSE_POSTGRES_DSN`` (or ``_FILE``) unless an address is given, and ``MART_...``.

    Raises SettingsError naming the variable that is wrong.
    """
    return MartSettings(
        dsn=address or Address(_dsn(environ), _DSN),
        timezone=environ.get("MART_TIMEZONE") or DEFAULT_TIMEZONE,
        work_mem=environ.get("MART_WORK_MEM") or DEFAULT_WORK_MEM,
        directory=Path(environ.get("MART_DIRECTORY") or DEFAULT_DIRECTORY),
        max_lag=duration(environ["MART_MAX_LAG"], "MART_MAX_LAG") if environ.get("MART_MAX_LAG") else DEFAULT_MAX_LAG,
    )


def unknown_variables(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Variables that look like settings of the marts and are none, each with the one that was probably meant."""
    names = sorted(name for name in environ if name.startswith(_PREFIX) and name not in _KNOWN)
    return {name: closest(name, _KNOWN) for name in names}


def duration(text: str, name: str) -> timedelta | None:
    """Read a duration as settings and forms have it; ``off`` is None. Raises SettingsError naming what is wrong."""
    text = text.strip().lower()
    if text == "off":
        return None
    if found := _DURATION.fullmatch(text):
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    raise SettingsError(f"{name} is no duration", hint="Write it as 90s, 15m, 2h or 1d, or off for no limit.")


def _dsn(environ: Mapping[str, str]) -> str:
    value, file = environ.get(_DSN), environ.get(f"{_DSN}_FILE")
    if value and file:
        raise SettingsError(f"both {_DSN} and {_DSN}_FILE are set", hint="Unset one of them.")
    if value:
        return value
    if not file:
        raise SettingsError(
            f"{_DSN} is not set",
            hint=f"Set it to postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or {_DSN}_FILE to its file.",
        )
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{_DSN}_FILE cannot be read: {type(error).__name__}",
            hint=f"See that {file} exists and is readable.",
        ) from None
    if not content:
        raise SettingsError(f"{_DSN}_FILE is empty", hint=f"Write the connection string into {file}.")
    return content
