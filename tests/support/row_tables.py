"""Replicated tables without a service: changes are written into them, and PostgreSQL says what they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bson
from psycopg import sql

from replicator_service.core.codec import CODEC_OPTIONS, encode_key
from replicator_service.core.errors import ReplicatorError
from replicator_service.core.events import Change, Operation
from replicator_service.core.mapping.model import (
    ChildTable,
    CollectionMapping,
    ColumnType,
    MappedColumn,
    TableSpec,
    TypedCollection,
    tables_of,
)
from replicator_service.core.replies import Reply
from replicator_service.core.rows import Encoder, RowGroup
from replicator_service.core.transform import compile_transform
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.write.rows import RowWriter
from replicator_service.sink.write.tables import ensure_schema, ensure_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.support.databases import Sink

Document = dict[str, Any]
SCHEMA = "shop"
TIME = 1_700_000_000 << 32

WAYS: dict[str, dict[str, int]] = {
    "as parameters": {},
    "by the staging table": {"small_lines": 0},
    "copied if new": {"small_lines": 0, "direct_documents": 1},
}
"""The ways in which a group may be written; no one can tell them apart by the rows."""


def typed(name: str, *children: str, columns: int = 0) -> TypedCollection:
    """A collection with a column of most types, and child tables for the arrays of these names."""
    return TypedCollection(
        name,
        name,
        (
            MappedColumn("name", ("name",), ColumnType.TEXT),
            MappedColumn("number", ("number",), ColumnType.DOUBLE_PRECISION),
            MappedColumn("price", ("price",), ColumnType.NUMERIC),
            MappedColumn("details", ("details",), ColumnType.JSONB),
            MappedColumn("tags", ("tags",), ColumnType.TEXT_ARRAY),
            *(MappedColumn(f"n{each}", (f"n{each}",), ColumnType.TEXT) for each in range(columns)),
        ),
        tuple(
            ChildTable(f"{name}_{child}"[-63:], (child,), (MappedColumn("value", ("value",), ColumnType.JSONB),))
            for child in children
        ),
    )


@dataclass
class RowTables:
    """The tables of some collections in a database, written to in one session."""

    sink: Sink
    mappings: Sequence[CollectionMapping]
    way: dict[str, int] = field(default_factory=dict)
    dsn: str | None = None

    def __post_init__(self) -> None:
        self.connection = connect(self.dsn or self.sink.dsn, application_name="test")
        self.transforms = {mapping.collection: compile_transform(mapping) for mapping in self.mappings}
        self.writer = RowWriter(self.connection, SCHEMA, None, **self.way)

    def make(self) -> None:
        """Make the tables."""
        ensure_schema(self.connection, SCHEMA)
        for mapping in self.mappings:
            ensure_tables(self.connection, SCHEMA, tables_of(mapping))

    def group(self, changes: Iterable[Change]) -> RowGroup:
        """Encode changes as the planner does."""
        return Encoder(self.transforms.__getitem__).encode(list(changes))

    def write(self, *changes: Change) -> int:
        """Write changes in a transaction of their own."""
        self.connection.execute("begin; set constraints all immediate")
        self.writer.begin()
        try:
            written = self.writer.write(self.group(changes))
        except ReplicatorError:
            self.writer.rolled_back()
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")
        return written

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement of somebody else, in a session of their own. Tables are in the search path."""
        with self.sink.connect() as connection:
            connection.execute(f"set search_path = {SCHEMA}, public")
            cursor = connection.execute(statement.encode(), prepare=False)
            return cursor.fetchall() if cursor.description else []

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """The key and the text of our columns of every row, by table."""
        return {
            table.name: self.connection.execute(
                sql.SQL("select _id, row({})::text from {} order by 1, 2").format(
                    _columns(table), sql.Identifier(SCHEMA, table.name)
                )
            ).fetchall()
            for mapping in self.mappings
            for table in tables_of(mapping)
        }

    def expected(self, documents: Mapping[str, Iterable[Document]]) -> dict[str, list[tuple[Any, ...]]]:
        """What :meth:`rows` gives when the tables hold exactly these documents, by collection."""
        found = {}
        with self.sink.connect() as connection:
            for collection, transform in self.transforms.items():
                lines: list[list[str]] = [[] for _ in transform.tables]
                for document in documents.get(collection, ()):
                    transform.write_exact(bson.encode(document), "2000-01-01 00:00:00+00", lines)
                for table, part in zip(transform.tables, lines, strict=True):
                    found[table.name] = _stored(connection, table, part)
        return found

    def versions(self, table: str) -> dict[str, str]:
        """Which version each row is: another one after the row was written."""
        statement = sql.SQL("select _id, xmin::text || ctid::text from {}").format(sql.Identifier(SCHEMA, table))
        return dict(self.connection.execute(statement).fetchall())


def change(operation: Operation, collection: str, document: Document, *, at: int = TIME) -> Change:
    """A change with its document; a delete needs only the `_id`."""
    key = document["_id"]
    if operation is Operation.DELETE:
        return Change(collection, encode_key(key), operation, at, None, 0, key)
    reply = Reply(bson.encode({"0": document}))
    assert bson.decode(reply.raw(0), CODEC_OPTIONS)
    return Change(collection, encode_key(key), operation, at, reply, 0, key)


def insert(collection: str, document: Document) -> Change:
    """A document that was inserted."""
    return change(Operation.INSERT, collection, document)


def update(collection: str, document: Document) -> Change:
    """A document that was updated, as it is now."""
    return change(Operation.UPDATE, collection, document)


def read(collection: str, document: Document) -> Change:
    """A document that a snapshot has read, later than the others."""
    return change(Operation.READ, collection, document, at=TIME + (60 << 32))


def delete(collection: str, key: object) -> Change:
    """A document that was deleted."""
    return change(Operation.DELETE, collection, {"_id": key})


def _columns(table: TableSpec) -> sql.Composed:
    names = (column.name for column in table.columns if column.name != "etl_valid_from")
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _stored(connection: Any, table: TableSpec, lines: Sequence[str]) -> list[tuple[Any, ...]]:
    kinds = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in table.columns
    )
    connection.execute(sql.SQL("create temporary table expected_rows ({})").format(kinds))
    with connection.cursor().copy("copy expected_rows from stdin") as copy:
        copy.write("".join(f"{line}\n" for line in lines).encode())
    query = sql.SQL("select _id, row({})::text from expected_rows order by 1, 2").format(_columns(table))
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    connection.execute("drop table expected_rows")
    return rows
