"""Settings: environment variables with the prefix ``REPLICATOR_``, secrets also as files (``REPLICATOR_..._FILE``).

Read once, when a command begins, and passed on as values. A wrong setting is one clear line, never a stack trace.
"""

from __future__ import annotations

import os
from dataclasses import replace
from enum import Enum, StrEnum
from pathlib import Path  # noqa: TC003 - read when the model is made
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticUndefined

from replicator_service.configuration.environment import (
    DEFAULT_HTTP_HOST,
    DEFAULT_HTTP_PORT,
    MISSING,
    PREFIX,
    RawSettings,
    raw_settings,
)
from replicator_service.core.addresses import database_in
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.problems import closest
from replicator_service.core.read_from import ReadFrom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails


class OnHistoryLost(StrEnum):
    """What to do when the position is no longer in MongoDB's history."""

    RESYNC = "resync"
    STOP = "stop"


class Compiled(StrEnum):
    """Whether the compiled path is used; ``auto`` where it is there and of this version."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class LogFormat(StrEnum):
    """How log lines look; ``auto`` is console on a terminal and JSON elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least urgent lines that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseModel):
    """Every setting of the service with its default.

    Takes what it is given: the environment is read by :mod:`replicator_service.configuration.environment`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    mongo_uri: SecretStr = Field(description="Address of the MongoDB replica set, mongodb://USER:PASSWORD@HOST/...")
    mongo_database: str = Field(
        min_length=1,
        max_length=63,
        description="The database to replicate, by default the one that the address names "
        "(mongodb://HOST/DATABASE); the tables are in a schema of the same name.",
    )
    postgres_dsn: SecretStr = Field(description="Address of PostgreSQL, postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    mapping: Path | None = Field(
        None, description="Path of the mapping file (YAML). Without one, every collection is a document table."
    )
    mask_key: SecretStr | None = Field(
        None,
        description="The secret key of hmac masks, at least 16 characters; better in a file that only the service may "
        "read. Without it, or with another one, nothing starts.",
    )
    http_host: str = Field(DEFAULT_HTTP_HOST, description="Address that the health endpoints and the page listen on.")
    http_port: int = Field(
        DEFAULT_HTTP_PORT, ge=0, le=65535, description="Its port; 0 takes a free one, which the log names."
    )
    batch_max_events: int = Field(10_000, ge=1, le=1_000_000, description="Change events in one commit, at most.")
    batch_max_bytes: int = Field(
        16 * 2**20, ge=2**16, description="Bytes of change events in one commit, give or take one reply of MongoDB."
    )
    batch_max_ms: int = Field(
        500, ge=1, le=60_000, description="Milliseconds that a batch may stay open while events keep coming in."
    )
    chunk_documents: int = Field(10_000, ge=1, le=1_000_000, description="Documents in one chunk of a snapshot.")
    snapshot_workers: int = Field(
        2, ge=1, le=64, description="Chunks of snapshots that are read at a time; `snapshot pace` changes it."
    )
    snapshot_max_mb_s: float | None = Field(
        None, gt=0, description="Megabytes of documents that snapshots may read a second; `snapshot pace` changes it."
    )
    on_history_lost: OnHistoryLost = Field(
        OnHistoryLost.RESYNC,
        description="When MongoDB no longer has the changes after the checkpoint. resync: read everything again; stop: "
        "wait for a person.",
    )
    read_from: ReadFrom = Field(
        ReadFrom.ADDRESS,
        description="Where documents and changes are read. address: by readPreference and its tags in the address of "
        "MongoDB, without them from the primary; primary; secondary: from a secondary with the tags of the address, "
        "and from the primary for a while when it lags.",
    )
    accept_inexact: bool = Field(
        default=False,
        description="Start also against a server that cannot be replicated from exactly. /status says for as long as "
        "it is so what is not exact.",
    )
    dead_letter_max_run: int = Field(1_000, ge=1, description="So many refused documents in a row stop the service.")
    dead_letter_max_share: float = Field(
        0.5, gt=0, le=1, description="The share of refused documents, of the last 10,000, that stops the service."
    )
    ready_max_lag_seconds: float = Field(
        300.0, gt=0, description="/readyz fails while the lag is longer than so many seconds."
    )
    lease_seconds: float = Field(
        30.0, ge=3, description="Seconds after which a standby takes over from a leader that is frozen."
    )
    compiled: Compiled = Field(
        Compiled.AUTO,
        description="auto: documents and events are read by compiled code where it is installed, otherwise by Python, "
        "byte for byte the same; on: only by compiled code, refusing to run without; off: by Python alone.",
    )
    webhook_url: SecretStr | None = Field(
        None,
        description="Where to POST what a person should know, as JSON: https://... The address is a secret.",
    )
    runbooks_url: str | None = Field(
        None,
        pattern="^https?://",
        description="Where your copy of docs/operations.md is: the page links to its runbooks.",
    )
    airflow_url: str | None = Field(
        None, pattern="^https?://", description="Where Airflow is for people: the page links to it."
    )
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="console, json, or auto: console on a terminal, JSON elsewhere."
    )
    log_level: LogLevel = Field(LogLevel.INFO, description="debug, info, warning or error.")


def load_settings(environ: Mapping[str, str] = os.environ, **overrides: object) -> Settings:
    """Read the settings; ``overrides`` come from the command line and win.

    Raises :class:`ConfigurationError` naming every variable that is missing or wrong, without its value.
    """
    raw, settings = partial_settings(environ, **overrides)
    if settings is None:
        raise raw.error
    return settings


def partial_settings(
    environ: Mapping[str, str] = os.environ, **overrides: object
) -> tuple[RawSettings, Settings | None]:
    """Read what there is of the settings, right or wrong, and themselves unless one is wrong. Raises nothing."""
    overrides = {name: value for name, value in overrides.items() if value is not None}
    raw = raw_settings([name for name in Settings.model_fields if name not in overrides], environ)
    uri = overrides.get("mongo_uri", raw.values.get("mongo_uri"))
    is_named = "mongo_database" in overrides or "mongo_database" in raw.values
    if not is_named and isinstance(uri, str) and "mongo_uri" not in raw.problems and (name := database_in(uri)):
        raw = replace(
            raw,
            values={**raw.values, "mongo_database": name},
            origins={**raw.origins, "mongo_database": "address"},
        )
    try:
        settings = Settings.model_validate({**raw.values, **overrides})
    except ValidationError as error:
        return replace(raw, problems=_problems(error, environ, raw, has_uri=bool(uri))), None
    return raw, None if raw.problems else settings


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the one that was probably meant."""
    known = [name.upper() for name in Settings.model_fields]
    names = [variable.removeprefix(PREFIX) for variable in sorted(environ) if variable.startswith(PREFIX)]
    meant = {name: closest(name, known) for name in names if name.removesuffix("_FILE") not in known}
    return {PREFIX + name: right and PREFIX + right for name, right in meant.items()}


