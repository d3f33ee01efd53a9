"""Findings about the schema of documents: one row per collection, path and kind, however many documents there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.position import wall_time
from replicator_service.core.schema_findings import MAX_PATHS, OTHERS, FindingKind, PathCount, SchemaFinding, path_text
from replicator_service.sink.errors import translated
from replicator_service.sink.write.round_trip import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import MappedColumn, TypedCollection
    from replicator_service.core.schema_findings import Path
    from replicator_service.sink.connect.connection import Connection

_ADD = """
with found as (
    select collection, path, kind, sum(count)::bigint as count
    from rows from (
        pg_catalog.unnest(%(collections)s::text[]), pg_catalog.unnest(%(paths)s::text[]),
        pg_catalog.unnest(%(kinds)s::text[]), pg_catalog.unnest(%(counts)s::bigint[])
    ) as f (collection, path, kind, count)
    group by collection, path, kind
),

placed as (
    select
        f.collection,
        f.kind,
        f.count,
        case
            when k.path is not null
                or f.kind <> 'new_field'
                or (select count(*) from replicator.schema_finding as s
                    where s.stream = %(stream)s and s.collection = f.collection and s.kind = f.kind)
                + row_number() over (
                    partition by f.collection, f.kind, k.path is null order by f.count desc, f.path
                ) <= %(limit)s
                then f.path
            else %(others)s
        end as path
    from found as f
    left join replicator.schema_finding as k
        on k.stream = %(stream)s and k.collection = f.collection and k.path = f.path and k.kind = f.kind
)

insert into replicator.schema_finding as s (stream, collection, path, kind, first_seen, last_seen, count)
select %(stream)s, collection, path, kind, %(at)s, %(at)s, sum(count)::bigint
from placed
group by collection, path, kind
on conflict (stream, collection, path, kind) do update
    set last_seen = greatest(s.last_seen, excluded.last_seen), count = s.count + excluded.count
"""
"""The limit is looked at here, where what earlier commits and processes have found is known."""

_LIST = """
select collection, path, kind, first_seen, last_seen, count
from replicator.schema_finding
where stream = %s and (%s::text is null or collection = %s)
order by collection, kind, count desc, path
"""

_NEVER_FILLED = """
select a.attname::text
from pg_catalog.pg_attribute as a
inner join pg_catalog.pg_class as c on c.oid = a.attrelid
inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_stats as s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
where n.nspname = %s and c.relname = %s and a.attname = any(%s) and coalesce(s.null_frac, 1) = 1
"""
"""Columns that may have no value: the statistics know of none, or there are none. An exact look follows."""

_REPLACE_GONE = """
with found as (
    select path, count
    from rows from (pg_catalog.unnest(%(paths)s::text[]), pg_catalog.unnest(%(counts)s::bigint[])) as f (path, count)
),

ended as (
    delete from replicator.schema_finding as s
    where s.stream = %(stream)s and s.collection = %(collection)s and s.kind = 'gone'
        and s.path not in (select path from found)
)

insert into replicator.schema_finding as s (stream, collection, path, kind, first_seen, last_seen, count)
select %(stream)s, %(collection)s, path, 'gone', %(at)s, %(at)s, count
from found
on conflict (stream, collection, path, kind) do update
    set last_seen = greatest(s.last_seen, excluded.last_seen), count = excluded.count
"""


def additions(stream: str, findings: Sequence[PathCount], cluster_time: int) -> list[Query]:
    """What adds counts in the transaction of the rows they belong to: one statement, none for no findings."""
    if not findings:
        return []
    parameters = {
        "stream": stream,
        "collections": [each.collection for each in findings],
        "paths": [each.path for each in findings],
        "kinds": [each.kind.value for each in findings],
        "counts": [each.count for each in findings],
        "limit": MAX_PATHS,
        "others": OTHERS,
        "at": wall_time(cluster_time),
    }
    return [Query(_ADD.encode(), parameters)]


def add(connection: Connection, stream: str, findings: Sequence[PathCount], cluster_time: int) -> None:
    """The same, now."""
    with translated():
        for query in additions(stream, findings, cluster_time):
            connection.execute(query.statement, query.parameters)


def forgets(stream: str, collection: str) -> Query:
    """What begins anew: the collection is going to be read whole, or is not there any more."""
    return Query(b"delete from replicator.schema_finding where stream = %s and collection = %s", (stream, collection))


def forget(connection: Connection, stream: str, collection: str) -> None:
    """The same, now."""
    query = forgets(stream, collection)
    with translated():
        connection.execute(query.statement, query.parameters)


def move(connection: Connection, stream: str, collection: str, target: str) -> None:
    """The collection has another name now; what was known of that name before is forgotten."""
    forget(connection, stream, target)
    with translated():
        connection.execute(
            "update replicator.schema_finding set collection = %s where stream = %s and collection = %s",
            (target, stream, collection),
        )


def list_findings(connection: Connection, stream: str, collection: str | None = None) -> list[SchemaFinding]:
    """Findings by collection and kind, the most frequent first."""
    with translated():
        rows = connection.execute(_LIST, (stream, collection, collection)).fetchall()
    return [SchemaFinding(name, path, FindingKind(kind), *rest) for name, path, kind, *rest in rows]


def look_for_gone(
    connection: Connection, stream: str, schema: str, mapping: TypedCollection, cluster_time: int
) -> list[str]:
    """Find the mapped paths without a value in any row, store them as the collection's, and give them.

    Tables without rows say nothing. A path whose values do not fit is not gone. Reads PostgreSQL's statistics, and the
    table itself only where these know of no value: a whole scan for a column that is gone, a few rows for any other. So
    a column is found after the table was analyzed, which autovacuum does when a tenth of it has changed.
    """
    gone: dict[str, int] = {}
    misfits = {
        each.path for each in list_findings(connection, stream, mapping.collection) if each.kind is FindingKind.MISFIT
    }
    tables: list[tuple[str, Path, Sequence[MappedColumn]]] = [(mapping.table, (), mapping.columns)]
    tables += [(child.table, child.path, child.columns) for child in mapping.children]
    for table, above, columns in tables:
        paths = {column.name: path_text((*above, *column.path)) for column in columns if not column.from_parent}
        rows, empty = _empty_columns(connection, schema, table, list(paths))
        gone |= {paths[name]: rows for name in empty if paths[name] not in misfits}
    parameters = {
        "stream": stream,
        "collection": mapping.collection,
        "paths": list(gone),
        "counts": list(gone.values()),
        "at": wall_time(cluster_time),
    }
    with translated():
        connection.execute(_REPLACE_GONE, parameters)
    return list(gone)


def _empty_columns(connection: Connection, schema: str, table: str, columns: list[str]) -> tuple[int, list[str]]:
    """Return the number of rows, and the columns that are null in all of them; nothing for a table without rows."""
    target = sql.Identifier(schema, table)
    with translated():
        candidates = [row[0] for row in connection.execute(_NEVER_FILLED, (schema, table, columns))]
        if not candidates:
            return 0, []
        filled = sql.SQL(", ").join(
            sql.SQL("exists (select from {} where {} is not null)").format(target, sql.Identifier(name))
            for name in candidates
        )
        found = connection.execute(sql.SQL("select {}").format(filled)).fetchone() or ()
        empty = [name for name, is_filled in zip(candidates, found, strict=True) if not is_filled]
        if not empty:
            return 0, []
        row = connection.execute(sql.SQL("select count(*) from {}").format(target)).fetchone()
    rows = row[0] if row else 0
    return rows, empty if rows else []
