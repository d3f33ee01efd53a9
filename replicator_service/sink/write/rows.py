"""Row groups into tables. There is one meaning of writing.

For every key of the group, the tables hold exactly the rows of its document afterwards, whatever was there before:

1. Elements of arrays that documents do not have any more are deleted, then the rows of deleted documents, children
   before parents.
2. Rows are merged, parents before children: PostgreSQL sees updates as updates, so no index entry is written for a
   column that stays, and what others have hung on a row stays. Child rows, and rows of documents that were only read,
   are not touched unless they differ.
3. Everything is counted: a rule, a trigger or a policy of somebody else that drops or alters rows ends the write.

All of that is sent at once, however many collections there are. The rows of a small group go along; those of a large
one are copied into the staging table before. Copying straight into a table is an optimisation for many documents none
of which has a row anywhere yet.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from replicator_service.sink.errors import translated
from replicator_service.sink.write.array_text import array_text, column_texts
from replicator_service.sink.write.checked import Checked, require_rows, run_checked
from replicator_service.sink.write.round_trip import Query
from replicator_service.sink.write.staging import Staging
from replicator_service.sink.write.statements import Statements, any_of_keys, compose, count_of_keys, plan_by_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.core.lines import Lines
    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.rows import CollectionRows, RowGroup, Rows
    from replicator_service.sink.connect.connection import Connection
    from replicator_service.sink.write.journal import Journal
    from replicator_service.sink.write.round_trip import Row

SMALL_LINES = 100
SMALL_BYTES = 2**18
"""So much costs less as parameters than two round trips of a COPY and a staging table that a commit has to empty."""

DIRECT_DOCUMENTS = 1_000
"""For so many documents it pays to ask whether any has rows: a copy costs half of what a merge does."""


class _Merge(NamedTuple):
    """Rows of one table."""

    table: TableSpec
    lines: Lines
    only_different: bool


class _Write(NamedTuple):
    """What becomes of one collection's rows: some are copied straight into the tables, the others merged."""

    rows: CollectionRows
    copied: list[Rows]
    merged: list[Rows]

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """The parent first."""
        return self.rows.tables


