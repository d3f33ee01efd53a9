"""Snapshots: each chunk is read at the cluster time that the stream has reached, and written before it moves.

A chunk shows exactly the state that the stream continues from. Nothing is paused and nothing is reconciled afterwards;
a restart continues with the next chunk. Documents are read in the order of ``_id``, up to the largest one at the time
when the reading began: it never chases documents that are inserted meanwhile, since the stream brings those.

Where there were rows before, a sweep follows. In pieces, it looks at the keys of all rows and dead letters in
PostgreSQL, asks MongoDB's index which of them exist at the position, and deletes the others. Nothing but that is
evidence: not who wrote a row, not when.

When the server cannot read at that time, the chunk waits for the stream to move; only what can never be read so (a
capped collection, a server without snapshot history) is read at the current majority state, and the checkpoint says
until when the rows may be ahead. A collection that cannot be read keeps no other waiting.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.codec.elements import id_document
from replicator_service.core.codec.key import decode_key, encode_key
from replicator_service.core.errors import Fatal, SnapshotUnavailable
from replicator_service.core.events import Change, Operation
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.ports import CollectionKind
from replicator_service.pipeline.collection import prepare_tables
from replicator_service.pipeline.planner import GROUP_CHANGES, Planner
from replicator_service.pipeline.reading import decoded_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replicator_service.core.ports import Source
    from replicator_service.core.replies import Reply
    from replicator_service.core.sessions import OperatorSession
    from replicator_service.core.steps import Step
    from replicator_service.pipeline.collection import Collection, Snapshot
    from replicator_service.pipeline.observer import Observer

_WAIT_SECONDS = 10.0
"""How long an unreadable chunk waits for the stream to move before it is read at the majority state. A server that
remembers nothing uses it up once; it grows again, by the second, with chunks that can be read."""

_COLLECTIONS = 100
"""So many collections are begun, or finished, in one transaction at most: each costs PostgreSQL locks."""

_SMALL_DOCUMENTS, _SMALL_BYTES = 100, 2**16
_SMALL_TOGETHER = 16
"""A write costs as much as a hundred small rows: so many collections share one, however many there are."""

_SWEPT_KEYS = 5_000
_UNTELLING = 40
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

    ``chunk_documents`` and ``chunk_bytes`` bound it, and so the time for which the stream waits for it. ``settled``
    returns when everything given so far is committed: what is read from PostgreSQL then shows it.
    """

    def __init__(
        self,
        planner: Planner,
        source: Source,
        operator: OperatorSession,
        *,
        settled: Callable[[], None],
        chunk_documents: int,
        chunk_bytes: int,
        observer: Observer,
        failpoints: Failpoints,
    ) -> None:
        self._planner = planner
        self._source = source
        self._operator = operator
        self._settled = settled
        self._chunk_documents = chunk_documents
        self._chunk_bytes = chunk_bytes
        self._observer = observer
        self._failpoints = failpoints
        self._wait_seconds = _WAIT_SECONDS
        self._with_rows: dict[Snapshot, bool] = {}
        """Whether there were rows when the snapshot was about to be started."""
        self._small: list[Change] = []
        """Documents of small collections that are still to be written in this transaction."""

    def is_due(self, now: float) -> bool:
        """Whether something can be planned now. ``now`` is a monotonic clock in seconds."""
        return any(self._is_ready(each, now) for each in self._planner.collections.snapshotting())

    def steps(self, now: float) -> Iterator[Step]:
        """The steps of one transaction: rows, progress, commit. None at all when nothing can be read yet."""
        room = _Room(self._chunk_documents, self._chunk_bytes)
        has_steps = False
        for collection in self._planner.collections.snapshotting():
            if not self._is_ready(collection, now):
                continue
            for step in self._guarded(collection, room, now):
                has_steps = True
                yield step
            room.collections -= 1
            if room.is_used:
                break
        yield from self._write_small()
        if has_steps:
            yield self._planner.commit()

    def _is_ready(self, collection: Collection, now: float) -> bool:
        snapshot = collection.snapshot
        return snapshot is not None and snapshot.is_ready(now, self._planner.position.cluster_time)

    def _guarded(self, collection: Collection, room: _Room, now: float) -> Iterator[Step]:
        """The same as :meth:`_advance`, for a collection whose trouble may not stop the others."""
        snapshot = collection.snapshot
        if snapshot is None:
            return
        try:
            yield from self._advance(collection, snapshot, room, now)
        except Fatal as error:
            snapshot.retry_at = now + _TROUBLED_SECONDS
            snapshot.error = error
            self._observer.collection_failed(collection.name, error)
        else:
            if snapshot.error is not None:
                snapshot.error = None
                self._observer.collection_failed(collection.name, None)

    def _advance(self, collection: Collection, snapshot: Snapshot, room: _Room, now: float) -> Iterator[Step]:
        """What comes next for one collection; nothing when the server cannot show it yet."""
        at = self._planner.position.cluster_time
        if not snapshot.is_identified:
            yield from self._identify(collection, snapshot)
            if not snapshot.is_identified:
                snapshot.retry_at = now + 1.0
                return
        try:
            yield from self._next(collection, snapshot, room, None if snapshot.is_capped else at)
        except SnapshotUnavailable:
            if snapshot.refused_at is None:
                snapshot.refused_since = now
            snapshot.refused_at, snapshot.retry_at = at + 1, now + 1.0
            if now - snapshot.refused_since < self._wait_seconds:
                return
            self._wait_seconds = 0.0
            try:
                yield from self._next(collection, snapshot, room, None)
            except SnapshotUnavailable:
                # It is not the collection any more that was identified: the stream tells what became of it.
                snapshot.is_identified = False
                return
        else:
            self._wait_seconds = min(self._wait_seconds + 1.0, _WAIT_SECONDS)
        snapshot.refused_at, snapshot.retry_at = None, 0.0

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
        if snapshot.progress is None or collection.uuid != found.uuid:
            yield from self._begin(collection, snapshot, found.uuid)
        snapshot.is_capped = found.kind is CollectionKind.CAPPED
        snapshot.is_identified = True

    def _begin(self, collection: Collection, snapshot: Snapshot, uuid: bytes | None) -> Iterator[Step]:
        """Start, with tables. What has to be asked and made is asked and made for many collections at once."""
        if snapshot not in self._with_rows and snapshot.progress is None:
            yield from self._prepare(collection)
        # What the stream writes between that question and now is no row of before.
        sweeps = snapshot.progress is not None or self._with_rows.pop(snapshot)
        expected = self._source.estimate(collection.name)
        yield from collection.start(uuid, expected, sweeps=sweeps)

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
        new = [each for each in asked if not each.has_tables and each.snapshot and not each.snapshot.may_rebuild]
        if len(new) > 1:
            yield prepare_tables(new)

    def _next(self, collection: Collection, snapshot: Snapshot, room: _Room, at: int | None) -> Iterator[Step]:
        progress = snapshot.progress
        if progress is not None and progress.sweep_place is not None:
            yield from self._sweep(collection, progress.sweep_place, at)
        else:
            yield from self._chunk(collection, snapshot, room, at)

    def _chunk(self, collection: Collection, snapshot: Snapshot, room: _Room, at: int | None) -> Iterator[Step]:
        """Read the next documents, and say so when they were the last.

        They were when the document that was the last is among them, or when there are fewer than was asked for.
        """
        place = snapshot.progress.place if snapshot.progress is not None else None
        end = None if snapshot.end is None else encode_key(decoded_id(snapshot.end))
        limit, documents, last, has_ended = room.documents, 0, b"", False
        cursor = self._source.in_order(collection.name, place, limit=limit, at=at, uuid=collection.uuid)
        with closing(cursor):
            for reply in self._planner.reads.noted(cursor):
                changes = self._changes(collection.name, reply)
                has_ended = end is not None and any(change.key == end for change in changes)
                if has_ended:
                    del changes[[change.key for change in changes].index(end or "") + 1 :]
                last = id_document(reply.raw(changes[-1].ordinal))
                documents += len(changes)
                room.documents -= len(changes)
                room.size -= reply.size
                yield from self._write(changes, reply)
                if has_ended or room.size <= 0:
                    break
            else:
                has_ended = documents < limit
        self._failpoints.reach(Window.AFTER_CHUNK_READ)
        if documents:
            yield from collection.read(last, documents)
        if has_ended:
            yield from collection.read_all()
        elif snapshot.end is None or not self._exists(collection, snapshot.end, at):
            snapshot.end = self._source.last_id(collection.name, at=at, uuid=collection.uuid)

    def _write(self, changes: list[Change], reply: Reply) -> Iterator[Step]:
        """Rows of one reply; those of small collections are written together."""
        if len(changes) <= _SMALL_DOCUMENTS and reply.size <= _SMALL_BYTES:
            self._small += changes
            if len(self._small) >= _SMALL_TOGETHER * _SMALL_DOCUMENTS:
                yield from self._write_small()
            return
        encode = self._planner.encoder.encode
        groups = [encode(changes[start : start + GROUP_CHANGES]) for start in range(0, len(changes), GROUP_CHANGES)]
        reply.release()
        yield from groups

    def _write_small(self) -> Iterator[Step]:
        changes, self._small = self._small, []
        if changes:
            yield self._planner.encoder.encode(changes)

    def _exists(self, collection: Collection, id_document: bytes, at: int | None) -> bool:
        ids = [ExactId(id_document)]
        cursor = self._source.by_ids(collection.name, ids, at=at, uuid=collection.uuid, only_ids=True)
        return any(reply.documents for reply in self._planner.reads.noted(cursor))

    def _changes(self, name: str, reply: Reply) -> list[Change]:
        at = self._planner.position.cluster_time
        return [Change(name, key, Operation.READ, at, reply, ordinal, None) for ordinal, key in enumerate(reply.keys)]

    def _sweep(self, collection: Collection, place: str, at: int | None) -> Iterator[Step]:
        """Look at the next rows, and delete those without a document."""
        limit = _SWEPT_KEYS
        keys = self._operator.keys_after(collection.name, collection.tables, place, limit)
        if len(keys) == limit and decode_key(keys[0]) is None:
            # For keys that do not tell the original, the whole index is read: seldom, and for many at once.
            limit = _SWEPT_KEYS * _UNTELLING
            keys = self._operator.keys_after(collection.name, collection.tables, place, limit)
        if keys:
            existing = self._planner.reads.existing(collection.name, keys, at=at, uuid=collection.uuid)
            yield from collection.swept([key for key in keys if key not in existing], keys[-1])
        if len(keys) < limit:
            yield from collection.finish()
