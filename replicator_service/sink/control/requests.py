"""Requests of operators: left by commands in small tables, read by the leader's planner on a session of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.codec.elements import id_document
from replicator_service.core.naming import schema_name
from replicator_service.core.sessions import Request, RetriedDeadLetter
from replicator_service.sink.control import dead_letters, snapshot_pace
from replicator_service.sink.errors import translated
from replicator_service.sink.write.statements import beside_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.sessions import Pace, Tables
    from replicator_service.sink.connect.connection import Connection

_OPEN = """
select id, kind, collection, attempts from replicator.request where stream = %s and handled_at is null order by id
"""


class PostgresOperator:
    """Reads the requests of one stream, and looks at its tables, on a connection of its own."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream
        self._schema = schema_name(stream)

    def is_paused(self) -> bool:
        query = "select from replicator.pause where stream = %s"
        with translated():
            return bool(self._connection.execute(query, (self._stream,)).fetchall())

    def open_requests(self) -> Sequence[Request]:
        return open_requests(self._connection, self._stream)

    def retried_dead_letters(self, after: int, limit: int) -> Sequence[RetriedDeadLetter]:
        """One document is fetched at a time: a hundred may be 16 MB each, and only their ``_id`` is wanted."""
        return [
            RetriedDeadLetter(number, collection, key, id_document(document))
            for number, collection, key, document in dead_letters.retried(self._connection, self._stream, after, limit)
        ]

    def snapshot_pace(self) -> Pace:
        return snapshot_pace.read_pace(self._connection, self._stream)

    def with_rows(self, tables: Mapping[str, Tables]) -> set[str]:
        if not tables:
            return set()
        names = {table.name for each in tables.values() for table in each}
        existing = self._existing(names)
        arms = [
            (collection, table.name) for collection, each in tables.items() for table in each if table.name in existing
        ]
        queries = [
            sql.SQL("select {} where exists (select from {})").format(
                sql.Literal(collection), sql.Identifier(self._schema, table)
            )
            for collection, table in arms
        ]
        dead_letters = sql.SQL(
            "select distinct collection from replicator.dead_letter where stream = {} and collection = any({})"
        ).format(sql.Literal(self._stream), sql.Literal(list(tables)))
        with translated():
            return {name for (name,) in self._connection.execute(sql.SQL(" union ").join([*queries, dead_letters]))}

    def keys_after(self, collection: str, tables: Tables, after: str, limit: int) -> list[str]:
        # At the beginning everything is wanted: the empty text is a key as well.
        behind = sql.SQL(" and {} > %(after)s" if after else "")
        arms = [
            sql.SQL("(select distinct _id from {} where true{} order by _id limit %(limit)s)").format(
                beside_parameters(self._schema, table.name), behind.format(sql.SQL("_id"))
            )
            for table in tables
        ]
        dead_letters = sql.SQL(
            "(select distinct source_id from replicator.dead_letter where stream = %(stream)s "
            "and collection = %(collection)s{} order by source_id limit %(limit)s)"
        ).format(behind.format(sql.SQL("source_id")))
        query = sql.SQL("{} order by 1 limit %(limit)s").format(sql.SQL(" union ").join([*arms, dead_letters]))
        values = {"stream": self._stream, "collection": collection, "after": after, "limit": limit}
        with translated():
            return [key for (key,) in self._connection.execute(query, values)]

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _existing(self, names: set[str]) -> set[str]:
        query = (
            "select c.relname from pg_catalog.pg_class as c "
            "inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace "
            "where n.nspname = %s and c.relname = any(%s) and c.relkind in ('r', 'p')"
        )
        with translated():
            return {name for (name,) in self._connection.execute(query, (self._schema, list(names)))}


def open_requests(connection: Connection, stream: str) -> list[Request]:
    """Requests that wait, the oldest first."""
    with translated():
        return [Request(*row) for row in connection.execute(_OPEN, (stream,))]


def add_request(connection: Connection, stream: str, kind: str, collection: str | None) -> int:
    """Ask the leader for something; it is done between two batches, or at the next start."""
    statement = "insert into replicator.request (stream, kind, collection) values (%s, %s, %s) returning id"
    with translated():
        row = connection.execute(statement, (stream, kind, collection)).fetchone()
    return int(row[0]) if row else 0


def mark_tried(connection: Connection, request: int) -> None:
    """A request is begun."""
    with translated():
        connection.execute("update replicator.request set attempts = attempts + 1 where id = %s", (request,))


def mark_handled(connection: Connection, request: int, error: str | None) -> None:
    """A request is done, or it cannot be done, and why."""
    with translated():
        connection.execute(
            "update replicator.request set handled_at = now(), error = %s where id = %s", (error, request)
        )


def pause(connection: Connection, stream: str) -> None:
    """Pause the whole stream; again does nothing."""
    statement = "insert into replicator.pause (stream) values (%s) on conflict (stream) do nothing"
    with translated():
        connection.execute(statement, (stream,))


def resume(connection: Connection, stream: str) -> bool:
    """Let the stream continue; false when it was not paused."""
    with translated():
        return connection.execute("delete from replicator.pause where stream = %s", (stream,)).rowcount > 0
