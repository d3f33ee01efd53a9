"""The journal of changed keys: for columns that somebody watches, the values before and after each write.

Other programs say in ``replicator.key_watch`` which columns they want to know about, and find the values of changed
rows in ``replicator.changed_key``: those that a row had before and those that it has now, so that a row that moves
from one user to another, or is deleted, names both. Values are noted in the transaction of the rows, before they are
written, by one statement a column: it reads the old values by the keys of the documents, and the new ones come with it.
A null instead of a value says that any may have changed.

What is watched is read with each commit and counts from the next transaction on, whose commit tells readers so
(``is_kept``). Where nobody watches, that question is all that the journal costs, and no round trip. No restart is
needed.

Nothing here waits for a reader: rows are only added, and watches that somebody holds locked are left for later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from psycopg import sql

from replicator_service.sink.errors import translated
from replicator_service.sink.write.array_text import array_text, column_text
from replicator_service.sink.write.checked import Checked
from replicator_service.sink.write.round_trip import Query
from replicator_service.sink.write.statements import beside_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.rows import CollectionRows, Rows
    from replicator_service.sink.connect.connection import Connection

MANY_READ = 1_000
"""So many documents read at once are a chunk of a snapshot: "anything" costs one row instead of thousands."""

MOST_DOCUMENTS = 10_000_000
"""After so many changed documents that a reader has not read, it is told with each commit that anything may have."""

_PIECE = 10_000
"""Rows without a reader are deleted so many with a commit."""

_WATCHES = b"""
select
    coalesce(
        pg_catalog.json_agg(pg_catalog.json_build_array(
            w.reader, w.table_name, w.key_column, w.is_kept, w.reads,
            w.read_at < pg_catalog.now() - interval '15 days'
        )),
        '[]'
    ),
    %s::text is null
from replicator.key_watch as w
where w.stream = %s
"""
_WATCHES_AND_ORPHANS = _WATCHES.replace(
    b"%s::text is null",
    b"""exists (
        select
        from replicator.changed_key as c
        where c.stream = %s and not exists (
            select from replicator.key_watch as o
            where o.reader = c.reader and o.stream = c.stream
                and o.table_name = c.table_name and o.key_column = c.key_column
        )
    )""",
)
"""The second column: whether there are rows without a watch. That is asked while there may be some."""

_KEEP = b"""
update replicator.key_watch as w
set is_kept = true
from (
    select k.reader, k.stream, k.table_name, k.key_column
    from replicator.key_watch as k
    where k.stream = %s and not k.is_kept
    for update skip locked
) as k
where (w.reader, w.stream, w.table_name, w.key_column) = (k.reader, k.stream, k.table_name, k.key_column)
"""

_FORGET = b"""
delete from replicator.key_watch as w
using (
    select k.reader, k.stream, k.table_name, k.key_column
    from replicator.key_watch as k
    where k.stream = %s and k.read_at < pg_catalog.now() - interval '15 days'
    for update skip locked
) as k
where (w.reader, w.stream, w.table_name, w.key_column) = (k.reader, k.stream, k.table_name, k.key_column)
"""

_SWEEP = b"""
delete from replicator.changed_key as c
where c.ctid = any(array(
    select o.ctid
    from replicator.changed_key as o
    where o.stream = %s and not exists (
        select from replicator.key_watch as w
        where w.reader = o.reader and w.stream = o.stream
            and w.table_name = o.table_name and w.key_column = o.key_column
    )
    limit %s
    for update skip locked
))
"""

_NOTE = """
insert into replicator.changed_key (reader, stream, table_name, key_column, key, cluster_time)
select
    r.reader, %s, %s, %s, k.key,
    coalesce((select c.cluster_time from replicator.checkpoint as c where c.stream = %s), 0)