class RowWriter:
    """Writes row groups in the transaction that is open on ``connection``.

    ``small_lines`` and ``direct_documents`` are bounds of ways to write that differ in cost alone.
    """

    def __init__(
        self,
        connection: Connection,
        schema: str,
        journal: Journal | None = None,
        *,
        small_lines: int = SMALL_LINES,
        direct_documents: int = DIRECT_DOCUMENTS,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._journal = journal
        self._small_lines = small_lines
        self._direct_documents = direct_documents
        self._statements: dict[TableSpec, Statements] = {}
        self._staging = Staging(connection)
        self._targets = 0
        """So many targets of the staging table are taken in this transaction."""
        self._first: Sequence[Checked] = ()
        """What is sent with the next statements, before them."""

    def write(self, group: RowGroup, first: Sequence[Checked] = ()) -> int:
        """Write every row of the group and return how many there were.

        ``first`` is sent before anything else, with it: the server is not waited for twice.

        Raises :class:`RecordRejected` when PostgreSQL refuses a row, and :class:`Fatal` when it has not done what it
        was told: the transaction, or its savepoint, has to be rolled back.
        """
        self._first = first
        writes = self._divide(list(group.collections.values()))
        noted = self._journal.before(group.collections.values()) if self._journal else []
        merges = [merge for write in writes for merge in _merges(write)]
        deletes = [step for write in writes for step in self._deletes(write)]
        merged = self._merged(merges)
        counts = [self._counted(write) for write in writes if _is_counted(write)]
        if noted or deletes or counts:
            self._look_up([*noted, *deletes, *merged, *counts])
        else:
            self._run(merged)
        for write in writes:
            for part in write.copied:
                self._copy(write.tables, part)
        return sum(_count(write.rows) for write in writes)

    def delete(self, tables: Sequence[TableSpec], keys: Sequence[str]) -> None:
        """Delete the rows of these keys from all tables of a collection."""
        wanted = array_text(keys)
        steps = [Checked(Query(self.statements(table).delete, (wanted,)), (table,)) for table in reversed(tables)]
        count = Query(count_of_keys(self._schema, tables), [wanted] * len(tables))
        noted = self._journal.of_rows(tables, keys) if self._journal else ()
        self._look_up([*noted, *steps, Checked(count, tuple(tables), (0,) * len(tables))])

    def begin(self) -> None:
        """A transaction begins: each commit has emptied the staging table."""
        self._targets = 0

    def rolled_back(self) -> None:
        """A staging table that was made in the part that was rolled back does not exist."""
        self._staging.forget()

    def statements(self, table: TableSpec) -> Statements:
        """The statements of a table, composed at first use."""
        found = self._statements.get(table)
        if found is None:
            found = self._statements[table] = compose(self._schema, table)
        return found

    def _divide(self, collections: Sequence[CollectionRows]) -> list[_Write]:
        """Ask of large parts whether any of their documents has a row in any table; those without are copied.

        Of what is loaded that is known.
        """
        large = [
            (rows, part)
            for rows in collections
            for part in (rows.inserted, rows.read)
            if len(part.keys) >= self._direct_documents
        ]
        answers = self._look_up(
            [
                Checked(Query(any_of_keys(self._schema, rows.tables), [array_text(part.keys)] * len(rows.tables)), ())
                for rows, part in large
            ]
        )
        new = {id(part) for (_, part), found in zip(large, answers, strict=True) if not any(found or ())}
        new |= {id(rows.loaded) for rows in collections if len(rows.loaded.keys) >= self._direct_documents}
        return [
            _Write(
                rows,
                [part for part in _parts(rows) if id(part) in new],
                [part for part in _parts(rows) if id(part) not in new],
            )
            for rows in collections
        ]

    def _look_up(self, steps: Sequence[Checked]) -> list[Row | None]:
        """Run statements that look rows up by keys of which a document may have many rows."""
        if not steps:
            return []
        before, after = (Checked(Query(plan_by_key(only=only), ()), ()) for only in (True, False))
        return self._run([before, *steps, after])[1:-1]

    def _run(self, steps: Sequence[Checked]) -> list[Row | None]:
        """Run statements after those that come first, in one round trip."""
        first, self._first = self._first, ()
        return run_checked(self._connection, self._schema, [*first, *steps])[len(first) :]

    def _deletes(self, write: _Write) -> Iterator[Checked]:
        """Elements that documents do not have any more, then deleted documents: children before parents."""
        deleted = write.rows.deleted_keys
        keys = _keys(write)
        if not keys:
            return
        for child, table in enumerate(write.tables[1:]):
            elements = chain.from_iterable(part.elements(child) for part in write.merged)
            counts = ",".join(map(str, chain(elements, [0] * len(deleted))))
            yield Checked(Query(self.statements(table).keep, (array_text(keys), f"{{{counts}}}")), (table,))
        if deleted:
            parent = write.tables[0]
            yield Checked(Query(self.statements(parent).delete, (array_text(deleted),)), (parent,))

    def _merged(self, merges: Sequence[_Merge]) -> list[Checked]:
        """Merges of rows that go along as parameters if there are few, and by the staging table if there are many."""
        is_small = (
            sum(merge.lines.count for merge in merges) <= self._small_lines
            and sum(merge.lines.size for merge in merges) <= SMALL_BYTES
        )
        staged = [] if is_small else [merge for merge in merges if self._staging.fits(merge.table)]
        first = self._targets
        if staged:
            self._run(())
            with translated():
                self._staging.copy([(merge.table, merge.lines) for merge in staged], first_target=first)
            self._targets += len(staged)
        targets = {id(merge): target for target, merge in enumerate(staged, first)}
        checked = []
        for merge in merges:
            statements = self.statements(merge.table).merge(only_different=merge.only_different)
            target = targets.get(id(merge))
            if target is None:
                query = Query(statements.arrays, column_texts(merge.lines.each()))
            else:
                query = Query(statements.staged, (target,))
            checked.append(Checked(query, (merge.table,), expected=None))
        return checked

    def _counted(self, write: _Write) -> Checked:
        """Deleted documents have no rows, and written ones as many elements as they should."""
        tables = write.tables
        keys = array_text(_keys(write))
        lines = (sum(part.lines[number].count for part in write.merged) for number in range(1, len(tables)))
        query = Query(
            count_of_keys(self._schema, tables), [array_text(write.rows.deleted_keys), *[keys] * (len(tables) - 1)]
        )
        return Checked(query, tables, (0, *lines))

    def _copy(self, tables: Sequence[TableSpec], part: Rows) -> None:
        for table, lines in zip(tables, part.lines, strict=True):
            if not lines.count:
                continue
            cursor = self._connection.cursor()
            with translated(), cursor.copy(self.statements(table).copy) as copy:
                for piece in lines.pieces():
                    copy.write(piece)
            require_rows(self._schema, table.name, lines.count, cursor.rowcount)


def _parts(rows: CollectionRows) -> tuple[Rows, ...]:
    return rows.inserted, rows.changed, rows.read, rows.loaded


def _merges(write: _Write) -> Iterator[_Merge]:
    """Parents before children. Of stream changes every parent is written: its row is valid from another time."""
    for number, table in enumerate(write.tables):
        for part in write.merged:
            if part.lines[number].count:
                is_read = part is write.rows.read or part is write.rows.loaded
                yield _Merge(table, part.lines[number], only_different=number > 0 or is_read)


def _keys(write: _Write) -> list[str]:
    """The keys of all documents that are merged or deleted."""
    return [*chain.from_iterable(part.keys for part in write.merged), *write.rows.deleted_keys]


def _is_counted(write: _Write) -> bool:
    return bool(write.rows.deleted_keys or (len(write.tables) > 1 and _keys(write)))


def _count(rows: CollectionRows) -> int:
    return len(rows.deleted_keys) + sum(lines.count for part in _parts(rows) for lines in part.lines)
