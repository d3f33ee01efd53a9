"""Where the shop's database is: options first, then the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_jobs.generator.errors import ParametersError

if TYPE_CHECKING:
    from collections.abc import Mapping

URI = "WAREHOUSE_MONGO_URI"
DATABASE = "WAREHOUSE_MONGO_DATABASE"
DEFAULT_DATABASE = "origin"


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """The address holds a password and has no place in a repr."""

    uri: str = field(repr=False)
    database: str


def read_settings(environ: Mapping[str, str], uri: str | None = None, database: str | None = None) -> MongoSettings:
    """Take ``uri`` and ``database`` where given, else ``WAREHOUSE_MONGO_URI`` (or ``_FILE``) and ``_DATABASE``."""
    return MongoSettings(uri or _uri(environ), database or environ.get(DATABASE) or DEFAULT_DATABASE)


def _uri(environ: Mapping[str, str]) -> str:
    value, file = environ.get(URI), environ.get(f"{URI}_FILE")
    if value and file:
        raise ParametersError(f"both {URI} and {URI}_FILE are set", hint="Unset one of them.")
    if value:
        return value
    if not file:
        raise ParametersError(
            "no MongoDB address is given",
            hint=f"Give --uri, or set {URI} to mongodb://USER:PASSWORD@HOST:PORT/?authSource=admin.",
        )
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ParametersError(
            f"{URI}_FILE cannot be read: {type(error).__name__}", hint=f"See that {file} exists and is readable."
        ) from None
    if not content:
        raise ParametersError(f"{URI}_FILE is empty", hint=f"Write the address into {file}.")
    return content
