"""The environment of the marts, read once into values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY
from warehouse_jobs.marts.errors import SettingsError
from warehouse_jobs.marts.server import DEFAULT_TIMEZONE, DEFAULT_WORK_MEM

if TYPE_CHECKING:
    from collections.abc import Mapping

_DSN = "WAREHOUSE_POSTGRES_DSN"


@dataclass(frozen=True, slots=True)
class MartSettings:
    """Where the warehouse is and how marts are computed; the DSN is a secret and has no place in a repr."""

    dsn: str = field(repr=False)
    timezone: str
    work_mem: str
    directory: Path


def read_settings(environ: Mapping[str, str]) -> MartSettings:
    """Read ``WAREHOUSE_POSTGRES_DSN`` (or ``_FILE``), ``MART_TIMEZONE``, ``_WORK_MEM``, ``_DIRECTORY``."""
    return MartSettings(
        dsn=_dsn(environ),
        timezone=environ.get("MART_TIMEZONE") or DEFAULT_TIMEZONE,
        work_mem=environ.get("MART_WORK_MEM") or DEFAULT_WORK_MEM,
        directory=Path(environ.get("MART_DIRECTORY") or DEFAULT_DIRECTORY),
    )


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
