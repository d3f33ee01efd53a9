"""Both sides compared exactly, while everybody goes on writing.

1. A repeatable-read snapshot of PostgreSQL is opened; the checkpoint in it says which cluster time it shows.
2. MongoDB is read at exactly this cluster time.
3. Its documents become the rows that they should be, in temporary tables.
4. PostgreSQL compares these with the rows that are there, value by value, in its own types.

Only ``etl_valid_from`` is not compared: a document does not say when it was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from devstack.rows import append_rows
from replicator_service.core.mapping.model import DocumentCollection, Mapping, TableSpec
from replicator_service.core.mapping.resolution import mapping_for
from replicator_service.core.naming import schema_name
from replicator_service.core.transform import compile_transform
from replicator_service.source.connect.connection import server_info
from replicator_service.source.read.mongo import MongoSource, Range

if TYPE_CHECKING:
    from pymongo import MongoClient

    from replicator_service.core.mapping.model import CollectionMapping

_ANY_TIME = "2000-01-01 00:00:00+00"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table: the rows that MongoDB's documents make, those that are there, and the differences by kind."""

    collection: str
    table: str
    is_child: bool
    expected: int
    rows: int
    missing: int
    unexpected: int
    different: int

    @property
    def differences(self) -> int:
        """All differences together."""
        return self.missing + self.unexpected + self.different


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every table at one cluster time."""

    cluster_time: int
    tables: list[TableComparison]

    @property
    def differences(self) -> int:
        """Those of all tables."""
        return sum(table.differences for table in self.tables)

    @property
    def documents(self) -> int:
        """Documents in MongoDB."""
        return sum(table.expected for table in self.tables if not table.is_child)


def compare(client: MongoClient[dict[str, Any]], database: str, dsn: str, mapping: Mapping) -> Comparison:
    """Compare every collection that the service knows. Changes nothing on either side."""
    reader = MongoSource(client, client[database], server_info(client, client[database]))
    try:
        with psycopg.connect(dsn) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("set local timezone to 'UTC'")
            at = _checkpoint(connection, database)
            tables = [
                compared
                for each in _collections(connection, database, mapping)
                for compared in _compare_collection(connection, reader, each, schema_name(database), at)
            ]
            connection.rollback()
    finally:
        reader.close()
    return Comparison(at, tables)


def _checkpoint(connection: Connection, stream: str) -> int:
    row = connection.execute("select cluster_time from replicator.checkpoint where stream = %s", (stream,)).fetchone()
    if row is None:
        raise LookupError(f"the stream {stream} has no checkpoint")
    return int(row[0])


def _collections(connection: Connection, stream: str, mapping: Mapping) -> list[CollectionMapping]:
    query = "select collection, table_name from replicator.collection where stream = %s order by table_name"
    found: list[CollectionMapping] = []
    for collection, table in connection.execute(query, (stream,)).fetchall():
        mapped = mapping_for(mapping, collection, ())
        if isinstance(mapped, DocumentCollection):
            mapped = mapping.document_collection(collection, table)
        found.append(mapped)
    return found


def _compare_collection(
    connection: Connection, reader: MongoSource, mapping: CollectionMapping, schema: str, at: int
) -> list[TableComparison]:
    transform = compile_transform(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    for table in transform.tables:
        connection.execute(_CREATE.format(_expected(table), sql.Identifier(schema, table.name)))
    for reply in reader.documents(mapping.collection, Range(), at=at):
        append_rows(transform, reply, _ANY_TIME, lines)
        for table, waiting in zip(transform.tables, lines, strict=True):
            _copy(connection, table, waiting)
            waiting.clear()
    return [
        TableComparison(mapping.collection, table.name, len(table.primary_key) > 1, *_counts(connection, table, schema))
        for table in transform.tables
    ]


_CREATE = sql.SQL("create temporary table {} (like {}) on commit drop")
_COMPARE = sql.SQL(
    "select count(expected._id), count(kept._id), count(*) filter (where kept._id is null), "
    "count(*) filter (where expected._id is null), count(*) filter (where expected._id is not null "
    "and kept._id is not null and ({}) is distinct from ({})) from {} as expected full join {} as kept using ({})"
)


def _counts(connection: Connection, table: TableSpec, schema: str) -> tuple[int, ...]:
    values = [column.name for column in table.columns if column.name not in (*table.primary_key, "etl_valid_from")]
    query = _COMPARE.format(
        sql.SQL(", ").join(sql.Identifier("expected", name) for name in values),
        sql.SQL(", ").join(sql.Identifier("kept", name) for name in values),
        _expected(table),
        sql.Identifier(schema, table.name),
        sql.SQL(", ").join(sql.Identifier(name) for name in table.primary_key),
    )
    row = connection.execute(query).fetchone()
    return tuple(row or ())


def _copy(connection: Connection, table: TableSpec, lines: list[str]) -> None:
    if not lines:
        return
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    statement = sql.SQL("copy {} ({}) from stdin").format(_expected(table), columns)
    with connection.cursor().copy(statement) as copy:
        copy.write("\n".join(lines) + "\n")


def _expected(table: TableSpec) -> sql.Identifier:
    return sql.Identifier("pg_temp", table.name)
