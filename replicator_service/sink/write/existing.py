"""Tables as they are, read from PostgreSQL's catalog: many in one statement, with constant work for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import postgres

from replicator_service.core.mapping.evolution import ExistingColumn, ExistingTable
from replicator_service.core.mapping.model import ColumnType
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.sink.connect.connection import Connection


def _oid(type_: ColumnType) -> int:
    info = postgres.types[(type_.element or type_).value]
    return info.oid if type_.element is None else info.array_oid


TYPE_NAMES = {_oid(each): each.value for each in ColumnType}
"""The mapping's types by the object identifiers that PostgreSQL has given them for good (``pg_type.dat``).

How a type is displayed depends on settings and on the search path, and ``numeric(10,2)`` is another type than
``numeric``: that is the modifier.
"""

_TABLES = """
select
    c.relname::text,
    c.relkind::text,
    c.relnatts::integer,
    (
        select pg_catalog.json_agg(
            pg_catalog.json_build_array(
                a.attname,
                a.atttypid::bigint,
                a.atttypmod,
                pg_catalog.format_type(a.atttypid, a.atttypmod),
                a.attgenerated <> '' or a.attidentity = 'a',
                case when not l.collisdeterministic then l.collname end,
                coalesce(pg_catalog.col_description(a.attrelid, a.attnum), '')
            )
            order by a.attnum
        )
        from pg_catalog.pg_attribute as a
        left join pg_catalog.pg_collation as l on l.oid = a.attcollation
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ),
    k.has_key,
    k.columns,
    (
        select pg_catalog.json_agg(
            (
                select pg_catalog.json_agg(a.attname order by u.position)
                from pg_catalog.unnest(i.indkey::smallint[]) with ordinality as u (attnum, position)
                inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = u.attnum
            )
        )
        from pg_catalog.pg_index as i
        where i.indrelid = c.oid and i.indpred is null and i.indexprs is null and i.indisvalid
    ),
    coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''),
    pg_catalog.pg_has_role(c.relowner, 'usage')
from pg_catalog.pg_class as c
left join lateral (
    select
        true as has_key,
        case when i.indisvalid and i.indimmediate then (
            select pg_catalog.array_agg(a.attname::text order by u.position)
            from pg_catalog.unnest(p.conkey) with ordinality as u (attnum, position)
            inner join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = u.attnum
        ) end as columns
    from pg_catalog.pg_constraint as p
    inner join pg_catalog.pg_index as i on i.indexrelid = p.conindid
    where p.conrelid = c.oid and p.contype = 'p'
) as k on true
where c.relnamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = %s)
    and c.relname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""
"""``indimmediate``: a deferrable key cannot serve ``on conflict``."""


_TAKEN = """
select c.relname::text
from pg_catalog.pg_class as c
where c.relnamespace = (select n.oid from pg_catalog.pg_namespace as n where n.nspname = %s) and c.relname = any(%s)
"""


def taken_names(connection: Connection, schema: str, names: Sequence[str]) -> set[str]:
    """Those of the names that some table, key or index of the schema has."""
    with translated(step=f"look at the names of the schema {schema}"):
        return {row[0] for row in connection.execute(_TAKEN, (schema, list(names)))}


def existing_tables(connection: Connection, schema: str, names: Sequence[str]) -> dict[str, ExistingTable]:
    """Those of the tables that exist, by name."""
    with translated(step=f"look at the tables of the schema {schema}"):
        rows = connection.execute(_TABLES, (schema, list(names))).fetchall()
    return {row[0]: _table(*row[1:]) for row in rows}


def _table(
    kind: str,
    attributes: int,
    columns: list[list[Any]] | None,
    has_key: bool | None,  # noqa: FBT001 - a row of the query
    key: list[str] | None,
    indexes: list[list[str]] | None,
    comment: str,
    is_owned: bool,  # noqa: FBT001 - a row of the query
) -> ExistingTable:
    return ExistingTable(
        columns={str(name): _column(*values) for name, *values in columns or ()},
        key=tuple(key or ()),
        has_other_key=bool(has_key and not key),
        indexes=frozenset(map(tuple, indexes or ())),
        attributes=attributes,
        kind=kind,
        comment=comment,
        may_describe=is_owned,
    )


def _column(
    oid: int,
    modifier: int,
    displayed: str,
    is_generated: bool,  # noqa: FBT001 - a row of the query
    loose_collation: str | None,
    comment: str,
) -> ExistingColumn:
    """A column by its type; a collation that takes two texts for one is another type."""
    name = TYPE_NAMES.get(oid) if modifier == -1 else None
    if loose_collation is not None:
        return ExistingColumn(f'{displayed} collate "{loose_collation}"', is_generated, comment)
    return ExistingColumn(displayed if name is None else name, is_generated, comment)
