"""Read-only checks of PostgreSQL before a start, of the server and of what the credentials allow.

The session is read-only, so nothing here can change anything. The only thing taken is an advisory lock, for an
instant, to see whether one can be held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql

from replicator_service.core.errors import ReplicatorError
from replicator_service.sink.check import control_checks, table_checks
from replicator_service.sink.connect.connection import MINIMUM_VERSION, Connection
from replicator_service.sink.control.checkpoint import Checkpoint, read_checkpoint
from replicator_service.sink.errors import translated
from replicator_service.sink.overview.stream import is_installed

if TYPE_CHECKING:
    from replicator_service.core.findings import Checklist
    from replicator_service.core.mapping.model import Mapping

ADDRESS = "postgresql address"
REACHABLE = "postgresql reachable"
VERSION = "postgresql version"
WRITABLE = "postgresql writable"
ENCODING = "postgresql encoding"
CREATE = "privilege create"
POOLER = "direct connection"
CONNECTIONS = "free connections"
TIMEOUTS = "timeouts"
CLOCK = "postgresql clock"

_NEEDED_CONNECTIONS = 5
"""The writer, the requests, the monitor's two, and one for commands."""

_CREATE = """
select
    has_database_privilege(current_database(), 'create'),
    (
        select array_agg(w.name order by w.name)
        from unnest(%s::text[]) as w (name)
        where not exists (
            select from pg_namespace as n
            where n.nspname = w.name and has_schema_privilege(n.oid, 'create') and has_schema_privilege(n.oid, 'usage')
        )
    ),
    (
        select array_agg(n.nspname order by n.nspname)
        from pg_namespace as n
        where n.nspname = any(%s)
            and not (has_schema_privilege(n.oid, 'create') and has_schema_privilege(n.oid, 'usage'))
    ),
    current_user::text
"""

_CONNECTIONS = """
select
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (select count(*) from pg_stat_activity where backend_type = 'client backend'),
    (select d.datconnlimit from pg_database as d where d.datname = current_database()),
    (select count(*) from pg_stat_activity where datname = current_database()),
    (select r.rolconnlimit from pg_roles as r where r.rolname = current_user),
    (select count(*) from pg_stat_activity where usename = current_user)
"""

_TIMEOUTS = """
select name || ' = ' || setting || coalesce(unit, '')
from pg_settings
where name in ('idle_session_timeout', 'transaction_timeout', 'lock_timeout') and setting <> '0'
order by name
"""


def check_sink(
    dsn: str, stream: str, schema: str, mapping: Mapping | None, checks: Checklist, *, now: float
) -> Checkpoint | None:
    """Check the server behind ``dsn``; gives the checkpoint when there is one.

    Without a ``mapping`` (it could not be read) the tables are not compared. ``now`` is the wall clock in seconds.
    """
    own = (VERSION, WRITABLE, ENCODING, CREATE, POOLER, CONNECTIONS, TIMEOUTS, CLOCK)
    rest = (*own, *control_checks.NAMES, *table_checks.NAMES)
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
    try:
        with _connect(dsn) as connection:
            return _check_connected(dsn, connection, stream, schema, mapping, checks, now=now)
    except ReplicatorError as error:
        checks.fail(REACHABLE, error.message, error.hint, exit_code=error.exit_code)
        done = {found.name for found in checks.findings}
        checks.skip(*(name for name in rest if name not in done))
        return None


def _connect(dsn: str) -> Connection:
    with translated():
        connection = psycopg.connect(
            dsn, autocommit=True, application_name="replicator check", connect_timeout=5, client_encoding="utf8"
        )
        connection.execute(
            "select set_config('default_transaction_read_only', 'on', false), "
            "set_config('statement_timeout', '10s', false), set_config('timezone', 'UTC', false)"
        )
    return connection


def _check_connected(
    dsn: str,
    connection: Connection,
    stream: str,
    schema: str,
    mapping: Mapping | None,
    checks: Checklist,
    *,
    now: float,
) -> Checkpoint | None:
    info = connection.info
    checks.ok(REACHABLE, f"connected to {info.dbname} as {info.user}")
    _check_version(connection, checks)
    _check_writable(connection, checks)
    _check_encoding(connection, checks)
    _check_create(connection, schema, checks)
    _check_pooler(dsn, connection, checks)
    _check_connections(connection, checks)
    _check_timeouts(connection, checks)
    _check_clock(connection, checks, now)
    control_checks.check_control_tables(connection, stream, checks)
    table_checks.check_tables(connection, stream, schema, mapping, checks)
    if not is_installed(connection) or checks.failed(control_checks.TABLES):
        return None
    return read_checkpoint(connection, stream)


def _check_version(connection: Connection, checks: Checklist) -> None:
    version = connection.info.server_version
    told = f"PostgreSQL {version // 10_000}.{version % 10_000}"
    if version < MINIMUM_VERSION:
        checks.fail(VERSION, f"{told} is too old", "Upgrade to 15 or later.")
    else:
        checks.ok(VERSION, told)


