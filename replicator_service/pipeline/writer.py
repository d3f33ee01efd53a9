"""The writer: steps in, one transaction a commit out.

Rows, dead letters, snapshot progress and the checkpoint commit together or not at all. When PostgreSQL refuses a row,
the row group is taken apart until the refused documents stand alone; they become dead letters in the same
transaction, and everything else is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.errors import Fatal, RecordRejected
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.rows import Rejected, RowGroup
from replicator_service.core.steps import (
    Commit,
    ControlStep,
    EmptyTables,
    MoveDeadLetters,
    RemoveTables,
    Step,
    Sweep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replicator_service.core.dead_letter_limit import DeadLetterLimit
    from replicator_service.core.events import Change
    from replicator_service.core.schema_findings import PathCount
    from replicator_service.core.sessions import LeaderSession

_PIECE = 64
"""A group that is refused is written in pieces of so many changes: few are written twice, however many are refused."""


@dataclass(slots=True)
class Written:
    """What one commit made durable."""

    rows: int = 0
    rejected: int = 0
    settled: int = 0
    swept: int = 0
    altered: int = 0
    findings: list[PathCount] = field(default_factory=list)

    def add(self, group: RowGroup, rows: int) -> None:
        """Count a group that was written whole."""
        self.rows += rows
        self.altered += group.altered
        self.findings += group.findings


class Writer:
    """Applies steps on one session, as the leader with ``epoch``."""

    def __init__(self, session: LeaderSession, *, epoch: int, limit: DeadLetterLimit, failpoints: Failpoints) -> None:
        self._session = session
        self._epoch = epoch
        self._limit = limit
        self._failpoints = failpoints
        self._dead_letters = session.dead_letters()
        self._is_open = False
        self._is_first = True
        self._count = Written()

    @property
    def dead_letters(self) -> int:
        """How many dead letters there were at the last commit."""
        return len(self._dead_letters)

    def apply(self, step: Step) -> Written | None:
        """Apply one step; a :class:`Commit` gives what was made durable.

        Raises one of our errors; the transaction is then rolled back and the position stays where it was.
        """
        try:
            if not self._is_open:
                self._begin()
            if isinstance(step, Commit):
                return self._commit(step)
            if isinstance(step, RowGroup):
                self._apply_group(step)
                self._failpoints.reach(Window.AFTER_ROWS)
            else:
                self._apply(step)
            self._is_first = False
        except BaseException:
            self.rollback()
            raise
        return None

    def rollback(self) -> None:
        """Give up the open transaction, also when the connection is gone."""
        if self._is_open:
            self._is_open = False
            self._session.rollback()

    def _begin(self) -> None:
        self._session.begin()
        self._is_open = True
        self._is_first = True
        self._count = Written()
        self._failpoints.reach(Window.AFTER_BEGIN)

    def _commit(self, step: Commit) -> Written:
        self._failpoints.reach(Window.BEFORE_COMMIT)
        self._session.commit(step, self._epoch, self._count.findings)
        self._is_open = False
        self._failpoints.reach(Window.AFTER_COMMIT)
        return self._count

    def _apply(self, step: ControlStep) -> None:
        try:
            deleted = self._session.apply(step)
        except RecordRejected as error:
            # What no document causes (a drop, a rename, the end of a resync) cannot become a dead letter.
            raise Fatal(error.message, hint=error.hint) from error
        match step:
            case Sweep():
                self._count.swept += deleted
                self._forget(lambda pair: pair[0] == step.collection and pair[1] in step.keys)
            case EmptyTables() | RemoveTables():
                self._forget(lambda pair: pair[0] == step.collection)
            case MoveDeadLetters():
                moved = {(step.target, key) for name, key in self._dead_letters if name == step.collection}
                self._forget(lambda pair: pair[0] in (step.collection, step.target))
                self._dead_letters |= moved
            case _:
                return

    def _forget(self, is_gone: Callable[[tuple[str, str]], bool]) -> None:
        """The session has removed dead letters."""
        kept = {pair for pair in self._dead_letters if not is_gone(pair)}
        self._count.settled += len(self._dead_letters) - len(kept)
        self._dead_letters = kept

    def _apply_group(self, group: RowGroup) -> None:
        """Write a group whole, or without what PostgreSQL refuses.

        The first group of a transaction needs no savepoint: nothing is lost by beginning again.
        """
        rejected = list(group.rejected)
        if not self._is_first:
            self._session.savepoint()
        try:
            self._count.add(group, self._session.write(group))
        except RecordRejected as error:
            if self._is_first:
                self._session.rollback()
                self._session.begin()
            else:
                self._session.rollback_to_savepoint()
            self._session.require_whole(tuple(table for each in group.collections.values() for table in each.tables))
            self._observe(group, 0, len(rejected))
            refused = {id(each.change) for each in group.rejected}
            rejected += self._write_apart(group, [c for c in group.changes if id(c) not in refused], error)
        else:
            if not self._is_first:
                self._session.release()
            self._observe(group, len(group.changes) - len(rejected), len(rejected))
        self._settle_written(group, rejected)
        if rejected:
            self._session.add_dead_letters(rejected)
            self._dead_letters.update((each.change.collection, each.change.key) for each in rejected)
            self._count.rejected += len(rejected)

    def _observe(self, group: RowGroup, written: int, refused: int) -> None:
        """Count what is refused, but for what somebody has asked to try again."""
        if not group.is_retry:
            self._limit.observe(written, refused)

    def _write_apart(self, group: RowGroup, changes: Sequence[Change], error: RecordRejected) -> list[Rejected]:
        """Write changes that cannot be written together and return those that cannot be written at all.

        Raises :class:`Fatal` as soon as too many are refused.
        """
        rejected: list[Rejected] = []
        for start in range(0, len(changes), _PIECE):
            piece = changes[start : start + _PIECE]
            is_known = len(changes) <= _PIECE
            refused = self._narrow(group, piece, error) if is_known else self._try(group, piece)
            self._observe(group, len(piece) - len(refused), len(refused))
            rejected += refused
        return rejected

    def _narrow(self, group: RowGroup, changes: Sequence[Change], error: RecordRejected) -> list[Rejected]:
        """The same for changes that were refused together: when one half is taken, the other is not even tried."""
        if len(changes) == 1:
            return [Rejected(changes[0], error.message)]
        middle = len(changes) // 2
        rejected = self._try(group, changes[:middle])
        rest = changes[middle:]
        if rejected or len(rest) == 1:
            return rejected + self._try(group, rest)
        return self._narrow(group, rest, error)

    def _try(self, group: RowGroup, changes: Sequence[Change]) -> list[Rejected]:
        """Write changes together if possible, otherwise apart."""
        self._session.savepoint()
        try:
            part = group.only(changes)
            self._count.add(part, self._session.write(part))
        except RecordRejected as error:
            self._session.rollback_to_savepoint()
            return self._narrow(group, changes, error)
        self._session.release()
        return []

    def _settle_written(self, group: RowGroup, rejected: Sequence[Rejected]) -> None:
        if not self._dead_letters:
            return
        refused = {(each.change.collection, each.change.key) for each in rejected}
        written: dict[str, list[str]] = {}
        for change in group.changes:
            pair = (change.collection, change.key)
            if pair in self._dead_letters and pair not in refused:
                written.setdefault(change.collection, []).append(change.key)
        for collection, keys in written.items():
            self._count.settled += self._session.settle_dead_letters(collection, keys)
            self._dead_letters.difference_update((collection, key) for key in keys)
