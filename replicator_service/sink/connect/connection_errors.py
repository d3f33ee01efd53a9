"""Why there is no connection to PostgreSQL.

libpq gives no SQLSTATE for a connection that fails: this is the one place where a message has to be read (see
docs/adr/0003). What is not recognised is waited for, as a server that is away is. The message itself is never shown.
"""

from __future__ import annotations

import re

from replicator_service.core.errors import ConfigurationError, ReplicatorError, SinkUnavailable
from replicator_service.sink.connect.address import Address
from replicator_service.sink.connect.certificates import Distrust, why_distrusted

_DSN = "REPLICATOR_POSTGRES_DSN"
_FOR_A_PERSON: tuple[tuple[str, str, str], ...] = (
    (
        "password authentication failed",
        "PostgreSQL refuses the user name or password",
        f"Check both in {_DSN}, with special characters percent-encoded (@ is %40, / is %2F).",
    ),
    ("no password supplied", "PostgreSQL asks for a password and none is set", f"Add it to {_DSN}."),
    (
        "no pg_hba.conf entry|pg_hba.conf rejects connection",
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
        'root certificate file ".*" does not exist|could not get home directory',
        "there is no root certificate to verify PostgreSQL's with",
        f"Add sslrootcert=FILE (or sslrootcert=system) to {_DSN}, or ask for sslmode=require, which verifies nothing.",
    ),
    (
        "could not read root certificate file",
        "the file that sslrootcert names holds no certificate",
        f"Check sslrootcert in {_DSN}: the authority's certificate in PEM form.",
    ),
    (
        "server certificate for|from server certificate",
        "PostgreSQL's certificate is of another host",
        f"Name the host in {_DSN} as its certificate does (hostaddr=ADDRESS says where it is all the same).",
    ),
    (
        "certificate verify failed",
        "PostgreSQL's certificate is not trusted here",
        f"Set sslrootcert in {_DSN} to the certificate of the authority that signed it.",
    ),
    (
        "alert certificate expired",
        "our certificate for PostgreSQL has expired",
        f"Renew the file that sslcert names in {_DSN}: it is read again at every connection.",
    ),
    (
        "alert (unknown ca|bad certificate|certificate unknown|certificate revoked|unsupported certificate)",
        "PostgreSQL does not take our certificate",
        f"Let the server know the authority that signed the file that sslcert names in {_DSN} (its ssl_ca_file).",
    ),
    (
        "requires a valid client certificate|alert certificate required",
        "PostgreSQL asks for a certificate of ours, and none was shown",
        f"Add sslcert=FILE and sslkey=FILE to {_DSN}. A file that is not there is passed over without a word.",
    ),
    (
        "certificate authentication failed",
        "our certificate for PostgreSQL has another name than the user",
        "Use the one whose common name is {user}, or map its name in pg_ident.conf.",
    ),
    (
        "has group or world access",
        "the private key of the PostgreSQL connection is open to others, so it is not used",
        f"chmod 600 the file that sslkey names in {_DSN}.",
    ),
    (
        "key values mismatch",
        "the private key of the PostgreSQL connection is not that of its certificate",
        f"sslcert and sslkey in {_DSN} are a pair.",
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
        "unsupported startup parameter",
        "the pooler in between does not take an option of the PostgreSQL connection",
        f"Leave options out of {_DSN}, or let the pooler ignore it (PgBouncer: ignore_startup_parameters).",
    ),
    (
        "no such database",
        "the pooler in between knows no database of this name",
        f"Add it to the pooler's databases, or correct the name in {_DSN}.",
    ),
    (
        "no such user|SASL authentication failed|server login failed: wrong password type",
        "the pooler in between refuses the user name or password",
        f"Add the user to the pooler (PgBouncer: auth_file or auth_query), or correct {_DSN}.",
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
        "too many (connections|clients)|connection slots|no more connections allowed",
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
        "Nothing to do: the service continues by itself.",
    ),
)
_PLACE = re.compile(r'server at "(?P<host>[^"]*)"(?: \([^)]*\))?, port (?P<port>\d+) failed')
_NAME = re.compile(r"(?:resolve host|translate host name) ['\"](?P<host>[^'\"]*)['\"]")


def why_refused(message: str, address: Address | None = None) -> ReplicatorError:
    """What keeps us from PostgreSQL, from libpq's message; ``address`` is what was tried."""
    tried = address or Address()
    if "certificate verify failed" in message and _is_expired(message, tried):
        return ConfigurationError(
            f"PostgreSQL's certificate has expired ({tried})",
            hint="Renew it at the server, then: select pg_reload_conf(). If it is new, check the clock here.",
        )
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


def _is_expired(message: str, tried: Address) -> bool:
    """Ask the server: libpq says the same of every certificate that it does not accept."""
    places = list(_PLACE.finditer(message))
    found = [why_distrusted(match["host"], int(match["port"]), tried.authorities) for match in places]
    return bool(found) and all(each is Distrust.EXPIRED for each in found)


def _places(message: str, tried: Address) -> str:
    places = dict.fromkeys(f"{match['host']}:{match['port']}" for match in _PLACE.finditer(message))
    places |= dict.fromkeys(match["host"] for match in _NAME.finditer(message))
    return ", ".join(places) or str(tried) or "the server"
