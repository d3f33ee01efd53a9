"""What deciding code asks of PostgreSQL: one session that leads and writes, one that looks and reads requests.

``sink`` answers these protocols with PostgreSQL's driver, the simulator with a model of its transactions. Every method
raises our errors alone: :class:`Retryable` when the server is away or the connection was lost (a commit may then have
happened or not), :class:`LeaseLost`, :class:`ConfigurationError` and :class:`Fatal` as they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.errors import ConfigurationError, ReplicatorError
    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.ports import HistoryMark, Source
    from replicator_service.core.position import Position
    from replicator_service.core.rows import Rejected, RowGroup
    from replicator_service.core.schema_findings import PathCount
    from replicator_service.core.steps import CollectionState, Commit, ControlStep

Tables = tuple["TableSpec", ...]
"""The tables of one collection, the parent first."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a stream is. ``position`` is None before the first commit, ``mark`` before the first that had one."""

    position: Position | None
    epoch: int
    converging_until: int | None
    mark: HistoryMark | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a collection in the order of ``_id``: what is behind ``place``, up to and with ``upto``.

    Both are the BSON of ``{_id: ...}``; None is the beginning, and the end. ``place`` moves as documents are written.
    """

    number: int
    place: bytes | None
    upto: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a snapshot that was started is.

    ``ranges`` are those that are not read to their ends. ``sweeps``: rows of before may have to go.
    ``sweep_place`` is None while documents are read, then the last key that was looked at (at first the empty text).
    """

    ranges: tuple[Range, ...] = ()
    documents: int = 0
    expected: int | None = None
    sweeps: bool = True
    sweep_place: str | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an operator lets snapshots be read: so many chunks at a time, so many megabytes a second.

    None is what the settings say, 0 megabytes are no limit.
    """

    workers: int | None = None
    max_mb_s: float | None = None

    def over(self, settings: Pace) -> Pace:
        """What goes: this, and the settings where it says nothing. No limit is None then."""
        limit = settings.max_mb_s if self.max_mb_s is None else self.max_mb_s
        return Pace(self.workers or settings.workers, limit or None)


@dataclass(frozen=True, slots=True)
class Registered:
    """What is remembered of a collection.

    ``tables`` are the names of all its tables, as far as they are known; ``progress`` is None without a snapshot, or
    before it was started.
    """

    collection: str
    table_name: str
    state: CollectionState
    mapping_hash: str
    tables: tuple[str, ...] = ()
    uuid: bytes | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Something an operator asked for that nobody has handled yet; ``attempts`` counts those that were begun."""

    id: int
    kind: str
    collection: str | None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class RetriedDeadLetter:
    """A dead letter that is to be tried again. ``source_id`` is its key, ``id_document`` the BSON of ``{_id: ...}``."""

    id: int
    collection: str
    source_id: str
    id_document: bytes


