"""How the service connects to PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from replicator_service.core.errors import ConfigurationError
from replicator_service.sink.connect.dead_peer import HeardConnection, Listener
from replicator_service.sink.errors import translated

MINIMUM_VERSION = 150_000
Connection = psycopg.Connection[tuple[Any, ...]]

_KEEPALIVES: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_SESSION = {
    "client_encoding": "utf8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "timezone": "UTC",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
    "client_min_messages": "warning",
    "extra_float_digits": "1",
    # The server notices a leader that is gone within seconds and frees its lease.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
}


def connect(dsn: str, *, application_name: str, durable: bool = True) -> HeardConnection:
    """An autocommit connection with the settings that every part of the sink relies on.

    ``durable=False`` turns ``synchronous_commit`` off. For the writer this costs nothing but a replay: rows and
    position are lost together, never one without the other, and the stream goes on from the older position.
    A line on which the server cannot be heard any more counts as lost (see
    :mod:`replicator_service.sink.connect.dead_peer`).

    Raises :class:`ConfigurationError` (credentials, address, version, encoding) or :class:`Retryable`.
    """
    with translated():
        connection = HeardConnection.connect(dsn, autocommit=True, application_name=application_name, **_KEEPALIVES)
        if connection.info.server_version < MINIMUM_VERSION:
            version = connection.info.server_version // 10_000
            connection.close()
            raise ConfigurationError(
                f"PostgreSQL {version} is too old: 15 or later is needed", hint="Upgrade PostgreSQL."
            )
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            connection.close()
            raise ConfigurationError(
                f"the PostgreSQL database's encoding is {encoding}, which cannot hold every text of MongoDB",
                hint="Create another one: create database ... encoding 'UTF8' template template0.",
            )
        settings = {**_SESSION, "synchronous_commit": "on" if durable else "off"}
        calls = sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, false)").format(sql.Literal(name), sql.Literal(value))
            for name, value in settings.items()
        )
        row = connection.execute(sql.SQL("select pg_backend_pid(), {}").format(calls)).fetchone()
        pid = row[0] if row else 0
        connection.listen(Listener(dsn, pid))
    return connection
