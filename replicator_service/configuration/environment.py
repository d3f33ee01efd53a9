"""How a setting is found in the environment, what is wrong with one by its form alone, and where the service listens.

Light: the health check of a container runs every few seconds and needs no more than this.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from replicator_service.core.addresses import (
    Flaw,
    database_flaw,
    listening_port_flaw,
    mongo_uri_flaw,
    postgres_dsn_flaw,
    url_host,
    webhook_flaw,
)
from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PREFIX = "REPLICATOR_"
DEFAULT_HTTP_HOST = "127.0.0.1"
DEFAULT_HTTP_PORT = 8081

_FLAWS: dict[str, Callable[[str], Flaw | None]] = {
    "mongo_uri": mongo_uri_flaw,
    "postgres_dsn": postgres_dsn_flaw,
    "mongo_database": database_flaw,
    "http_port": listening_port_flaw,
    "webhook_url": webhook_flaw,
}


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where the service listens: all that its health check has to know, which so needs no secrets."""

    http_host: str = DEFAULT_HTTP_HOST
    http_port: int = DEFAULT_HTTP_PORT

    @property
    def url(self) -> str:
        """Where somebody on this machine asks."""
        return f"http://{url_host(self.http_host)}:{self.http_port}/"


def load_http_address(environ: Mapping[str, str] = os.environ) -> HttpAddress:
    """Read where the service listens and nothing else.

    Raises :class:`ConfigurationError` as ``load_settings`` does.
    """
    raw = raw_settings(("http_host", "http_port"), environ)
    if raw.problems:
        raise raw.error
    port = raw.values.get("http_port", str(DEFAULT_HTTP_PORT))
    return HttpAddress(raw.values.get("http_host", DEFAULT_HTTP_HOST), int(port))


@dataclass(frozen=True, slots=True)
class RawSettings:
    """What the environment says: the text of each setting that has one, and what is wrong with which, by name.

    ``origins`` say where a value comes from: environment, file, address.
    """

    values: Mapping[str, str]
    origins: Mapping[str, str]
    problems: Mapping[str, ConfigurationError]

    @property
    def error(self) -> ConfigurationError:
        """One error that names every setting that is missing or wrong, without its value."""
        return ConfigurationError.together(list(self.problems.values()))


def raw_settings(names: Iterable[str], environ: Mapping[str, str]) -> RawSettings:
    """Those of the settings that are set, and what is wrong with which; an empty variable counts as not set."""
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    problems: dict[str, ConfigurationError] = {}
    for name in names:
        variable = PREFIX + name.upper()
        try:
            value = value_of(variable, environ)
        except ConfigurationError as error:
            problems[name] = error
            continue
        if not value:
            continue
        values[name] = value
        origins[name] = "file" if environ.get(variable + "_FILE") else "environment"
        if name in _FLAWS and (flaw := _FLAWS[name](value)):
            problems[name] = ConfigurationError(f"{variable} is wrong: it {flaw.cause}", hint=flaw.fix)
    return RawSettings(values, origins, problems)


MISSING = {
    "mongo_uri": "Give --from mongodb://USER:PASSWORD@HOST/DATABASE, or set REPLICATOR_MONGO_URI to it.",
    "mongo_database": "Name the database in the address, mongodb://HOST/DATABASE, or set REPLICATOR_MONGO_DATABASE.",
    "postgres_dsn": "Give --to postgresql://USER:PASSWORD@HOST/DATABASE, or set REPLICATOR_POSTGRES_DSN to it.",
}
"""What to write where a setting is missing that has no default."""


def value_of(variable: str, environ: Mapping[str, str]) -> str:
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