class LeaderSession(Protocol):
    """The session of one instance with PostgreSQL. Whoever holds the lease writes, one transaction at a time."""

    def try_lease(self) -> bool:
        """Take the lease if nobody holds it. It lasts as long as this session."""
        ...

    def end_frozen_leader(self, seconds: float) -> bool:
        """Look at the leader once, and end its session when it has not moved for so long; whether that was done.

        Raises :class:`ConfigurationError` when this user may not do that.
        """
        ...

    def promise_renewal(self) -> None:
        """Promise to :meth:`renew` at least every few seconds: who does not can be ended by a standby."""
        ...

    def renew(self) -> None:
        """Show that this leader lives, also in the middle of a transaction."""
        ...

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint as it is now, or None before the first leader."""
        ...

    def raise_epoch(self) -> Checkpoint:
        """Become the leader: from here on, no earlier leader can commit."""
        ...

    def registered(self) -> list[Registered]:
        """Every collection that the stream knows, in the order of their names."""
        ...

    def damaged(self, tables: Mapping[str, Tables]) -> dict[str, bool]:
        """Those of these collections whose tables have to be prepared, and whether to be read again after that.

        They are when a table, a column or a key is missing; a comment or an index holds no values.

        Raises :class:`ConfigurationError` when a table of such a name is not a replicated one.
        """
        ...

    def dead_letters(self) -> set[tuple[str, str]]:
        """Collection and key of every dead letter."""
        ...

    def begin(self) -> None:
        """Begin a transaction."""
        ...

    def savepoint(self) -> None:
        """Begin a part that can be taken back. Savepoints nest."""
        ...

    def release(self) -> None:
        """Keep what was done since the last savepoint."""
        ...

    def rollback_to_savepoint(self) -> None:
        """Take back what was done since the last savepoint, and forget the savepoint."""
        ...

    def write(self, group: RowGroup) -> int:
        """Make the tables show the documents of the group and return the number of rows.

        Raises :class:`RecordRejected` when a row is refused: the transaction, or its savepoint, has to be taken back.
        """
        ...

    def require_whole(self, tables: Tables) -> None:
        """Make sure that tables are still what they were made: otherwise no document is at fault that is refused.

        Raises :class:`TableChanged` for what is missing, :class:`ConfigurationError` for what is another one.
        """
        ...

    def apply(self, step: ControlStep) -> int:
        """Do what the step says and return how many rows, or keys of a sweep, it deleted."""
        ...

    def add_dead_letters(self, rejected: Sequence[Rejected]) -> None:
        """Keep refused documents; an older dead letter of the same key is replaced."""
        ...

    def settle_dead_letters(self, collection: str, keys: Sequence[str]) -> int:
        """Remove the dead letters of keys whose later version was written and return how many there were."""
        ...

    def commit(self, step: Commit, epoch: int, findings: Sequence[PathCount] = ()) -> None:
        """Move the checkpoint, add what was found about the schema of documents, and commit.

        Raises :class:`LeaseLost` when another leader has taken over: nothing is committed.
        """
        ...

    def rollback(self) -> None:
        """Take back the open transaction, also when the connection is gone."""
        ...

    def close(self) -> None:
        """End the session, and with it the lease. Never raises."""
        ...


class OperatorSession(Protocol):
    """What the planner looks at in PostgreSQL: requests of operators, and keys of rows that are there already.

    Each call sees what was committed before it.
    """

    def is_paused(self) -> bool:
        """Whether the whole stream is to be paused."""
        ...

    def open_requests(self) -> Sequence[Request]:
        """Requests that nobody has handled, the oldest first."""
        ...

    def retried_dead_letters(self, after: int, limit: int) -> Sequence[RetriedDeadLetter]:
        """Dead letters with a larger ``id`` than ``after`` that are to be tried again, in its order."""
        ...

    def snapshot_pace(self) -> Pace:
        """How fast snapshots may be read."""
        ...

    def with_rows(self, tables: Mapping[str, Tables]) -> set[str]:
        """Those of these collections that have a row in any of their tables, or a dead letter."""
        ...

    def keys_after(self, collection: str, tables: Tables, after: str, limit: int) -> list[str]:
        """At most ``limit`` distinct keys of rows and dead letters behind ``after``, in PostgreSQL's order of text.

        The empty text is the beginning: it is a key as well, and then among them.
        """
        ...

    def close(self) -> None:
        """End the session. Never raises."""
        ...


class Servers(Protocol):
    """How sessions are opened. Each raises :class:`Retryable` for a server that is away."""

    def open_source(self) -> Source:
        """A session with MongoDB."""
        ...

    def open_leader(self) -> LeaderSession:
        """A session with PostgreSQL, where the control tables are up to date."""
        ...

    def open_operator(self) -> OperatorSession:
        """Another, to look with."""
        ...

    def explained(self, error: ConfigurationError) -> ReplicatorError:
        """The same error, or one that says more of its cause and of the fix."""
        ...
