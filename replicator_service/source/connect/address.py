"""The address of MongoDB, taken apart by its driver, with the option named that the driver does not take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri, validate_options

from replicator_service.core.errors import ConfigurationError, ReplicatorError, SourceUnavailable
from replicator_service.source.connect import needs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WRONG = (PyMongoError, ValueError, TypeError, OSError)
"""All that the driver raises for an address: a certificate's file is opened when the option is read."""

_FORM = (
    "REPLICATOR_MONGO_URI is mongodb://USER:PASSWORD@HOST:PORT/?replicaSet=NAME&authSource=admin, "
    "with user and password percent-encoded and options spelled as MongoDB does."
)


@dataclass(frozen=True, slots=True)
class Encryption:
    """Whether an address asks for TLS, and names a certificate of ours to show."""

    is_on: bool = False
    shows_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address, without its credentials."""

    nodes: tuple[tuple[str, int | None], ...]
    options: Mapping[str, Any]

    @property
    def replica_set(self) -> str | None:
        """The name of the set that the address asks for."""
        name = self._option("replicaset")
        return None if name is None else str(name)

    @property
    def is_direct(self) -> bool:
        """Whether the address asks for one server alone."""
        return bool(self._option("directconnection"))

    @property
    def encryption(self) -> Encryption:
        """What it says of TLS."""
        is_on = bool(self._option("tls") or self._option("ssl"))
        return Encryption(is_on, shows_certificate=self._option("tlscertificatekeyfile") is not None)

    def _option(self, wanted: str) -> object:
        return next((value for name, value in self.options.items() if name.lower() == wanted), None)


def parse(uri: str) -> Address:
    """Take an address apart; a ``mongodb+srv`` one is looked up.

    Stricter than the driver, which goes on without an option that it does not know.

    Raises :class:`ConfigurationError`, also for what the address asks for and is not here, or :class:`Retryable` when
    the look-up fails.
    """
    options = {name.lower(): unquote_plus(value) for name, value in _options(uri)}
    needs.require(options, scheme=uri.partition("://")[0])
    try:
        parsed = parse_uri(uri, warn=False)
    except _WRONG as error:
        raise _explained(uri, error) from None
    return Address(tuple(parsed["nodelist"]), parsed["options"])


def _explained(uri: str, error: Exception) -> ReplicatorError:
    wrong = _wrong_option(uri)
    if wrong is not None and isinstance(error, OSError):
        return ConfigurationError(
            f"the file that {wrong} names in the MongoDB address cannot be read: {error.strerror}",
            hint="Check the path in REPLICATOR_MONGO_URI and the file's permissions.",
        )
    if wrong is not None:
        return ConfigurationError(
            f"the MongoDB address has an option that MongoDB does not have, or a value that it does not take: {wrong}",
            hint="Options are, for instance: replicaSet, authSource, tls=true, tlsCAFile.",
        )
    if uri.startswith("mongodb+srv:") and _comes_from_dns(error):
        return SourceUnavailable(
            "the name in the MongoDB address cannot be looked up",
            hint="Check it, and that the DNS server that this machine asks knows it; or list the members: "
            "mongodb://HOST1,HOST2/?replicaSet=NAME&tls=true",
        )
    return ConfigurationError("the MongoDB address cannot be used", hint=_FORM)


def _wrong_option(uri: str) -> str | None:
    """The first option that the driver refuses."""
    for name, value in _options(uri):
        try:
            validate_options({name: unquote_plus(value)}, warn=False)
        except _WRONG:
            return name if name.isalnum() or "_" in name else None
    return None


def _options(uri: str) -> Iterator[tuple[str, str]]:
    """Names and values as they stand in the address."""
    for pair in re.split("[&;]", uri.partition("?")[2]):
        name, _, value = pair.partition("=")
        yield name, value


def _comes_from_dns(error: BaseException) -> bool:
    cause = error.__cause__ or error.__context__
    return cause is not None and (type(cause).__module__.startswith("dns.") or _comes_from_dns(cause))
