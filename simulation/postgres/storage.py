"""Relations with transactions: what is committed, what each open transaction sees, and who has locked which row.

Isolation is PostgreSQL's "read committed" (manual, chapter 13.2.1): a statement sees what is committed when it begins
and what its own transaction did; whoever changes a row that another open transaction has changed waits for its end and
then looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from simulation.scheduler import Scheduler, Task

Record = Any
"""What one row of a relation is: each relation has a type of its own."""

Relation = dict["Hashable", Any]
Relations = dict[str, Relation]

_DEADLOCK_SECONDS = 5.0


class _Gone:
    """Marks a row that the transaction has deleted."""


_GONE = _Gone()


class Storage:
    """Committed relations and the locks of open transactions. Relations are replaced, never changed in place."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.committed: Relations = {}
        self.past: list[Relations] = []
        """The latest states, for a failover that loses some."""
        self._locks: dict[tuple[str, Hashable], Transaction] = {}
        self._waiting: list[Task] = []
        self._numbers = 0

    def next_number(self) -> int:
        """A number from a sequence: it is not given back by a rollback."""
        self._numbers += 1
        return self._numbers

    def lock(self, relation: str, key: Hashable, transaction: Transaction) -> None:
        """Lock a row, waiting for whoever has it."""
        end = self.scheduler.now + _DEADLOCK_SECONDS
        while (holder := self._locks.get((relation, key))) is not None and holder is not transaction:
            if self.scheduler.now >= end:
                raise Retryable("PostgreSQL has found a deadlock")
            self._waiting.append(self.scheduler.current)
            self.scheduler.wait(end - self.scheduler.now)
            if transaction.is_over:
                raise Retryable("the session was ended")
        self._locks[relation, key] = transaction

    def is_locked(self, relation: str | None = None, key: Hashable = None) -> bool:
        """Whether an open transaction has this row locked, or any row at all."""
        return bool(self._locks) if relation is None else (relation, key) in self._locks

    def unlock(self, transaction: Transaction) -> None:
        """Release every lock of a transaction that has ended."""
        held = [name for name, holder in self._locks.items() if holder is transaction]
        for name in held:
            del self._locks[name]
        if held:
            waiting, self._waiting = self._waiting, []
            for task in waiting:
                self.scheduler.wake(task)

    def apply(self, changes: Relations) -> None:
        """Make the changes of a transaction visible, all at once."""
        self.past.append(self.committed)
        del self.past[:-8]
        committed = dict(self.committed)
        for name, changed in changes.items():
            rows = dict(committed.get(name, {}))
            for key, value in changed.items():
                if value is _GONE:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            committed[name] = rows
        self.committed = committed

    def lose(self, commits: int) -> None:
        """Be what a replica was some commits ago."""
        count = min(commits, len(self.past))
        if count:
            self.committed = self.past[-count]
            del self.past[-count:]


class Transaction:
    """One transaction's view and changes. ``savepoints`` nest."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._changes: Relations = {}
        self._savepoints: list[Relations] = []
        self.is_aborted = False
        self.is_over = False

    def rows(self, relation: str) -> Relation:
        """What a statement sees. Not to be changed."""
        committed = self._storage.committed.get(relation, {})
        changed = self._changes.get(relation)
        if not changed:
            return committed
        seen = {**committed, **changed}
        return {key: value for key, value in seen.items() if value is not _GONE}

    def get(self, relation: str, key: Hashable) -> Record:
        """One row, or None."""
        changed = self._changes.get(relation)
        if changed is not None and key in changed:
            value = changed[key]
            return None if value is _GONE else value
        return self._storage.committed.get(relation, {}).get(key)

    def put(self, relation: str, key: Hashable, value: Record) -> None:
        """Insert or update a row."""
        self._storage.lock(relation, key, self)
        self._changes.setdefault(relation, {})[key] = value

    def delete(self, relation: str, key: Hashable) -> int:
        """Delete a row and return how many there were."""
        if self.get(relation, key) is None:
            return 0
        self._storage.lock(relation, key, self)
        self._changes.setdefault(relation, {})[key] = _GONE
        return 1

    def lock(self, relation: str, key: Hashable) -> None:
        """Lock a row without changing it."""
        self._storage.lock(relation, key, self)

    def savepoint(self) -> None:
        """Begin a part that can be taken back."""
        self._savepoints.append({name: dict(changed) for name, changed in self._changes.items()})

    def release(self) -> None:
        """Keep what was done since the last savepoint."""
        self._savepoints.pop()

    def rollback_to_savepoint(self) -> None:
        """Take back what was done since the last savepoint, and forget it."""
        self._changes = self._savepoints.pop()
        self.is_aborted = False

    def commit(self) -> None:
        """Make everything visible."""
        self.is_over = True
        self._storage.apply(self._changes)
        self._storage.unlock(self)

    def rollback(self) -> None:
        """Take everything back."""
        self.is_over = True
        self._changes = {}
        self._storage.unlock(self)
