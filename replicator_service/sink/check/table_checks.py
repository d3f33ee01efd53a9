"""Checks of the replicated tables that exist: whether the mapping fits, and what would refuse rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import DocumentCollection, TableSpec, tables_of
from replicator_service.sink.control.registry import registered
from replicator_service.sink.errors import translated
from replicator_service.sink.overview.stream import is_installed
from replicator_service.sink.write.tables import plan_tables

if TYPE_CHECKING:
    from replicator_service.core.findings import Checklist
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.sink.connect.connection import Connection

CONFLICTS = "tables fit the mapping"
DURABLE = "tables are durable"
OWNED = "tables are writable"
CONSTRAINTS = "tables accept every row"
NAMES = (CONFLICTS, DURABLE, OWNED, CONSTRAINTS)

_TABLES = """
select
    c.relname::text,
    c.relpersistence <> 'p',
    pg_has_role(c.relowner, 'usage'),
    c.relrowsecurity
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = any(%(tables)s) and c.relkind in ('r', 'p')
order by c.relname
"""

_REFUSING = """
with replicated as (
    select c.oid, c.relname
    from pg_class as c
    inner join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = any(%(tables)s)
),

refusing as (
    select r.relname, 'constraint ' || k.conname as what
    from pg_constraint as k
    inner join replicated as r on r.oid = k.conrelid
    where k.contype in ('f', 'u', 'c', 'x')
    union all
    select r.relname, 'unique index ' || x.relname
    from pg_index as i
    inner join replicated as r on r.oid = i.indrelid
    inner join pg_class as x on x.oid = i.indexrelid
    where i.indisunique and not i.indisprimary
        and not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
    union all
    select r.relname, 'trigger ' || t.tgname
    from pg_trigger as t
    inner join replicated as r on r.oid = t.tgrelid
    where not t.tgisinternal and t.tgenabled in ('O', 'A')
    union all
    select r.relname, 'column ' || a.attname || ' not null'
    from pg_attribute as a
    inner join replicated as r on r.oid = a.attrelid
    where a.attnum > 0 and a.attnotnull and not a.attisdropped and not a.atthasdef and a.attidentity = ''
        and a.attname not in ('_id', '_ordinal', 'etl_valid_from')
)

select relname || ': ' || what
from refusing
order by relname, what
limit 20
"""


def check_tables(connection: Connection, stream: str, schema: str, mapping: Mapping | None, checks: Checklist) -> None:
    """Compare what the mapping wants with what is there."""
    if mapping is None or checks.failed("control tables"):
        checks.skip(*NAMES)
        return
    specs = _wanted(connection, stream, mapping)
    plans = plan_tables(connection, schema, specs)
    conflicts = [f"{schema}.{conflict}" for plan in plans for conflict in plan.conflicts]
    if conflicts:
        checks.fail(
            CONFLICTS,
            "; ".join(conflicts),
            "Leave the request with 'replicator resync COLLECTION': the tables are then built anew at the next start.",
        )
    else:
        checks.ok(CONFLICTS, _told(sum(plan.create for plan in plans), sum(not p.is_empty for p in plans), len(plans)))
    named = {"schema": schema, "tables": [spec.name for spec in specs]}
    with translated():
        tables = connection.execute(_TABLES, named).fetchall()
        refusing = [row[0] for row in connection.execute(_REFUSING, named)]
    _check_found(tables, refusing, schema, checks)


def _wanted(connection: Connection, stream: str, mapping: Mapping) -> list[TableSpec]:
    """The tables of every collection that the file names or that the stream has had."""
    specs = [spec for typed in mapping.collections for spec in tables_of(typed)]
    if not is_installed(connection):
        return specs
    mapped = {typed.collection for typed in mapping.collections}
    for each in registered(connection, stream):
        if each.collection not in mapped:
            specs += tables_of(DocumentCollection(each.collection, each.table_name))
    return specs


def _told(created: int, changed: int, total: int) -> str:
    if not changed:
        return f"{total} tables are as they should be" if total else "none yet"
    return f"{created} tables will be created, {changed - created} added to"


def _check_found(
    tables: list[tuple[str, bool, bool, bool]], refusing: list[str], schema: str, checks: Checklist
) -> None:
    unlogged = [name for name, is_unlogged, _, _ in tables if is_unlogged]
    if unlogged:
        checks.warn(
            DURABLE,
            f"unlogged: {', '.join(unlogged)}: empty after a crash, while the checkpoint is not",
            f"alter table {schema}.... set logged",
        )
    else:
        checks.ok(DURABLE, "none is unlogged")
    foreign = [name for name, _, is_owned, _ in tables if not is_owned]
    if foreign:
        checks.fail(
            OWNED, f"owned by another user: {', '.join(foreign)}", "alter table ... owner to the replicator's user."
        )
    else:
        checks.ok(OWNED, "owned by this user")
    refusing += [f"{name}: row security" for name, _, _, is_secured in tables if is_secured]
    if refusing:
        checks.warn(
            CONSTRAINTS,
            "; ".join(refusing),
            "Remove these from replicated tables: a state in between may break them, and what is refused becomes a "
            "dead letter. Use a view or a copy where they are needed.",
        )
    else:
        checks.ok(CONSTRAINTS, "nothing refuses rows")
