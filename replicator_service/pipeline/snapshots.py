"""Snapshots: chunks are read at cluster times that the stream has reached, beside everything else, and written exactly.

A chunk is asked for between two batches, so it shows the state at the position of that moment. Reading takes a while,
and the stream moves on. What it has brought of the chunk's documents since then is in the tables already: those keys
are left out when the chunk is written. All others are at the present position what they were when the chunk was read.
So stream and snapshot cannot conflict, nothing is paused and nothing is reconciled afterwards, and any number of
chunks can be read at a time. A restart continues with the chunks that were not written.

A large collection is cut into ranges (:mod:`.ranges`); where there were rows before, a sweep follows (:mod:`.sweep`).

When the server cannot read at that time, the chunk waits for the stream to move; only what can never be read so (a
capped collection, a server without snapshot history) is read at the current majority state, and the checkpoint says
until when the rows may be ahead. A collection that cannot be read keeps no other waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from replicator_service.core.errors import Fatal, SnapshotUnavailable
from replicator_service.core.events import Change, Operation
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.ports import CollectionKind
from replicator_service.core.sessions import Range
from replicator_service.pipeline.chunk_rows import SMALL_DOCUMENTS, SMALL_TOGETHER, ChunkRows
from replicator_service.pipeline.collection import prepare_tables
from replicator_service.pipeline.ranges import split
from replicator_service.pipeline.readers import Chunk, Readers
from replicator_service.pipeline.reading import exact_key
from replicator_service.pipeline.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replicator_service.core.ports import Source
    from replicator_service.core.replies import Reply
    from replicator_service.core.sessions import OperatorSession
    from replicator_service.core.steps import Step
    from replicator_service.pipeline.collection import Collection, Snapshot
    from replicator_service.pipeline.observer import Observer
    from replicator_service.pipeline.planner import Planner

_WAIT_SECONDS = 10.0
"""How long an unreadable chunk waits for the stream to move before it is read at the majority state. A server that
remembers nothing uses it up once; it grows again, by the second, with chunks that can be read."""

_COLLECTIONS = 100
"""So many collections are begun, or finished, in one transaction at most: each costs PostgreSQL locks."""

_TROUBLED_SECONDS = 5.0
"""How long a collection waits that cannot be read at all, for a reason that a person has to remove."""


@dataclass(slots=True)
class _Room:
    """What one transaction may still hold."""

    documents: int
    size: int
    collections: int = _COLLECTIONS

    @property
    def is_used(self) -> bool:
        return self.documents <= 0 or self.size <= 0 or self.collections <= 0


class Snapshots:
    """Plans one transaction at a time, between two batches.

    ``chunk_documents`` and ``chunk_bytes`` bound it, and so the time for which the stream waits for it. A collection of
    more than ``range_documents`` is cut into ranges of about so many. ``settled`` returns when everything given so far
    is committed: what is read from PostgreSQL then shows it.
    """

    def __init__(
        self,
        planner: Planner,
        source: Source,
        operator: OperatorSession,
        readers: Readers,
        *,
        settled: Callable[[], None],
        chunk_documents: int,
        chunk_bytes: int,
        range_documents: int,
        observer: Observer,
        failpoints: Failpoints,
    ) -> None:
        self._planner = planner
        self._source = source
        self._operator = operator
        self._readers = readers
        self._settled = settled
        self._chunk_documents = chunk_documents
        self._chunk_bytes = chunk_bytes
        self._range_documents = range_documents
        self._observer = observer
        self._failpoints = failpoints
        self._wait_seconds = _WAIT_SECONDS
        self._with_rows: dict[Snapshot, bool] = {}
        """Whether there were rows when the snapshot was about to be started."""
        self._rows = ChunkRows(planner.encoder)
        self._asked: dict[tuple[Snapshot, int], float] = {}
        """The ranges of which a chunk is being read, or was and is not taken, with how much that takes up."""

    @property
    def has_read(self) -> bool:
        """Whether a chunk can be written."""
        return self._readers.has_read

    def is_due(self, now: float) -> bool:
        """Whether something can be planned now. ``now`` is a monotonic clock in seconds."""
        return self.has_read or any(
            self._has_work(each) and self._is_ready(each, now) for each in self._planner.collections.snapshotting()
        )

    def steps(self, now: float) -> Iterator[Step]:
        """The steps of one transaction: rows, progress, commit. None at all when there is nothing to write yet."""
        self._readers.keep_pace(self._operator, now)
        room = _Room(self._chunk_documents, self._chunk_bytes)
        has_steps = False
        for step in self._advance(room, now):
            has_steps = True
            yield step
        yield from self._rows.rest()
        if has_steps:
            yield self._planner.commit()

    def _advance(self, room: _Room, now: float) -> Iterator[Step]:
        """Write what was read, and have read what comes next."""
        for collection in self._planner.collections.snapshotting():
            if room.collections <= 0:
                break
            if self._has_work(collection) and self._is_ready(collection, now):
                room.collections -= 1
                yield from self._guarded(collection, partial(self._begun, collection, now), now)
        while not room.is_used and (chunk := self._readers.take()) is not None:
            yield from self._taken(chunk, room, now)

    def _has_work(self, collection: Collection) -> bool:
        """Whether there is something to do for it but to wait for what is being read."""
        snapshot = collection.snapshot
        if snapshot is None:
            return False
        progress = snapshot.progress if snapshot.is_identified else None
        if progress is not None and progress.sweep_place is not None:
            return True
        return self._has_capacity and (
            progress is None or any((snapshot, each.number) not in self._asked for each in progress.ranges)
        )

    @property
    def _has_capacity(self) -> bool:
        """Whether another chunk may be asked for: one more than are read at a time, so that no reader waits."""
        return sum(self._asked.values()) < self._readers.workers + 1

    def _is_ready(self, collection: Collection, now: float) -> bool:
        snapshot = collection.snapshot
        return snapshot is not None and snapshot.is_ready(now, self._planner.position.cluster_time)

    def _guarded(self, collection: Collection, work: Callable[[], Iterator[Step]], now: float) -> Iterator[Step]:
        """The steps of some work for a collection whose trouble may not stop the others."""
        snapshot = collection.snapshot
        if snapshot is None:
            return
        try:
            yield from work()
        except Fatal as error:
            snapshot.retry_at = now + _TROUBLED_SECONDS
            snapshot.error = error
            self._observer.collection_failed(collection.name, error)

    def _begun(self, collection: Collection, now: float) -> Iterator[Step]:
        """What comes next for one collection but for writing chunks."""
        snapshot = collection.snapshot
        if snapshot is None:
            return
        if not snapshot.is_identified:
            yield from self._identify(collection, snapshot)
            if not snapshot.is_identified:
                snapshot.retry_at = now + 1.0
                return
        progress = snapshot.progress
        if progress is None:
            return
        if progress.sweep_place is not None:
            yield from self._sweep_on(collection, snapshot, progress.sweep_place, now)
        elif not progress.ranges:
            yield from collection.read_all()
        else:
            for part in progress.ranges:
                if self._has_capacity and (snapshot, part.number) not in self._asked:
                    self._ask(collection, snapshot, part)

    def _ask(self, collection: Collection, snapshot: Snapshot, part: Range) -> None:
        expected = snapshot.progress.expected if snapshot.progress is not None else None
        is_small = expected is not None and expected <= SMALL_DOCUMENTS
        self._asked[snapshot, part.number] = 1.0 / SMALL_TOGETHER if is_small else 1.0
        touched: set[str] = set()
        snapshot.reading.append(touched)
        self._readers.ask(
            Chunk(
                collection.name,
                snapshot,
                part,
                collection.uuid,
                self._time_to_read(snapshot),
                self._chunk_documents,
                touched,
            )
        )

    def _time_to_read(self, snapshot: Snapshot) -> int | None:
        is_inexact = snapshot.is_capped or snapshot.reads_present
        return None if is_inexact else self._planner.position.cluster_time

    def _taken(self, chunk: Chunk, room: _Room, now: float) -> Iterator[Step]:
        """Write a chunk, unless it is of a snapshot that is over: the stream may have brought a drop meanwhile."""
        snapshot = chunk.snapshot
        snapshot.reading[:] = [each for each in snapshot.reading if each is not chunk.touched]
        del self._asked[snapshot, chunk.part.number]
        collection = self._planner.collections.get(chunk.collection)
        if collection is None or collection.snapshot is not snapshot or snapshot.progress is None:
            return
        if chunk.part not in snapshot.progress.ranges:
            return
        room.collections -= 1
        yield from self._guarded(collection, partial(self._settle, collection, snapshot, chunk, room, now), now)

    def _settle(
        self, collection: Collection, snapshot: Snapshot, chunk: Chunk, room: _Room, now: float
    ) -> Iterator[Step]:
        if isinstance(chunk.error, SnapshotUnavailable):
            self._refused(snapshot, chunk.at, now)
            return
        if chunk.error is not None:
            raise chunk.error
        self._was_read(collection, snapshot, chunk.at)
        yield from self._write_chunk(collection, snapshot, chunk, room)

    def _refused(self, snapshot: Snapshot, at: int | None, now: float) -> None:
        """The server cannot read at that time, or it is not the collection any more that was identified."""
        snapshot.retry_at = now + 1.0
        if at is None:
            # The stream tells what became of it.
            snapshot.is_identified = snapshot.reads_present = False
            return
        if snapshot.refused_at is None:
            snapshot.refused_since = now
        snapshot.refused_at = at + 1
        if now - snapshot.refused_since >= self._wait_seconds:
            self._wait_seconds = 0.0
            snapshot.reads_present = True
            snapshot.refused_at, snapshot.retry_at = None, 0.0

    def _was_read(self, collection: Collection, snapshot: Snapshot, at: int | None) -> None:
        if at is not None:
            self._wait_seconds = min(self._wait_seconds + 1.0, _WAIT_SECONDS)
        snapshot.reads_present = False
        snapshot.refused_at, snapshot.retry_at = None, 0.0
        if snapshot.error is not None:
            snapshot.error = None
            self._observer.collection_failed(collection.name, None)

    def _identify(self, collection: Collection, snapshot: Snapshot) -> Iterator[Step]:
        """Find out which collection it is. One that is not there, and was not when the stream came by, is gone."""
        found = self._source.collection(collection.name)
        if found is None or not found.is_streamed:
            if snapshot.missing_at is None:
                snapshot.missing_at = self._source.operation_time()
            if self._planner.position.cluster_time >= snapshot.missing_at:
                yield from self._planner.drop(collection.name)
            return
        snapshot.missing_at = None
        if snapshot.progress is not None and collection.uuid != found.uuid:
            # Nothing counts of what was read, remembered or is being read of the one before.
            yield from collection.become(found.uuid)
            return
        snapshot.is_capped = found.kind is CollectionKind.CAPPED
        if snapshot.progress is None:
            yield from self._begin(collection, snapshot, found.uuid)
        snapshot.is_identified = True

    def _begin(self, collection: Collection, snapshot: Snapshot, uuid: bytes | None) -> Iterator[Step]:
        """Start, with tables. What has to be asked and made is asked and made for many collections at once."""
        if snapshot not in self._with_rows:
            yield from self._prepare(collection)
        # What the stream writes between that question and now is no row of before.
        sweeps = self._with_rows.pop(snapshot)
        expected = self._source.estimate(collection.name)
        at = self._time_to_read(snapshot)
        # Of what is read at once, the end is not asked for.
        ranges = [Range(0, None, None)]
        if expected >= self._chunk_documents and at is not None:
            number = expected // self._range_documents
            ranges = split(self._source, self._planner.reads, collection.name, number, at=at, uuid=uuid)
        yield from collection.start(uuid, expected, ranges, sweeps=sweeps)

    def _prepare(self, first: Collection) -> Iterator[Step]:
        """Find out which of the next collections have rows, and make the tables of those that have none yet."""
        self._settled()
        waiting = [
            each
            for each in self._planner.collections.snapshotting()
            if each.snapshot is not None and each.snapshot.progress is None and each is not first
        ]
        asked = [first, *waiting[: _COLLECTIONS - 1]]
        found = self._operator.with_rows({each.name: each.tables for each in asked})
        self._with_rows = {each.snapshot: each.name in found for each in asked if each.snapshot is not None}
        for snapshot, has_rows in self._with_rows.items():
            snapshot.written = None if has_rows else set()
        new = [each for each in asked if not each.has_tables and each.snapshot and not each.snapshot.may_rebuild]
        if len(new) > 1:
            yield prepare_tables(new)

    def _write_chunk(self, collection: Collection, snapshot: Snapshot, chunk: Chunk, room: _Room) -> Iterator[Step]:
        """Write what the stream has not brought since the chunk was asked for; the next one is read meanwhile."""
        part, place = chunk.part, None
        if chunk.documents and not chunk.has_ended:
            last = chunk.last
            if part.upto is None or exact_key(last) != exact_key(part.upto):
                place = last
                self._ask(collection, snapshot, replace(part, place=last))
        if chunk.ahead is not None:
            self._planner.converge(chunk.ahead)
        room.documents -= chunk.documents
        room.size -= chunk.size
        replies, chunk.replies = chunk.replies[::-1], []
        while replies:
            reply = replies.pop()
            yield from self._rows.of(self._changes(collection.name, reply, chunk), reply)
        self._failpoints.reach(Window.AFTER_CHUNK_READ)
        yield from collection.read(part.number, place, chunk.documents, chunk.size)
        if snapshot.progress is not None and not snapshot.progress.ranges:
            yield from collection.read_all()

    def _changes(self, name: str, reply: Reply, chunk: Chunk) -> list[Change]:
        """The documents that the stream has not brought since; where the tables were empty, most have surely no row."""
        at, touched, written = self._planner.position.cluster_time, chunk.touched, chunk.snapshot.written
        new, read = Operation.READ if written is None else Operation.LOAD, Operation.READ
        return [
            Change(name, key, read if written and key in written else new, at, reply, ordinal, None)
            for ordinal, key in enumerate(reply.keys)
            if key not in touched
        ]

    def _sweep_on(self, collection: Collection, snapshot: Snapshot, place: str, now: float) -> Iterator[Step]:
        at = self._time_to_read(snapshot)
        try:
            yield from sweep(self._operator, self._planner.reads, collection, place, at)
        except SnapshotUnavailable:
            self._refused(snapshot, at, now)
        else:
            self._was_read(collection, snapshot, at)
