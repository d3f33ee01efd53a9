"""The writer: steps in, one transaction a commit out.

Rows, dead letters, snapshot progress and the checkpoint commit together or not at all. When PostgreSQL refuses a row,
the row group is taken apart until the refused documents stand alone; they become dead letters in the same
transaction, and everything else is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from replicator_service.core.errors import RecordRejected
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.rows import Rejected, RowGroup
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
    Commit,
    EmptyTables,
    FinishSnapshot,
    MoveLetters,
    MoveRows,
    PrepareTables,
    RemoveTables,
    RequestHandled,
    SetState,
    StartSnapshot,
    Step,
)
from replicator_service.sink.control import checkpoint, dead_letters, lease, registry
from replicator_service.sink.errors import translated
from replicator_service.sink.write import tables
from replicator_service.sink.write.rows import RowWriter
from replicator_service.sink.write.statements import copy_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replicator_service.core.dead_letter_limit import DeadLetterLimit
    from replicator_service.core.events import Change
    from replicator_service.sink.connect.connection import Connection


_BEGIN = "begin; set constraints all immediate"
"""What is refused at the commit could not be taken apart: constraints that somebody deferred are checked at once."""

_PIECE = 64
"""A group that is refused is written in pieces of so many changes: few are written twice, however many are refused."""


@dataclass(slots=True)
class Written:
    """What one commit made durable."""

    rows: int = 0
    rejected: int = 0
    settled: int = 0
    swept: dict[str, int] = field(default_factory=dict)


class Writer:
    """Applies steps on one connection, as the leader with ``epoch``.

    ``encode`` makes a row group of changes again, for taking groups apart.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        schema: str,
        stream: str,
        epoch: int,
        encode: Callable[[Sequence[Change]], RowGroup],
        limit: DeadLetterLimit,
        failpoints: Failpoints,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._stream = stream
        self._epoch = epoch
        self._encode = encode
        self._limit = limit
        self._failpoints = failpoints
        self._rows = RowWriter(connection, schema)
        self._letters = dead_letters.open_keys(connection, stream)
        self._is_open = False
        self._is_first = True
        self._count = Written()

    @property
    def dead_letters(self) -> int:
        """How many dead letters there were at the last commit."""
        return len(self._letters)

    def apply(self, step: Step) -> Written | None:
        """Apply one step; a :class:`Commit` gives what was made durable.

        Raises one of our errors; the transaction is then rolled back and the position stays where it was.
        """
        try:
            if not self._is_open:
                self._begin()
            if isinstance(step, Commit):
                return self._commit(step)
            self._apply(step)
        except BaseException:
            self.rollback()
            raise
        return None

    def begin_renewing(self) -> None:
        """Promise to :meth:`renew` from here on."""
        lease.begin_renewing(self._connection, self._stream)

    def renew(self) -> None:
        """Show that this leader lives while there is nothing to write."""
        lease.renew(self._connection)

    def rollback(self) -> None:
        """Give up the open transaction, also when the connection is gone."""
        if self._is_open:
            self._is_open = False
            self._rows.rolled_back()
            if not self._connection.closed:
                with translated():
                    self._connection.execute("rollback")

    def _begin(self) -> None:
        self._execute(_BEGIN)
        self._is_open = True
        self._is_first = True
        self._rows.begin()
        self._count = Written()
        self._failpoints.reach(Window.AFTER_BEGIN)

    def _commit(self, step: Commit) -> Written:
        checkpoint.move_checkpoint(self._connection, self._stream, self._epoch, step.position, step.converging_until)
        self._failpoints.reach(Window.BEFORE_COMMIT)
        with translated():
            self._connection.execute("commit")
        self._is_open = False
        self._failpoints.reach(Window.AFTER_COMMIT)
        return self._count

    def _apply(self, step: Step) -> None:
        match step:
            case RowGroup():
                self._apply_group(step)
                self._failpoints.reach(Window.AFTER_ROWS)
            case PrepareTables() | EmptyTables() | MoveRows() | MoveLetters() | RemoveTables():
                self._apply_to_tables(step)
            case SetState():
                registry.set_state(self._connection, self._stream, step.collection, step.state)
            case StartSnapshot():
                registry.start_snapshot(self._connection, self._stream, step)
            case ChunkDone():
                registry.move_snapshot(self._connection, self._stream, step)
            case FinishSnapshot():
                self._finish_snapshot(step)
            case RequestHandled():
                registry.mark_handled(self._connection, step.request)
            case Commit():
                raise AssertionError("a commit is not applied, it ends the transaction")
            case _:
                assert_never(step)
        self._is_first = False

    def _apply_to_tables(self, step: PrepareTables | EmptyTables | MoveRows | MoveLetters | RemoveTables) -> None:
        match step:
            case PrepareTables():
                self._prepare(step)
            case EmptyTables():
                self._empty(step)
            case MoveRows():
                self._move(step)
            case MoveLetters():
                dead_letters.move(self._connection, self._stream, step.collection, step.target)
                self._letters = dead_letters.open_keys(self._connection, self._stream)
            case RemoveTables():
                tables.drop_tables(self._connection, self._schema, step.tables)
                registry.unregister(self._connection, self._stream, step.collection)

    def _apply_group(self, group: RowGroup) -> None:
        """Write a group whole, or without what PostgreSQL refuses.

        The first group of a transaction needs no savepoint: nothing is lost by beginning again.
        """
        rejected = list(group.rejected)
        if not self._is_first:
            self._execute("savepoint row_group")
        try:
            self._count.rows += self._rows.write(group)
        except RecordRejected as error:
            self._rows.rolled_back()
            if self._is_first:
                self._execute("rollback")
                self._execute(_BEGIN)
            else:
                self._execute("rollback to savepoint row_group")
            touched = [table for rows in group.collections.values() for table in rows.tables]
            tables.require_shape(self._connection, self._schema, touched)
            self._limit.observe(0, len(rejected))
            rejected += self._write_apart([c for c in group.changes if not _is_in(c, group.rejected)], error)
        else:
            if not self._is_first:
                self._execute("release savepoint row_group")
            self._limit.observe(len(group.changes) - len(rejected), len(rejected))
        self._settle_written(group, rejected)
        if rejected:
            dead_letters.add_letters(self._connection, self._stream, rejected)
            self._letters.update((each.change.collection, each.change.key) for each in rejected)
            self._count.rejected += len(rejected)

    def _write_apart(self, changes: Sequence[Change], error: RecordRejected) -> list[Rejected]:
        """Write changes that cannot be written together; gives those that cannot be written at all.

        Raises :class:`Fatal` as soon as too many are refused.
        """
        rejected: list[Rejected] = []
        for start in range(0, len(changes), _PIECE):
            piece = changes[start : start + _PIECE]
            refused = self._narrow(piece, error) if len(changes) <= _PIECE else self._try(piece)
            self._limit.observe(len(piece) - len(refused), len(refused))
            rejected += refused
        return rejected

    def _narrow(self, changes: Sequence[Change], error: RecordRejected) -> list[Rejected]:
        """The same for changes that were refused together: when one half is taken, the other is not even tried."""
        if len(changes) == 1:
            return [Rejected(changes[0], error.message)]
        middle = len(changes) // 2
        rejected = self._try(changes[:middle])
        rest = changes[middle:]
        if rejected or len(rest) == 1:
            return rejected + self._try(rest)
        return self._narrow(rest, error)

    def _try(self, changes: Sequence[Change]) -> list[Rejected]:
        """Write changes together if possible, otherwise apart."""
        self._execute("savepoint part")
        try:
            self._count.rows += self._rows.write(self._encode(changes))
        except RecordRejected as error:
            self._rows.rolled_back()
            self._execute("rollback to savepoint part; release savepoint part")
            return self._narrow(changes, error)
        self._execute("release savepoint part")
        return []

    def _settle_written(self, group: RowGroup, rejected: Sequence[Rejected]) -> None:
        if not self._letters:
            return
        refused = {(each.change.collection, each.change.key) for each in rejected}
        written: dict[str, list[str]] = {}
        for change in group.changes:
            pair = (change.collection, change.key)
            if pair in self._letters and pair not in refused:
                written.setdefault(change.collection, []).append(change.key)
        for collection, keys in written.items():
            self._settle(collection, keys)

    def _settle(self, collection: str, keys: Sequence[str]) -> None:
        self._count.settled += dead_letters.settle(self._connection, self._stream, collection, keys)
        self._letters.difference_update((collection, key) for key in keys)

    def _prepare(self, step: PrepareTables) -> None:
        tables.ensure_schema(self._connection, self._schema)
        wanted = tables_of(step.mapping)
        if step.may_rebuild:
            tables.rebuild_tables(self._connection, self._schema, wanted)
        else:
            tables.ensure_tables(self._connection, self._schema, wanted)
        registry.register(
            self._connection,
            self._stream,
            step.mapping.collection,
            step.mapping.table,
            step.state,
            step.fingerprint,
        )

    def _finish_snapshot(self, step: FinishSnapshot) -> None:
        started = registry.finish_snapshot(self._connection, self._stream, step.collection)
        if started is None:
            return
        unseen = dead_letters.settle_unseen(self._connection, self._stream, step.collection, started)
        self._letters.difference_update((step.collection, key) for key in unseen)
        self._count.settled += len(unseen)
        # A document that was refused exists: the row that it had before stays.
        refused = [key for collection, key in self._letters if collection == step.collection]
        with translated():
            for table in step.tables:
                statement = self._rows.statements(table).sweep
                self._count.swept[table.name] = self._connection.execute(statement, (started, refused)).rowcount

    def _empty(self, step: EmptyTables) -> None:
        with translated():
            for table in step.tables:
                self._connection.execute(self._rows.statements(table).delete_all)
        dead_letters.settle_collection(self._connection, self._stream, step.collection)
        self._letters = {pair for pair in self._letters if pair[0] != step.collection}
        registry.set_state(self._connection, self._stream, step.collection, CollectionState.DROPPED)

    def _move(self, step: MoveRows) -> None:
        with translated():
            self._connection.execute(copy_rows(self._schema, step.source, step.target))
            self._connection.execute(self._rows.statements(step.source).delete_all)

    def _execute(self, statement: str) -> None:
        with translated():
            self._connection.execute(statement.encode())


def _is_in(change: Change, rejected: Sequence[Rejected]) -> bool:
    return any(each.change is change for each in rejected)
