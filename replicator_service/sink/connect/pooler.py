"""A pooler between us and PostgreSQL: whether our session stays ours.

Leases, staged rows and settings live in a server session. A pooler that hands sessions out by the transaction or the
statement takes them away, and would hand our settings to everybody else's sessions besides; so this is asked before
the first of them is set.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg

from replicator_service.core.errors import ConfigurationError, SinkUnavailable
from replicator_service.sink.connect.dead_peer import HeardConnection, Unheard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.connect.address import Address
    from replicator_service.sink.connect.connection import Connection

SHARED = "a pooler in between shares server sessions (transaction or statement mode): the lease could not be held"
WAY_OUT = (
    "Connect to PostgreSQL itself, or to the pooler's session mode; with PgBouncer a database of its own that has "
    "pool_mode=session, for instance."
)
_OTHERS = 2
"""Connections that are in a transaction at once: a pooler that shares hands our session to one of them."""

_CONNECT_SECONDS = 5
ANSWER_SECONDS = 9.0
"""A server may be busy, but not for so long with a statement that asks for nothing."""

_PID = "select pg_catalog.pg_backend_pid()"


def is_pooled(connection: Connection) -> bool:
    """Whether something stands in between: it tells a process id of its own at the beginning."""
    return connection.info.backend_pid != _pid(connection)


def require_own_session(connection: Connection, dsn: str) -> None:
    """Make sure that this connection keeps its server session while others are busy.

    Raises :class:`ConfigurationError` when it does not. Costs a round trip without a pooler.
    """
    if is_pooled(connection) and not _is_kept(connection, dsn):
        raise ConfigurationError(SHARED, hint=WAY_OUT)


def bound(connection: HeardConnection) -> None:
    """Close the connection when nothing answers on it for :data:`ANSWER_SECONDS`.

    A pooler lets everybody in, and answers once it has a server session.
    """
    connection.listen(lambda: False, idle_seconds=ANSWER_SECONDS)


@contextmanager
def answering(address: Address) -> Iterator[None]:
    """Around what is asked at the start of a connection, which takes no time once there is a server session for it."""
    try:
        yield
    except Unheard as error:
        raise SinkUnavailable(
            f"PostgreSQL, or a pooler in its place, takes our connections and does not answer on them ({address})",
            hint="A pooler in session mode needs a server session for each of our connections, up to eight for an "
            "instance: raise its pool size (PgBouncer: default_pool_size; SHOW POOLS tells who waits).",
        ) from error


def _is_kept(connection: Connection, dsn: str) -> bool:
    ours = _pid(connection)
    with ExitStack() as ends:
        for _ in range(_OTHERS):
            other = ends.enter_context(_another(dsn))
            if _pid_in_transaction(other) in (ours, None):
                return False
        return _pid(connection) == ours


def _another(dsn: str) -> HeardConnection:
    other = HeardConnection.connect(dsn, application_name="replicator pooler check", connect_timeout=_CONNECT_SECONDS)
    bound(other)
    return other


def _pid_in_transaction(connection: Connection) -> int | None:
    """Begin a transaction; None where the pooler's mode (statement) has none."""
    try:
        return _pid(connection)
    except psycopg.errors.ProtocolViolation as error:
        # A full pool has the same code. PgBouncer: "transaction blocks not allowed in statement pooling mode".
        if "pooling mode" in str(error):
            return None
        raise


def _pid(connection: Connection) -> int:
    row = connection.execute(_PID).fetchone()
    return int(row[0]) if row else 0
