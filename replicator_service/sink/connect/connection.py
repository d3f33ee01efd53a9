"""How the service connects to PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import conninfo

from replicator_service.core.errors import ConfigurationError
from replicator_service.sink.connect.address import Address
from replicator_service.sink.connect.dead_peer import HeardConnection, Listener
from replicator_service.sink.connect.pooler import answering, bound, require_own_session
from replicator_service.sink.connect.session import session_settings
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

_PID = """
select
    pg_catalog.pg_backend_pid(),
    case
        when pg_catalog.has_parameter_privilege('lc_messages', 'set')
            then pg_catalog.set_config('lc_messages', 'C', false)
    end
"""
"""Who we are, as a pooler cannot know; and messages in English, where we may choose."""


def connect(dsn: str, *, application_name: str, durable: bool = True) -> HeardConnection:
    """An autocommit connection with the settings that every part of the sink relies on.

    ``durable=False`` turns ``synchronous_commit`` off. For the writer this costs nothing but a replay: rows and
    position are lost together, never one without the other, and the stream goes on from the older position.
    A line on which the server cannot be heard any more counts as lost (see
    :mod:`replicator_service.sink.connect.dead_peer`).

    Raises :class:`ConfigurationError` (credentials, address, version, encoding, a pooler that shares sessions) or
    :class:`Retryable`.
    """
    address = Address.of(dsn)
    with translated(address=address), answering(address):
        connection = HeardConnection.connect(dsn, autocommit=True, application_name=application_name, **_KEEPALIVES)
        try:
            _require_supported(connection)
            bound(connection)
            require_own_session(connection, dsn)
            others = {"synchronous_commit": "on" if durable else "off"}
            connection.execute(session_settings(connection.info.server_version, others))
            row = connection.execute(_PID).fetchone()
        except BaseException:
            connection.close()
            raise
        connection.listen(Listener(dsn, row[0] if row else 0))
    return connection


def require_form(dsn: str) -> None:
    """Judge an address as libpq does before it connects.

    Raises :class:`ConfigurationError`.
    """
    with translated():
        conninfo.conninfo_to_dict(dsn)


def _require_supported(connection: Connection) -> None:
    if connection.info.server_version < MINIMUM_VERSION:
        version = connection.info.server_version // 10_000
        raise ConfigurationError(f"PostgreSQL {version} is too old: 15 or later is needed", hint="Upgrade PostgreSQL.")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the PostgreSQL database's encoding is {encoding}, which cannot hold every text of MongoDB",
            hint="Create another one: create database ... encoding 'UTF8' template template0.",
        )
