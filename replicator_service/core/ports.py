"""What deciding code asks of MongoDB and of the machine.

The pipeline and the supervisor know these protocols alone. ``source`` answers them with MongoDB's driver, the simulator
with a model of MongoDB's history and with virtual time; a contract suite holds both to the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from replicator_service.core.batching import StreamReply
    from replicator_service.core.errors import SnapshotUnavailable
    from replicator_service.core.position import Position
    from replicator_service.core.replies import Reply


class CollectionKind(StrEnum):
    """What MongoDB calls a collection. Only ordinary and capped ones have change events."""

    ORDINARY = "collection"
    CAPPED = "capped"
    TIME_SERIES = "timeseries"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class SourceCollection:
    """A collection as the server lists it. ``uuid`` stays the same through a rename."""

    name: str
    kind: CollectionKind
    uuid: bytes | None

    @property
    def is_streamed(self) -> bool:
        """Whether its changes reach a change stream."""
        return self.kind in (CollectionKind.ORDINARY, CollectionKind.CAPPED)


@dataclass(frozen=True, slots=True)
class HistoryMark:
    """One entry of the oplog: another history has another entry, or none, at this cluster time.

    ``term`` is the election term that it was written in, ``wall`` the primary's clock then, in milliseconds since 1970.
    """

    cluster_time: int
    term: int
    wall: int


class Cursor(Protocol):
    """The replies of one read, in order, each up to 16 MB, fetched as they are asked for.

    ``exact`` tells whether they show the cluster time that was asked for; otherwise ``read_time`` is the cluster time
    of the latest reply: rows made of it may be ahead of the stream up to then.
    """

    @property
    def exact(self) -> bool:
        """Whether this shows exactly the cluster time that was asked for."""
        ...

    @property
    def read_time(self) -> int:
        """The cluster time that the replies so far show."""
        ...

    def __iter__(self) -> Iterator[Reply]:
        """The replies that hold documents, in order."""
        ...

    def close(self) -> None:
        """Free the server's cursor when not everything was read."""
        ...


class Stream(Protocol):
    """An open change stream of one database, see :class:`Source.open_stream`."""

    @property
    def position(self) -> Position:
        """The position after the latest answer; it never goes back."""
        ...

    @property
    def is_exhausted(self) -> bool:
        """Whether the server has ended this stream (after an invalidate event): :meth:`reopen` continues it."""
        ...

    def poll(self, *, wait_ms: int) -> StreamReply:
        """The next answer, after at most ``wait_ms`` when nothing happens.

        Raises :class:`ResyncRequired` when what comes next can never be delivered, :class:`Retryable` when the server
        is away.
        """
        ...

    def reopen(self) -> None:
        """Open the stream again after its last position."""
        ...

    def close(self) -> None:
        """Free what the server keeps for it. Never raises."""
        ...


