"""Connections outside the writer: a small pool that lives through a server that is away."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg_pool import ConnectionPool

from replicator_service.sink.connect.address import Address
from replicator_service.sink.connect.connection import Connection
from replicator_service.sink.connect.pooler import require_own_session
from replicator_service.sink.connect.session import session_settings
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_SECONDS = 3.0
"""How long somebody waits for a connection before the server counts as away."""

Pool = ConnectionPool[Connection]


def make_pool(dsn: str, *, application_name: str) -> Pool:
    """A closed pool of at most two read-only connections, none of them kept while nobody asks.

    Call ``open()`` before and ``close()`` after using it. Statements are bounded: this pool only looks.
    """
    settings: dict[str, Any] = {
        "application_name": application_name,
        "autocommit": True,
        # A prepared statement would fail for good after somebody has made a table anew with other types.
        "prepare_threshold": None,
        "connect_timeout": 3,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    return ConnectionPool(
        dsn,
        kwargs=settings,
        min_size=0,
        max_size=2,
        timeout=WAIT_SECONDS,
        reconnect_timeout=WAIT_SECONDS,
        configure=partial(_configure, dsn),
        open=False,
        name=application_name,
    )


@contextmanager
def checked_out(pool: Pool) -> Iterator[Connection]:
    """A connection of the pool, for a moment.

    Raises :class:`Retryable` when none can be had in time.
    """
    with translated(address=_address(pool)), pool.connection() as connection:
        yield connection


_READ_ONLY = {
    "default_transaction_read_only": "on",
    "statement_timeout": "5s",
    "lock_timeout": "2s",
}


def _configure(dsn: str, connection: Connection) -> None:
    require_own_session(connection, dsn)
    connection.execute(session_settings(connection.info.server_version, _READ_ONLY))


def _address(pool: Pool) -> Address:
    return Address.of(pool.conninfo if isinstance(pool.conninfo, str) else "")
