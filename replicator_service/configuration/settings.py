"""Settings: environment variables with the prefix ``REPLICATOR_``, secrets also as files (``REPLICATOR_..._FILE``).

Read once, when a command begins, and passed on as values. A wrong setting is one clear line, never a stack trace.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from replicator_service.core.addresses import Flaw, database_flaw, mongo_uri_flaw, postgres_dsn_flaw
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.problems import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFIX = "REPLICATOR_"

_Model = TypeVar("_Model", bound=BaseSettings)


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


_HTTP_HOST: str = Field("127.0.0.1", description="Address that the health endpoints and the page listen on.")
_HTTP_PORT: int = Field(8081, ge=0, le=65535, description="Its port; 0 takes a free one, which the log names.")


class _Variables(BaseSettings):
    """Takes what it is given: the environment is read here, where an empty variable counts as not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the framework's signature, here and below
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out the sources that would read it once more."""
        return (init_settings,)


class HttpAddress(_Variables):
    """Where the service listens: all that its health check has to know, which so needs no secrets."""

    http_host: str = _HTTP_HOST
    http_port: int = _HTTP_PORT


class Settings(_Variables):
    """Every setting of the service with its default."""

    mongo_uri: SecretStr = Field(description="Address of the MongoDB replica set, mongodb://USER:PASSWORD@HOST/...")
    mongo_database: str = Field(
        "origin",
        min_length=1,
        max_length=63,
        description="The database to replicate; the tables are in a schema of the same name.",
    )
    postgres_dsn: SecretStr = Field(description="Address of PostgreSQL, postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    mapping: Path | None = Field(
        None, description="Path of the mapping file (YAML). Without one, every collection is a document table."
    )
    http_host: str = _HTTP_HOST
    http_port: int = _HTTP_PORT
    batch_max_events: int = Field(10_000, ge=1, le=1_000_000, description="Change events in one commit, at most.")
    batch_max_bytes: int = Field(
        16 * 2**20, ge=2**16, description="Bytes of change events in one commit, give or take one reply of MongoDB."
    )
    batch_max_ms: int = Field(
        500, ge=1, le=60_000, description="Milliseconds that a batch may stay open while events keep coming in."
    )
    chunk_documents: int = Field(10_000, ge=1, le=1_000_000, description="Documents in one chunk of a snapshot.")
    on_history_lost: OnHistoryLost = Field(
        OnHistoryLost.RESYNC,
        description="When MongoDB no longer has the changes after the checkpoint. resync: read everything again; stop: "
        "wait for a person.",
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
    log_format: LogFormat = Field(
        LogFormat.AUTO, description="console, json, or auto: console on a terminal, JSON elsewhere."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")


def load_settings(environ: Mapping[str, str] = os.environ, **overrides: object) -> Settings:
    """Read the settings; ``overrides`` come from the command line and win.

    Raises :class:`ConfigurationError` naming every variable that is missing or wrong, without its value.
    """
    return _load(Settings, environ, overrides)


def load_http_address(environ: Mapping[str, str] = os.environ) -> HttpAddress:
    """Read where the service listens and nothing else.

    Raises :class:`ConfigurationError` as :func:`load_settings` does.
    """
    return _load(HttpAddress, environ, {})


def unknown_variables(environ: Mapping[str, str] = os.environ) -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the one that was probably meant."""
    known = [name.upper() for name in Settings.model_fields]
    names = [variable.removeprefix(PREFIX) for variable in sorted(environ) if variable.startswith(PREFIX)]
    meant = {name: closest(name, known) for name in names if name.removesuffix("_FILE") not in known}
    return {PREFIX + name: right and PREFIX + right for name, right in meant.items()}


def _load(model: type[_Model], environ: Mapping[str, str], overrides: Mapping[str, object]) -> _Model:
    values: dict[str, Any] = {}
    flaws: dict[str, Flaw] = {}
    for name in model.model_fields:
        if value := _value(PREFIX + name.upper(), environ):
            values[name] = value
            if flaw := _FLAWS[name](value) if name in _FLAWS else None:
                flaws[name] = flaw
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        raise _explained(flaws, _problems(error, environ)) from None
    if flaws:
        raise _explained(flaws, {})
    return settings


def _value(variable: str, environ: Mapping[str, str]) -> str:
    """The value of a variable, or of the file that another one names. Blanks around it never belong to it."""
    value, path = environ.get(variable, "").strip(), environ.get(variable + "_FILE", "")
    if not path:
        return value
    if value:
        raise ConfigurationError(
            f"{variable} and {variable}_FILE are both set", hint="Remove one of them: they may not say the same."
        )
    return _read_file(variable + "_FILE", path)


def _read_file(variable: str, path: str) -> str:
    try:
        # Some editors begin a file with a byte order mark.
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ConfigurationError(
            f"the file named by {variable} cannot be read: {error.strerror}",
            hint="Check the path and its permissions.",
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the file named by {variable} is not text in UTF-8", hint="It holds the value alone, on one line."
        ) from None
    if len(text.splitlines()) != 1:
        problem = "holds more than one line" if text else "is empty"
        raise ConfigurationError(
            f"the file named by {variable} {problem}", hint="It holds the value alone, on one line."
        )
    return text


_FLAWS: dict[str, Callable[[str], Flaw | None]] = {
    "mongo_uri": mongo_uri_flaw,
    "postgres_dsn": postgres_dsn_flaw,
    "mongo_database": database_flaw,
}


def _problems(error: ValidationError, environ: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with each setting."""
    meant = {right: wrong for wrong, right in unknown_variables(environ).items() if right is not None}
    problems = {}
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(each["loc"][0]) if each["loc"] else "setting"
        if each["type"] != "missing":
            problems[name] = f"is wrong: {each['msg']}"
        elif wrong := meant.get(PREFIX + name.upper()):
            problems[name] = f"is missing, and {wrong} is set but unknown"
        else:
            problems[name] = "is missing"
    return problems


def _explained(flaws: Mapping[str, Flaw], problems: Mapping[str, str]) -> ConfigurationError:
    told = {**problems, **{name: f"is wrong: it {flaw.cause}" for name, flaw in flaws.items()}}
    message = "; ".join(f"{PREFIX}{name.upper()} {problem}" for name, problem in told.items())
    fixes = list(dict.fromkeys(flaw.fix for flaw in flaws.values()))
    return ConfigurationError(message, hint=" ".join(fixes) or "'replicator run --help' lists the settings.")
