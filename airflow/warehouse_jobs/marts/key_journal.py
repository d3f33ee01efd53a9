"""The replicator's journal of changed keys (``replicator.key_watch``, ``replicator.changed_key``), as a mart reads it.

Everything is read in the snapshot of the load and deleted in its transaction: what a load has seen is what it has
taken, and what commits meanwhile waits for the next one. There are no times to compare, so nothing is missed when
clocks, histories or transaction ids begin anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor

_IS_USABLE = """
    select count(*) = 2
    from pg_catalog.pg_namespace as space
    join pg_catalog.pg_class as relation on relation.relnamespace = space.oid
    where space.nspname = 'replicator'
        and relation.relname in ('key_watch', 'changed_key')
        and has_schema_privilege(space.oid, 'usage')
        and has_table_privilege(relation.oid, 'select')
        and has_table_privilege(relation.oid, 'delete')
        and (relation.relname = 'changed_key' or has_table_privilege(relation.oid, 'insert'))
        and (relation.relname = 'changed_key' or has_table_privilege(relation.oid, 'update'))
"""

# A mart that has missed something, by an undone load or a backup of one schema alone, finds other numbers than it left.
_STATE = """
    select md5(
        string_agg(concat_ws('/', stream, table_name, key_column, reads), ',' order by stream, table_name, key_column)
    )
    from replicator.key_watch
    where reader = %s
    having bool_and(is_kept)
"""

_DECLARE = """
    insert into replicator.key_watch (reader, stream, table_name, key_column)
    select %(reader)s, wanted.stream, wanted.table_name, wanted.key_column
    from rows from (unnest(%(streams)s::text[]), unnest(%(tables)s::text[]), unnest(%(columns)s::text[]))
        as wanted (stream, table_name, key_column)
    on conflict do nothing
"""
_END_OTHERS = """
    delete from replicator.key_watch as watch
    where reader = %(reader)s and not exists (
        select
        from rows from (unnest(%(streams)s::text[]), unnest(%(tables)s::text[]), unnest(%(columns)s::text[]))
            as wanted (stream, table_name, key_column)
        where (wanted.stream, wanted.table_name, wanted.key_column)
            = (watch.stream, watch.table_name, watch.key_column)
    )
"""

# Of a watch that is not kept yet nothing is counted: the service must not wait for this transaction to keep it.
_TAKE = """
    update replicator.key_watch set reads = reads + 1, read_at = clock_timestamp() where reader = %s and is_kept
"""

CHANGED_KEYS = sql.SQL("select key from replicator.changed_key where reader = {reader} and key is not null")
"""The keys that a mart has not taken yet."""


def reader_of(mart: Mart) -> str:
    """The name under which a mart watches keys."""
    return f"mart.{mart.name}"


def is_usable(cursor: Cursor) -> bool:
    """Whether the replicator keeps a journal that this role may read and delete from."""
    return cast("tuple[bool]", cursor.execute(_IS_USABLE).fetchone())[0]


def state(cursor: Cursor, mart: Mart) -> str | None:
    """What the journal looks like to this mart; None while it is not kept. It is another after each :func:`take`."""
    row = cast("tuple[str | None] | None", cursor.execute(_STATE, [reader_of(mart)]).fetchone())
    return row[0] if row else None


def has_anything(cursor: Cursor, mart: Mart) -> bool:
    """Whether any key may have changed: a table was read again, emptied or renamed."""
    query = "select exists (select from replicator.changed_key where reader = %s and key is null)"
    return cast("tuple[bool]", cursor.execute(query, [reader_of(mart)]).fetchone())[0]


def take(cursor: Cursor, mart: Mart, columns: Sequence[tuple[str, str, str]]) -> str | None:
    """Watch these columns (stream, table, column), delete what the snapshot shows, and give the state after that."""
    reader = reader_of(mart)
    streams, tables, names = (list(each) for each in zip(*columns, strict=True))
    wanted = {"reader": reader, "streams": streams, "tables": tables, "columns": names}
    cursor.execute(_END_OTHERS, wanted)
    cursor.execute(_DECLARE, wanted)
    cursor.execute("delete from replicator.changed_key where reader = %s", [reader])
    cursor.execute(_TAKE, [reader])
    return state(cursor, mart)