def _problems(
    error: ValidationError, environ: Mapping[str, str], raw: RawSettings, *, has_uri: bool
) -> dict[str, ConfigurationError]:
    """What is wrong with each setting, and what to write instead."""
    meant = {right: wrong for wrong, right in unknown_variables(environ).items() if right is not None}
    problems = dict(raw.problems)
    for each in error.errors(include_input=False, include_url=False):
        name = str(each["loc"][0])
        variable = PREFIX + name.upper()
        if name in raw.problems:
            continue
        if name == "mongo_database" and (not has_uri or "mongo_uri" in raw.problems):
            # The address, once it is right, may well name it.
            continue
        if each["type"] != "missing":
            problem, fix = f"is wrong: it {_flaw(each)}", _fix(name)
        elif wrong := meant.get(variable):
            problem, fix = f"is missing, and {wrong} is set but unknown", f"Call {wrong} {variable}."
        else:
            problem, fix = "is missing", MISSING[name]
        problems[name] = ConfigurationError(f"{variable} {problem}", hint=fix)
    return problems


_FLAWS = {
    "int_parsing": "is no whole number",
    "float_parsing": "is no number",
    "bool_parsing": "is neither true nor false",
    "enum": "is not {expected}",
    "less_than_equal": "is more than {le}",
    "greater_than_equal": "is less than {ge}",
    "greater_than": "is not more than {gt}",
    "string_too_long": "has more than {max_length} characters",
    "string_pattern_mismatch": "does not begin with http:// or https://",
}


def _flaw(error: ErrorDetails) -> str:
    """What is wrong with a value, as the end of a sentence that begins with "it"."""
    words = _FLAWS.get(error["type"])
    return words.format_map(error.get("ctx", {})) if words else f"cannot be used: {error['msg']}"


def _fix(name: str) -> str:
    """What a setting means, and what it is when nobody says."""
    field = Settings.model_fields[name]
    default = field.default.value if isinstance(field.default, Enum) else field.default
    return str(field.description) + (f" Without it: {default}." if default not in (None, PydanticUndefined) else "")