from ({keys}) as k (key)
cross join pg_catalog.unnest(%s::text[]) as r (reader)
"""
_ANYTHING = sql.SQL(_NOTE).format(keys=sql.SQL("select null::text")).as_bytes()
_VALUES = """
select {column}::text from {table} where _id = any(%s::text[]) and {column} is not null
union
select n.value::{type}::text from pg_catalog.unnest(%s::text[]) as n (value)
"""
"""Old and new values; a new one is read as its type first, since that is how the table will write it."""


@dataclass(frozen=True, slots=True)
class _Watch:
    """One column of a table, and who watches it."""

    table: str
    column: str
    readers: tuple[str, ...]


class Journal:
    """What is watched in the tables of one stream, and the statements that note it. ``schema`` is the tables'."""

    def __init__(self, connection: Connection, schema: str, stream: str) -> None:
        self._connection = connection
        self._schema = schema
        self._stream = stream
        self._is_read = False
        self._has_unkept = False
        self._has_expired = False
        self._has_orphans = True
        self._watches: dict[str, list[_Watch]] = {}
        self._reads: dict[str, int] = {}
        self._documents: dict[str, int] = {}
        """Of each reader: how many changed documents it has not read, since this process knows of it."""

    def begin(self) -> None:
        """A transaction is going to begin: find out what is watched, unless the commit before it did.

        Whoever may write at the same time must be kept from committing by then.
        """
        if not self._is_read:
            question = self._question()
            with translated(step="look who watches keys"):
                self.learn(self._connection.execute(question.statement, question.parameters).fetchone())

    def closing(self) -> list[Query]:
        """The last statements before a commit, once it has been fenced. The answer of the last is for :meth:`learn`.

        A watch is kept from the first commit that was made with knowing of it. One that is marked here without being
        known is known after the question that follows; this transaction itself its reader sees.
        """
        queries = [Query(_KEEP, (self._stream,))] if self._has_unkept else []
        if self._has_expired:
            queries.append(Query(_FORGET, (self._stream,)))
        if self._has_orphans:
            queries.append(Query(_SWEEP, (self._stream, _PIECE)))
        return [*queries, self._question()]

    def learn(self, answer: Sequence[Any] | None) -> None:
        """From now on, what was watched then is noted. The transaction with the question has been committed."""
        found, has_orphans = answer or ([], False)
        readers: dict[tuple[str, str], list[str]] = {}
        for reader, table, column, _, reads, _ in found:
            readers.setdefault((table, column), []).append(reader)
            if self._reads.get(reader) != reads:
                self._reads[reader] = reads
                self._documents[reader] = 0
        self._watches = {}
        for (table, column), names in readers.items():
            self._watches.setdefault(table, []).append(_Watch(table, column, tuple(names)))
        self._has_unkept = not all(is_kept for _, _, _, is_kept, _, _ in found)
        # What is noted for a watch that has just been removed is in nobody's way, but has to go.
        self._has_expired = any(is_expired for *_, is_expired in found)
        self._has_orphans = self._has_expired or has_orphans
        self._is_read = True

    def _question(self) -> Query:
        return Query(_WATCHES_AND_ORPHANS if self._has_orphans else _WATCHES, (self._stream,) * 2)

    def before(self, collections: Iterable[CollectionRows]) -> list[Checked]:
        """What notes the keys of rows that are going to be written, those that they have and those that they get."""
        steps: list[Checked] = []
        for rows in collections if self._watches else ():
            if len(rows.read.keys) + len(rows.loaded.keys) >= MANY_READ:
                steps += self.anything(table.name for table in rows.tables)
                continue
            parts = (rows.inserted, rows.changed, rows.read, rows.loaded)
            ids = [*chain.from_iterable(part.keys for part in parts), *rows.deleted_keys]
            steps += self.of_rows(rows.tables, ids, parts)
        return steps

    def of_rows(self, tables: Sequence[TableSpec], ids: Sequence[str], new: Sequence[Rows] = ()) -> list[Checked]:
        """What notes the values that the rows of these documents have now, and those of new rows."""
        steps: list[Checked] = []
        if not self._watches or not ids:
            return steps
        for number, table in enumerate(tables):
            places = {column.name: place for place, column in enumerate(table.columns)}
            for watch in self._watches.get(table.name, ()):
                place = places.get(watch.column)
                if place is None or self._is_flooded(watch, len(ids)):
                    steps.append(self._anything(watch))
                    continue
                lines = chain.from_iterable(part.lines[number].each() for part in new if part.keys)
                values = (array_text(ids), column_text(lines, place))
                steps.append(self._note(watch, _values(self._schema, table, place), values))
        return steps

    def anything(self, tables: Iterable[str]) -> list[Checked]:
        """What notes that any value of these tables may have changed."""
        return [self._anything(watch) for name in tables for watch in self._watches.get(name, ())]

    def note(self, steps: Sequence[Checked]) -> None:
        """Run steps at once, on their own."""
        with translated(step="note which keys change"):
            for step in steps:
                self._connection.execute(step.query.statement, step.query.parameters)

    def _anything(self, watch: _Watch) -> Checked:
        return self._note(watch, _ANYTHING, ())

    def _note(self, watch: _Watch, statement: bytes, values: Sequence[object]) -> Checked:
        parameters = (self._stream, watch.table, watch.column, self._stream, *values, array_text(watch.readers))
        return Checked(Query(statement, parameters), ())

    def _is_flooded(self, watch: _Watch, documents: int) -> bool:
        for reader in watch.readers:
            self._documents[reader] += documents
        return max(self._documents[reader] for reader in watch.readers) > MOST_DOCUMENTS


@lru_cache(maxsize=1024)
def _values(schema: str, table: TableSpec, place: int) -> bytes:
    """The statement that notes the values of one column."""
    column = table.columns[place]
    keys = sql.SQL(_VALUES).format(
        column=beside_parameters(column.name),
        table=beside_parameters(schema, table.name),
        type=sql.SQL(column.type),
    )
    return sql.SQL(_NOTE).format(keys=keys).as_bytes()