class Source(Protocol):
    """One MongoDB database. Belongs to one thread at a time.

    Reads take ``at``, the cluster time to show, or None for the current majority state. They raise
    :class:`SnapshotUnavailable` when the server cannot show that time, also when the collection is not the one any
    more that ``uuid`` names: a collection that was dropped or renamed since would otherwise read as empty.
    """

    @property
    def groups_inserts(self) -> bool:
        """Whether ordinary events may share a cluster time, as those of a transaction do (MongoDB 6.1 and later)."""
        ...

    @property
    def hides_positions(self) -> bool:
        """Whether a resume token may name a document that nobody may know of: a position is kept by its time then."""
        ...

    def hides_ids(self, name: str) -> bool:
        """Whether ``_id``s of this collection are masked: no ``_id`` can be told from the key of a row.

        What stands for the BSON of ``{_id: ...}`` is hidden then: only a source with the same key can open it.
        """
        ...

    def beside(self) -> Source:
        """Another session with the same database, for another thread."""
        ...

    def operation_time(self) -> int:
        """The cluster time of the server's latest operation."""
        ...

    def settled(self) -> int:
        """The cluster time of the server's latest operation, once the majority has it.

        What this source has read before is never taken back after that. Raises :class:`Retryable` when the majority
        does not get it in time, or when another primary was elected since the source was opened.
        """
        ...

    def collections(self) -> dict[str, SourceCollection]:
        """All collections by name, without the server's own, as the primary has them: a failover may take that back."""
        ...

    def collection(self, name: str) -> SourceCollection | None:
        """One collection; costs the same however many there are."""
        ...

    def estimate(self, name: str) -> int:
        """About how many documents a collection has."""
        ...

    def oldest_time(self) -> int | None:
        """The cluster time of the oldest entry of the oplog, or None when it is empty.

        Raises :class:`ConfigurationError` when the user may not read the oplog.
        """
        ...

    def history_mark(self, cluster_time: int) -> HistoryMark | None:
        """The oplog's entry at exactly this cluster time, or None when there is none.

        Raises :class:`ConfigurationError` when the user may not read the oplog.
        """
        ...

    def by_ids(
        self, name: str, ids: Sequence[Any], *, at: int | None, uuid: bytes | None = None, only_ids: bool = False
    ) -> Cursor:
        """The documents with these ``_id``s (decoded values or :class:`ExactId`), in any order.

        With ``only_ids`` each reply's documents are ``{_id: ...}``, from the index alone.
        """
        ...

    def by_ids_in(
        self, wanted: Sequence[tuple[str, Sequence[Any]]], *, at: int | None
    ) -> Sequence[Cursor | SnapshotUnavailable]:
        """The same in several collections at a time; one whose time is not shown has the error in its place."""
        ...

    def in_order(
        self,
        name: str,
        after: bytes | None,
        *,
        upto: bytes | None = None,
        limit: int,
        at: int | None,
        uuid: bytes | None = None,
    ) -> Cursor:
        """At most ``limit`` documents behind ``after`` (BSON of ``{_id: ...}``) in the order of ``_id``, of every type.

        The document at ``after`` itself is not among them, that at ``upto`` is the last. Fewer than ``limit`` means
        that the end was reached. ``after`` must be before ``upto``.
        """
        ...

    def boundaries(self, name: str, ranges: int) -> list[bytes]:
        """Where to cut a collection into about equal ranges: at most ``ranges - 1`` distinct places, in order.

        Each is the BSON of the ``{_id: ...}`` of some document of now.
        """
        ...

    def ids_in_order(self, name: str, *, at: int | None, uuid: bytes | None = None) -> Cursor:
        """Every ``{_id: ...}`` in the order of ``_id``, from the index alone."""
        ...

    def last_id(self, name: str, *, at: int | None, uuid: bytes | None = None) -> bytes | None:
        """The BSON of ``{_id: ...}`` of the document with the largest ``_id``, or None when there is no document."""
        ...

    def open_stream(
        self, start: Position | None, *, mark: HistoryMark | None = None, known: Mapping[str, bytes] | None = None
    ) -> Stream:
        """Open the change stream after ``start``, or from now on.

        ``mark`` is the oplog's entry at a time that we have seen, ``known`` the UUIDs of collections: both tell this
        history from another. Raises :class:`ResyncRequired` when ``start`` is not in the server's history, or not any
        more.
        """
        ...

    def close(self) -> None:
        """Free sessions and cursors. Never raises."""
        ...


class Condition(Protocol):
    """What :class:`threading.Condition` gives, as far as it is used."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until the predicate holds, or the timeout (seconds) is over and return what the predicate says."""
        ...

    def notify_all(self) -> None:
        """Let whoever waits look again."""
        ...


class Event(Protocol):
    """What :class:`threading.Event` gives, as far as it is used."""

    def is_set(self) -> bool:
        """Whether it was set."""
        ...

    def set(self) -> None:
        """Set it, for ever."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or the timeout (seconds) is over and return whether it is set."""
        ...


class Thread(Protocol):
    """A thread that was started."""

    def join(self) -> None:
        """Wait until it has ended."""
        ...


class Threads(Protocol):
    """Threads, waiting and time: the machine's, or a scheduler's with virtual time."""

    def start(self, name: str, target: Callable[[], None]) -> Thread:
        """Run ``target`` beside the caller."""
        ...

    def condition(self) -> Condition:
        """A new condition."""
        ...

    def event(self) -> Event:
        """A new event."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...