def _check_writable(connection: Connection, checks: Checklist) -> None:
    with translated():
        # What the server was set to, rather than what this session has just been told.
        row = connection.execute(
            "select pg_is_in_recovery(), s.reset_val from pg_settings as s "
            "where s.name = 'default_transaction_read_only'"
        ).fetchone()
    if row and row[0]:
        checks.fail(
            WRITABLE,
            "this server is a standby of another one: nothing can be written to it",
            "Address the primary; with several hosts in the address add target_session_attrs=read-write.",
        )
    elif row and row[1] == "on":
        checks.fail(
            WRITABLE,
            "transactions are read-only by default for this user or database",
            "alter role ... set default_transaction_read_only = off (or the same of the database).",
        )
    else:
        checks.ok(WRITABLE, "a primary")


def _check_encoding(connection: Connection, checks: Checklist) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding == "UTF8":
        checks.ok(ENCODING, "UTF8")
    else:
        checks.fail(
            ENCODING,
            f"the database's encoding is {encoding}, which cannot hold every text of MongoDB",
            "Create another one: create database ... encoding 'UTF8' template template0.",
        )


def _check_create(connection: Connection, schema: str, checks: Checklist) -> None:
    wanted = ["replicator", schema]
    with translated():
        row = connection.execute(_CREATE, (wanted, wanted)).fetchone()
    may_create, not_usable, forbidden, user = row or (False, wanted, [], "the user")
    grant = sql.SQL("grant create on database {} to {}").format(
        sql.Identifier(connection.info.dbname), sql.Identifier(user)
    )
    if forbidden:
        checks.fail(
            CREATE,
            f"{user} may not create tables in the schema {', '.join(forbidden)}",
            "alter schema ... owner to this user (and of the tables in it).",
        )
    elif may_create or not not_usable:
        checks.ok(CREATE, f"{user} may create what is needed")
    else:
        checks.fail(CREATE, f"{user} may not create the schema {', '.join(not_usable)}", grant.as_string(connection))


def _check_pooler(dsn: str, connection: Connection, checks: Checklist) -> None:
    """Hold a server session with a second connection: behind a transaction pooler the first then gets another one."""
    with translated():
        before = connection.execute("select pg_backend_pid(), pg_try_advisory_lock(%s)", (_key(connection),)).fetchone()
        with _connect(dsn) as other, other.transaction():
            held = other.execute("select pg_backend_pid()").fetchone()
            after = connection.execute("select pg_backend_pid()").fetchone()
        connection.execute("select pg_advisory_unlock(%s)", (_key(connection),))
    pids = (before and before[0], held and held[0], after and after[0])
    if pids[0] == pids[2] != pids[1]:
        checks.ok(POOLER, "the session stays the same, an advisory lock can be held")
    else:
        checks.fail(
            POOLER,
            "a pooler in between shares server sessions (transaction pooling): the lease could not be held",
            "Connect to PostgreSQL itself, or to the pooler's session mode.",
        )


def _key(connection: Connection) -> int:
    """A key that only this check uses: nobody else waits for it."""
    return -connection.info.backend_pid - 1


def _check_connections(connection: Connection, checks: Checklist) -> None:
    with translated():
        row = connection.execute(_CONNECTIONS).fetchone()
    limit, used, database_limit, in_database, role_limit, of_role = row or (0,) * 6
    free = {"the server": limit - used}
    if database_limit >= 0:
        free["the database"] = database_limit - in_database
    if role_limit >= 0:
        free["the user"] = role_limit - of_role
    place, left = min(free.items(), key=lambda item: item[1])
    if left < _NEEDED_CONNECTIONS:
        checks.warn(
            CONNECTIONS,
            f"{place} has {max(left, 0)} connections left, and the service uses up to {_NEEDED_CONNECTIONS}",
            "Raise max_connections (or the connection limit), or close what is idle.",
        )
    else:
        checks.ok(CONNECTIONS, f"{left} left")


def _check_timeouts(connection: Connection, checks: Checklist) -> None:
    with translated():
        found = [row[0] for row in connection.execute(_TIMEOUTS)]
    if found:
        checks.warn(
            TIMEOUTS,
            f"{', '.join(found)}: would end the service's sessions or transactions",
            "alter role ... set NAME = 0 for the replicator's user.",
        )
    else:
        checks.ok(TIMEOUTS, "none that end a session")


def _check_clock(connection: Connection, checks: Checklist, now: float) -> None:
    with translated():
        row = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
    seconds = (row[0] if row else now) - now
    if abs(seconds) > 10:
        checks.warn(
            CLOCK,
            f"the server's clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}",
            "Synchronise the clocks (NTP).",
        )
    else:
        checks.ok(CLOCK, "the clocks agree")
