"""What replicated tables are like and what others have hung on them, gathered in a few statements for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.ddl import identifier
from replicator_service.sink.errors import translated
from replicator_service.sink.write.tables import plan_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from replicator_service.core.mapping.evolution import Evolution
    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

_NEEDED = ["select", "insert", "update", "delete"]

_REPLICATED = """
with replicated as (
    select c.oid, c.relname::text as name, c.relowner, c.relpersistence
    from pg_catalog.pg_class as c
    where c.relnamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = %(schema)s)
        and c.relname = any(%(tables)s) and c.relkind in ('r', 'p')
)
"""

_TABLES = (
    _REPLICATED  # noqa: S608 - constants alone
    + """
select
    r.name,
    r.relpersistence <> 'p',
    pg_catalog.pg_has_role(r.relowner, 'usage'),
    pg_catalog.row_security_active(r.oid),
    (
        select pg_catalog.array_agg(p.name order by p.place)
        from pg_catalog.unnest(%(privileges)s::text[]) with ordinality as p (name, place)
        where not pg_catalog.has_table_privilege(r.oid, p.name)
    )
from replicated as r
order by r.name
"""
)

_REFUSING = (
    _REPLICATED
    + """
select
    r.name,
    'constraint ' || k.conname,
    pg_catalog.format('alter table %%I.%%I drop constraint %%I', %(schema)s::text, r.name, k.conname)
from pg_catalog.pg_constraint as k
inner join replicated as r on r.oid = k.conrelid
where k.contype in ('f', 'u', 'c', 'x')
union all
select
    r.name,
    'unique index ' || x.relname,
    pg_catalog.format('drop index %%I.%%I', %(schema)s::text, x.relname)
from pg_catalog.pg_index as i
inner join replicated as r on r.oid = i.indrelid
inner join pg_catalog.pg_class as x on x.oid = i.indexrelid
where i.indisunique and not i.indisprimary
    and not exists (select from pg_catalog.pg_constraint as k where k.conindid = i.indexrelid)
union all
select
    r.name,
    'trigger ' || t.tgname,
    pg_catalog.format('drop trigger %%I on %%I.%%I', t.tgname, %(schema)s::text, r.name)
from pg_catalog.pg_trigger as t
inner join replicated as r on r.oid = t.tgrelid
where not t.tgisinternal and t.tgenabled in ('O', 'A')
union all
select
    r.name,
    'column ' || a.attname || ' not null',
    pg_catalog.format(
        'alter table %%I.%%I alter column %%I drop not null', %(schema)s::text, r.name, a.attname
    )
from pg_catalog.pg_attribute as a
inner join replicated as r on r.oid = a.attrelid
where a.attnum > 0 and a.attnotnull and not a.attisdropped and not a.atthasdef and a.attidentity = ''
    and a.attname not in ('_id', '_ordinal', 'etl_valid_from')
order by 1, 2
"""
)

_RULES = (
    _REPLICATED
    + """
select
    r.name,
    'rule ' || w.rulename,
    pg_catalog.format('drop rule %%I on %%I.%%I', w.rulename, %(schema)s::text, r.name),
    w.is_instead or w.ev_type in ('2', '3')
from pg_catalog.pg_rewrite as w
inner join replicated as r on r.oid = w.ev_class
where w.ev_enabled in ('O', 'A')
order by 1, 2
"""
)

_DEPENDING = (
    _REPLICATED
    + """
select
    r.name,
    n.nspname || '.' || o.relname || ' references it (' || k.conname || ')'
        || case k.confdeltype
            when 'c' then ', and loses its rows with ours'
            when 'n' then ', and loses its values with our rows'
            when 'd' then ', and loses its values with our rows'
            else ', and keeps our rows from being deleted'
        end,
    pg_catalog.format('alter table %%I.%%I drop constraint %%I', n.nspname, o.relname, k.conname)
from pg_catalog.pg_constraint as k
inner join replicated as r on r.oid = k.confrelid
inner join pg_catalog.pg_class as o on o.oid = k.conrelid
inner join pg_catalog.pg_namespace as n on n.oid = o.relnamespace
where k.contype = 'f'
union all
select
    r.name,
    n.nspname || '.' || o.relname || ' inherits from it, so its rows are seen and deleted with ours',
    pg_catalog.format('alter table %%I.%%I no inherit %%I.%%I', n.nspname, o.relname, %(schema)s::text, r.name)
from pg_catalog.pg_inherits as i
inner join replicated as r on r.oid = i.inhparent
inner join pg_catalog.pg_class as o on o.oid = i.inhrelid and not o.relispartition
inner join pg_catalog.pg_namespace as n on n.oid = o.relnamespace
order by 1, 2
"""
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that others have made: on which table, what it is, and the statement that takes it away."""

    table: str
    what: str
    statement: str
    is_fatal: bool = False


@dataclass(frozen=True, slots=True)
class TableState:
    """One table that exists: whether a crash empties it, whether it is ours, what our user may not do with it."""

    name: str
    is_unlogged: bool
    is_owned: bool
    is_secured: bool
    forbidden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableInfo:
    """Replicated tables, those that exist and those that will. ``known`` are of collections that were here before."""

    schema: str
    user: str
    plans: tuple[Evolution, ...]
    known: frozenset[str]
    states: tuple[TableState, ...]
    refusing: tuple[Obstacle, ...]
    rules: tuple[Obstacle, ...]
    depending: tuple[Obstacle, ...]

    @property
    def role(self) -> str:
        """The user as a statement names it."""
        return identifier(self.user)


def gather_tables(
    connection: Connection, schema: str, tables: Sequence[TableSpec], known: Collection[str] = ()
) -> TableInfo:
    """Look at these tables, in a constant number of statements."""
    named = {"schema": schema, "tables": [table.name for table in tables], "privileges": _NEEDED}
    plans = plan_tables(connection, schema, tables)
    with translated(step=f"look at the tables of the schema {schema}"):
        states = connection.execute(_TABLES, named).fetchall()
        refusing = connection.execute(_REFUSING, named).fetchall()
        rules = connection.execute(_RULES, named).fetchall()
        depending = connection.execute(_DEPENDING, named).fetchall()
        row = connection.execute("select current_user::text").fetchone()
    return TableInfo(
        schema=schema,
        user=row[0] if row else "",
        plans=tuple(plans),
        known=frozenset(known),
        states=tuple(TableState(each[0], each[1], each[2], each[3], tuple(each[4] or ())) for each in states),
        refusing=tuple(Obstacle(*each) for each in refusing),
        rules=tuple(Obstacle(*each) for each in rules),
        depending=tuple(Obstacle(*each) for each in depending),
    )
