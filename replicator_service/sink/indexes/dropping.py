"""Taking the mapping's indexes off tables that are empty, before they are filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.naming import index_name
from replicator_service.sink.errors import translated
from replicator_service.sink.indexes.ending import end_builds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

_OURS = """
select k.relname::text
from pg_catalog.pg_index as i
inner join pg_catalog.pg_class as k on k.oid = i.indexrelid
inner join pg_catalog.pg_class as c on c.oid = i.indrelid
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = any(%s) and k.relname = any(%s) and not i.indisprimary
    and not i.indisclustered and not i.indisreplident
"""


def drop_indexes(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Drop the indexes that the builder has made, in the open transaction; it makes them again after the load.

    They only cost time, so nobody is waited for, but autovacuum, which gives way after ``deadlock_timeout`` (1 s):
    while somebody reads one of the tables, all stay.
    """
    names = [index_name(table.name, columns) for table in tables for columns in table.indexes]
    if not names:
        return
    with translated(step=f"look at the indexes of the schema {schema}"):
        found = connection.execute(_OURS, (schema, [table.name for table in tables], names)).fetchall()
    if not found:
        return
    end_builds(connection, schema, [table.name for table in tables])
    dropped = sql.SQL(", ").join(sql.Identifier(schema, name) for (name,) in found)
    with translated(step=f"drop indexes of the schema {schema} before a load"):
        connection.execute("savepoint dropping; set local lock_timeout = '2s'")
        try:
            connection.execute(sql.SQL("drop index {}").format(dropped))
        except psycopg.Error:
            # Whatever keeps them (a lock, an event trigger, what depends on them): it is only slower with them.
            if connection.closed:
                raise
            connection.execute("rollback to savepoint dropping")
        connection.execute("release savepoint dropping; set local lock_timeout = 0")
