"""What PostgreSQL says of itself and of our user, gathered in a few statements; judged elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.ddl import identifier
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_PRIVILEGES = """
select
    current_user::text,
    pg_catalog.current_database()::text,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'),
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'temporary'),
    (
        select pg_catalog.array_agg(w.name order by w.name)
        from pg_catalog.unnest(%(schemas)s::text[]) as w (name)
        where not exists (select from pg_catalog.pg_namespace as n where n.nspname = w.name)
    ),
    (
        select pg_catalog.array_agg(n.nspname::text order by n.nspname)
        from pg_catalog.pg_namespace as n
        where n.nspname = any(%(schemas)s) and not pg_catalog.has_schema_privilege(n.oid, 'create')
    ),
    (
        select pg_catalog.array_agg(n.nspname::text order by n.nspname)
        from pg_catalog.pg_namespace as n
        where n.nspname = any(%(schemas)s) and not pg_catalog.has_schema_privilege(n.oid, 'usage')
    ),
    (
        select pg_catalog.array_agg(t.evtname::text order by t.evtname)
        from pg_catalog.pg_event_trigger as t
        where t.evtenabled in ('O', 'A') and t.evtevent <> 'login'
    )
"""

_STATE = """
select
    pg_catalog.pg_is_in_recovery(),
    (select s.reset_val from pg_catalog.pg_settings as s where s.name = 'default_transaction_read_only'),
    pg_catalog.current_setting('max_connections')::int
        - pg_catalog.current_setting('superuser_reserved_connections')::int
        - (select pg_catalog.count(*) from pg_catalog.pg_stat_activity where backend_type = 'client backend'),
    (
        select case when d.datconnlimit >= 0 then d.datconnlimit
            - (select pg_catalog.count(*) from pg_catalog.pg_stat_activity as a where a.datname = d.datname) end
        from pg_catalog.pg_database as d
        where d.datname = pg_catalog.current_database()
    ),
    (
        select case when r.rolconnlimit >= 0 then r.rolconnlimit
            - (select pg_catalog.count(*) from pg_catalog.pg_stat_activity as a where a.usename = r.rolname) end
        from pg_catalog.pg_roles as r
        where r.rolname = current_user
    ),
    (
        select pg_catalog.array_agg(s.name || ' = ' || s.reset_val order by s.name)
        from pg_catalog.pg_settings as s
        where s.name in ('idle_session_timeout', 'transaction_timeout', 'lock_timeout', 'statement_timeout')
            and s.reset_val <> '0'
    ),
    extract(epoch from pg_catalog.clock_timestamp())::float8
"""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server as our user finds it.

    ``missing_schemas`` do not exist yet, ``closed_schemas`` may not be created in, ``forbidden_schemas`` not even used.
    ``free`` counts connections that are left, by what limits them. ``seconds_ahead`` is how far the server's clock is.
    """

    version: int
    encoding: str
    user: str
    database: str
    may_create: bool
    may_use_temporary: bool
    missing_schemas: tuple[str, ...]
    closed_schemas: tuple[str, ...]
    forbidden_schemas: tuple[str, ...]
    event_triggers: tuple[str, ...]
    is_standby: bool
    is_read_only: bool
    free: dict[str, int]
    limits: tuple[str, ...]
    seconds_ahead: float

    @property
    def role(self) -> str:
        """The user as a statement names it."""
        return identifier(self.user)

    @property
    def quoted_database(self) -> str:
        """The database as a statement names it."""
        return identifier(self.database)


def gather_server(connection: Connection, schema: str, *, now: float) -> ServerInfo:
    """Ask the server; ``schema`` is that of the replicated tables, ``now`` the wall clock in seconds."""
    named = {"schemas": ["replicator", schema]}
    with translated(step="look at the server"):
        privileges = connection.execute(_PRIVILEGES, named).fetchone() or ("", "", *(None,) * 6)
        state = connection.execute(_STATE).fetchone() or (False, "off", 0, None, None, None, now)
    user, database, may_create, may_use_temporary, missing, closed, forbidden, event_triggers = privileges
    is_standby, read_only, of_server, of_database, of_role, limits, clock = state
    free = {"the server": of_server, "the database": of_database, "the user": of_role}
    return ServerInfo(
        version=connection.info.server_version,
        encoding=connection.info.parameter_status("server_encoding") or "",
        user=user,
        database=database,
        may_create=bool(may_create),
        may_use_temporary=bool(may_use_temporary),
        missing_schemas=tuple(missing or ()),
        closed_schemas=tuple(closed or ()),
        forbidden_schemas=tuple(forbidden or ()),
        event_triggers=tuple(event_triggers or ()),
        is_standby=bool(is_standby),
        is_read_only=read_only == "on",
        free={place: int(left) for place, left in free.items() if left is not None},
        limits=tuple(limits or ()),
        seconds_ahead=float(clock) - now,
    )
