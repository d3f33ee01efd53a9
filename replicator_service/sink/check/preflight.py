"""Read-only checks of PostgreSQL before a start, of the server and of what the credentials allow.

The session is read-only, so nothing here can change anything. Facts are gathered first, then each requirement judges
them: a new check is one function in :mod:`server_requirements` or :mod:`table_requirements`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo

from replicator_service.core.errors import ConfigurationError, ReplicatorError
from replicator_service.core.mapping.model import TableSpec, tables_of
from replicator_service.sink.check import control_checks, server_requirements, table_requirements
from replicator_service.sink.check.server_info import gather_server
from replicator_service.sink.check.table_info import gather_tables
from replicator_service.sink.check.tables_wanted import wanted_tables
from replicator_service.sink.connect.address import Address
from replicator_service.sink.connect.dead_peer import HeardConnection
from replicator_service.sink.connect.pooler import answering, bound, is_pooled, require_own_session
from replicator_service.sink.connect.session import session_settings
from replicator_service.sink.control.checkpoint import read_checkpoint
from replicator_service.sink.errors import translated
from replicator_service.sink.overview.stream import is_installed

if TYPE_CHECKING:
    from replicator_service.core.findings import Checklist
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.sessions import Checkpoint
    from replicator_service.sink.connect.connection import Connection

ADDRESS = "postgresql address"
REACHABLE = "postgresql reachable"
POOLER = "session of our own"

_READ_ONLY = {"default_transaction_read_only": "on", "statement_timeout": "10s"}


def check_sink(
    dsn: str, stream: str, schema: str, mapping: Mapping | None, checks: Checklist, *, now: float
) -> Checkpoint | None:
    """Check the server behind ``dsn`` and return the checkpoint when there is one.

    Without a ``mapping`` (it could not be read) the tables are not compared. ``now`` is the wall clock in seconds.
    """
    rest = (POOLER, *server_requirements.NAMES, *control_checks.NAMES, *table_requirements.NAMES)
    try:
        conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        checks.fail(
            ADDRESS,
            "the PostgreSQL connection string cannot be read",
            "REPLICATOR_POSTGRES_DSN is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, percent-encoded.",
        )
        checks.skip(REACHABLE, *rest)
        return None
    checks.ok(ADDRESS, "well-formed")
    address = Address.of(dsn)
    try:
        with translated(address=address), answering(address), _connect(dsn) as connection:
            info = connection.info
            checks.ok(REACHABLE, f"connected to {info.dbname} as {info.user} at {info.host}:{info.port}")
            if not _keeps_its_session(connection, dsn, checks):
                checks.skip(*(name for name in rest if name != POOLER))
                return None
            connection.listen(lambda: True)
            connection.execute(session_settings(info.server_version, _READ_ONLY))
            return _check_connected(connection, stream, schema, mapping, checks, now=now)
    except ReplicatorError as error:
        checks.fail(REACHABLE, error.message, error.hint, exit_code=error.exit_code)
        done = {found.name for found in checks.findings}
        checks.skip(*(name for name in rest if name not in done))
        return None


def _connect(dsn: str) -> HeardConnection:
    connection = HeardConnection.connect(
        dsn, autocommit=True, application_name="replicator check", connect_timeout=5, client_encoding="utf8"
    )
    bound(connection)
    return connection


def _keeps_its_session(connection: Connection, dsn: str, checks: Checklist) -> bool:
    """Asked before anything is set: a pooler that shares sessions would hand our settings to others."""
    try:
        require_own_session(connection, dsn)
    except ConfigurationError as error:
        checks.fail(POOLER, error.message, error.hint)
        return False
    kind = "a pooler in between that keeps our session" if is_pooled(connection) else "no pooler in between"
    checks.ok(POOLER, f"{kind}: an advisory lock can be held")
    return True


def _check_connected(
    connection: Connection, stream: str, schema: str, mapping: Mapping | None, checks: Checklist, *, now: float
) -> Checkpoint | None:
    checks.judge(server_requirements.REQUIREMENTS, gather_server(connection, schema, now=now))
    control_checks.check_control_tables(connection, stream, checks)
    is_usable = not checks.failed(control_checks.TABLES)
    has_control_tables = is_usable and is_installed(connection)
    if mapping is None or not is_usable:
        checks.skip(*table_requirements.NAMES)
    else:
        tables, known = _mapped_tables(mapping), set[str]()
        if has_control_tables:
            tables, known = wanted_tables(connection, stream, mapping)
        checks.judge(table_requirements.REQUIREMENTS, gather_tables(connection, schema, tables, known))
    return read_checkpoint(connection, stream) if has_control_tables else None


def _mapped_tables(mapping: Mapping) -> list[TableSpec]:
    return [table for typed in mapping.collections for table in tables_of(typed)]
