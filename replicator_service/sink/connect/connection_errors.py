"""Why there is no connection to PostgreSQL.

libpq gives no SQLSTATE for a connection that fails: this is the one place where a message has to be read (see
docs/adr/0003). What is not recognised is waited for, as a server that is away is. The message itself is never shown.
"""

from __future__ import annotations

import re

from replicator_service.core.errors import ConfigurationError, ReplicatorError, SinkUnavailable
from replicator_service.sink.connect.address import Address

_DSN = "REPLICATOR_POSTGRES_DSN"
_FOR_A_PERSON: tuple[tuple[str, str, str], ...] = (
    (
        "password authentication failed",
        "PostgreSQL refuses the user name or password",
        f"Check both in {_DSN}, with special characters percent-encoded (@ is %40, / is %2F).",
    ),
    ("no password supplied", "PostgreSQL asks for a password and none is set", f"Add it to {_DSN}."),
    (
        "no pg_hba.conf entry",
        "PostgreSQL does not let this user connect from this host",
        f"Add a line to the server's pg_hba.conf; if it has one for TLS alone, add sslmode=require to {_DSN}.",
    ),
    (
        'database ".*" does not exist',
        "the database of the connection does not exist",
        f"Create it, or correct the name in {_DSN}.",
    ),
    ('role ".*" does not exist', "the user of the connection does not exist", f"Create it, or correct {_DSN}."),
    ("is not permitted to log in", "the PostgreSQL user may not log in", "alter role {user} login"),
    (
        "permission denied for database",
        "the user may not connect to this database",
        "grant connect on database {database} to {user}",
    ),
    (
        "not currently accepting connections",
        "the database lets nobody connect",
        f"alter database {{database}} allow_connections true; or correct the name in {_DSN}.",
    ),
    (
        "server does not support SSL",
        "PostgreSQL does not speak TLS, and sslmode (or PGSSLMODE) insists on it",
        "Turn ssl on at the server, or ask for sslmode=prefer.",
    ),
    (
        "root certificate file|could not get home directory",
        "there is no root certificate to verify PostgreSQL's with",
        f"Add sslrootcert=FILE (or sslrootcert=system) to {_DSN}, or ask for sslmode=require, which verifies nothing.",
    ),
    (
        "certificate verify failed|server certificate for",
        "PostgreSQL's certificate is not trusted, or is of another host",
        f"Check sslrootcert in {_DSN}, and name the host as its certificate does.",
    ),
    (
        "certificate file|private key file|could not load",
        "a certificate or key of the PostgreSQL connection cannot be used",
        f"Check sslcert and sslkey in {_DSN}; a key may be readable by its owner alone.",
    ),
    (
        "invalid .* value",
        "an option of the PostgreSQL connection has a value that does not exist",
        f"Check the port and the options in {_DSN} (such as sslmode), and variables that begin with PG.",
    ),
    (
        "definition of service",
        "the service that the PostgreSQL connection names is not defined",
        "Check pg_service.conf and PGSERVICEFILE.",
    ),
    (
        "invalid response to SSL negotiation",
        "what answers is not PostgreSQL",
        f"Check the host and port in {_DSN}.",
    ),
)
_PASSING: tuple[tuple[str, str, str], ...] = (
    (
        "could not translate host name|failed to resolve",
        "has a name that does not resolve",
        f"Check the host in {_DSN}.",
    ),
    ("Connection refused", "refuses the connection", f"Check that it runs, and the host and port in {_DSN}."),
    (
        "No such file or directory",
        "does not listen on a socket of this machine",
        f"Check that it runs, or name its host in {_DSN}.",
    ),
    (
        "timeout expired|timed out|No route to host|unreachable",
        "does not answer",
        f"Check the host and port in {_DSN}, and for a firewall in between.",
    ),
    (
        "too many (connections|clients)|connection slots",
        "has no connection left",
        "Raise max_connections, or the connection limit of the user or database; or close what is idle.",
    ),
    (
        "read-only|hot standby|read-write",
        "is not what target_session_attrs asks for",
        f"Add the primary to {_DSN}, or correct that option: the service needs read-write.",
    ),
    (
        "starting up|shutting down|recovery",
        "is starting or shutting down",
        "Nothing to do: the service goes on by itself.",
    ),
)
_PLACE = re.compile(r'server at "(?P<host>[^"]*)"(?: \([^)]*\))?, port (?P<port>\d+) failed')
_NAME = re.compile(r"(?:resolve host|translate host name) ['\"](?P<host>[^'\"]*)['\"]")


def why_refused(message: str, address: Address | None = None) -> ReplicatorError:
    """What keeps us from PostgreSQL, from libpq's message; ``address`` is what was tried."""
    tried = address or Address()
    at = f" ({tried})" if tried.hosts else ""
    for pattern, cause, hint in _FOR_A_PERSON:
        if re.search(pattern, message):
            names = {"{user}": tried.quoted_user, "{database}": tried.quoted_database}
            for place, name in names.items():
                hint = hint.replace(place, name)  # noqa: PLW2901 - one sentence, filled in
            return ConfigurationError(cause + at, hint=hint)
    for pattern, cause, hint in _PASSING:
        if re.search(pattern, message):
            return SinkUnavailable(f"PostgreSQL cannot be reached: {_places(message, tried)} {cause}", hint=hint)
    return SinkUnavailable(
        f"PostgreSQL cannot be reached, or the connection to it was lost{at}",
        hint=f"Check that it runs and that {_DSN} names the right host and port.",
    )


def _places(message: str, tried: Address) -> str:
    places = dict.fromkeys(f"{match['host']}:{match['port']}" for match in _PLACE.finditer(message))
    places |= dict.fromkeys(match["host"] for match in _NAME.finditer(message))
    return ", ".join(places) or str(tried) or "the server"
