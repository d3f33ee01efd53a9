"""The raw limits of writing: COPY and one set-based merge, without anybody who reads or transforms.

The lines are made before the clock starts. The tables have exactly the shape and the indexes of the replicated ones,
and the batches are as large as the service's.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import bson
import psycopg
from psycopg import sql

from benchmarks.backlog import rounds
from devstack.rows import append_rows
from replicator_service.core.mapping.ddl import create_schema, create_statements
from replicator_service.core.replies import Reply
from replicator_service.core.transform import compile_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.documents import Document
    from replicator_service.core.mapping.model import CollectionMapping, TableSpec

DOCUMENTS_AT_ONCE = 10_000
"""As many as in a chunk of the service."""
ROUNDS_AT_ONCE = 20
"""As many changes as in a full batch of the service."""

_SCHEMA = "raw"
_VALID_FROM = "2026-01-01 00:00:00+00:00"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(slots=True)
class Batch:
    """What one transaction writes: COPY text by table, the parent first, and the keys to delete."""

    documents: int
    texts: list[bytes]
    deleted: list[str] = field(default_factory=list)


def batches_of(mapping: CollectionMapping, make: Callable[[int], Document], count: int) -> list[Batch]:
    """The rows of ``count`` documents."""
    starts = range(0, count, DOCUMENTS_AT_ONCE)
    return [
        _batch(mapping, [make(number) for number in range(start, min(start + DOCUMENTS_AT_ONCE, count))])
        for start in starts
    ]


def batches_of_backlog(mapping: CollectionMapping, events: int, existing: int) -> list[Batch]:
    """The rows of a backlog of changes: of each key in a batch the last state alone, as any consumer would."""
    batches = []
    remaining = rounds(events, existing)
    while part := list(islice(remaining, ROUNDS_AT_ONCE)):
        last: dict[Any, Document | None] = {}
        for each in part:
            last |= {document["_id"]: document for document in (*each.inserted, *each.updated)}
            last |= dict.fromkeys(each.deleted)
        batch = _batch(mapping, [document for document in last.values() if document is not None])
        batch.documents = sum(each.events for each in part)
        batch.deleted = [str(key) for key, document in last.items() if document is None]
        batches.append(batch)
    return batches


def _batch(mapping: CollectionMapping, documents: Sequence[Document]) -> Batch:
    transform = compile_transform(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    array = bson.encode({str(index): document for index, document in enumerate(documents)})
    append_rows(transform, Reply(array), _VALID_FROM, lines)
    texts = [("\n".join(each) + "\n").encode() if each else b"" for each in lines]
    return Batch(len(documents), texts)


@contextmanager
def raw_tables(dsn: str, tables: Sequence[TableSpec]) -> Iterator[RawWriter]:
    """Empty tables of this shape, dropped afterwards."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit to off")
        connection.execute(f"drop schema if exists {_SCHEMA} cascade")
        connection.execute(create_schema(_SCHEMA).encode())
        for table in tables:
            for statement in create_statements(_SCHEMA, table):
                connection.execute(statement.encode())
            connection.execute(_staging_ddl(table))
        yield RawWriter(connection, tables)
        connection.execute(f"drop schema {_SCHEMA} cascade")


class RawWriter:
    """Writes batches, one transaction each, and says how many documents a second."""

    def __init__(self, connection: Connection, tables: Sequence[TableSpec]) -> None:
        self._connection = connection
        self._tables = tables

    def copy(self, batches: Iterable[Batch]) -> float:
        """COPY straight into the tables."""
        return self._timed(batches, self._copied)

    def merge(self, batches: Iterable[Batch]) -> float:
        """COPY into staging tables, and one merge of each."""
        return self._timed(batches, self._merged)

    def _timed(self, batches: Iterable[Batch], write: Callable[[Batch], None]) -> float:
        documents = 0
        began = time.perf_counter()
        for batch in batches:
            with self._connection.transaction():
                write(batch)
            documents += batch.documents
        return documents / (time.perf_counter() - began)

    def _copied(self, batch: Batch) -> None:
        for table, text in zip(self._tables, batch.texts, strict=True):
            self._copy_text(sql.Identifier(_SCHEMA, table.name), table, text)

    def _merged(self, batch: Batch) -> None:
        for table, text in zip(self._tables, batch.texts, strict=True):
            self._copy_text(sql.Identifier("pg_temp", table.name), table, text)
            self._connection.execute(_merge(table))
            if batch.deleted:
                delete = sql.SQL("delete from {} where _id = any(%s)").format(sql.Identifier(_SCHEMA, table.name))
                self._connection.execute(delete, (batch.deleted,))

    def _copy_text(self, target: sql.Identifier, table: TableSpec, text: bytes) -> None:
        statement = sql.SQL("copy {} ({}) from stdin").format(target, _columns(table))
        with self._connection.cursor().copy(statement) as copy:
            copy.write(text)


def _columns(table: TableSpec) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)


def _staging_ddl(table: TableSpec) -> sql.Composed:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in table.columns
    )
    return sql.SQL("create temporary table {} ({}) on commit delete rows").format(sql.Identifier(table.name), columns)


def _merge(table: TableSpec) -> sql.Composed:
    columns = _columns(table)
    return sql.SQL("insert into {} ({}) select {} from {} on conflict ({}) do update set ({}) = row ({})").format(
        sql.Identifier(_SCHEMA, table.name),
        columns,
        columns,
        sql.Identifier("pg_temp", table.name),
        sql.SQL(", ").join(sql.Identifier(name) for name in table.primary_key),
        columns,
        sql.SQL(", ").join(sql.Identifier("excluded", column.name) for column in table.columns),
    )
