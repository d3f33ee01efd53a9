"""Chunks of a snapshot: each is read at the cluster time that the stream has reached, and written before it moves.

The chunk shows exactly the state that the stream goes on from. Nothing is paused and nothing is reconciled
afterwards; a restart goes on with the next chunk. The end is where the largest ``_id`` was when the snapshot began (or
was taken up again): it never chases documents that are inserted meanwhile, since the stream brings those.

When the server cannot read at that time, the chunk waits for the stream to move; only what can never be read so (a
capped collection, a server without snapshot history) is read at the current majority state, and the checkpoint says
until when the rows may be ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.codec.key import encode_key
from replicator_service.core.errors import SnapshotUnavailable
from replicator_service.core.events import Change, Operation
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.steps import ChunkDone, CollectionState, FinishSnapshot, Step
from replicator_service.pipeline.planner import GROUP_CHANGES, Planner, SourcePorts
from replicator_service.source.read.reader import Place, ReadCursor, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.replies import Reply
    from replicator_service.core.rows import RowGroup
    from replicator_service.pipeline.catalogue import Entry

_PATIENCE_SECONDS = 10.0
"""How long an unreadable chunk waits for the stream to move before it is read at the majority state. A server that
remembers nothing uses it up once; it grows again, by the second, with chunks that can be read."""


@dataclass(slots=True)
class _Chunk:
    """What one chunk has read so far."""

    last: bytes | None = None
    documents: int = 0
    size: int = 0
    has_more: bool = False


class Snapshots:
    """Plans one chunk at a time, between two batches.

    ``chunk_documents`` and ``chunk_bytes`` bound a chunk, and so the time for which the stream waits for it.
    """

    def __init__(
        self,
        planner: Planner,
        reader: Reader,
        source: SourcePorts,
        *,
        chunk_documents: int,
        chunk_bytes: int,
        failpoints: Failpoints,
    ) -> None:
        self._planner = planner
        self._reader = reader
        self._source = source
        self._chunk_documents = chunk_documents
        self._chunk_bytes = chunk_bytes
        self._failpoints = failpoints
        self._refused_at: int | None = None
        self._refused_since = 0.0
        self._retry_at = 0.0
        self._patience = _PATIENCE_SECONDS

    def is_due(self, now: float) -> bool:
        """Whether a chunk can be planned now. ``now`` is a monotonic clock in seconds."""
        if not self._planner.catalogue.snapshotting():
            return False
        return now >= self._retry_at or (
            self._refused_at is not None and self._planner.position.cluster_time > self._refused_at
        )

    def chunk(self, now: float) -> Iterator[Step]:
        """The steps of the next chunk: rows, progress, commit. None at all when it cannot be read yet."""
        collection = self._planner.catalogue.snapshotting()[0]
        entry = self._planner.catalogue[collection]
        at = self._planner.position.cluster_time
        self._retry_at = 0.0
        if entry.uuid is None:
            self._identify(collection, entry)
        try:
            yield from self._read(collection, entry, None if entry.is_capped else at, now)
        except SnapshotUnavailable:
            if self._refused_at is None:
                self._refused_since = now
            self._refused_at = at
            self._retry_at = now + 1.0
            if now - self._refused_since < self._patience:
                return
            self._patience = 0.0
            try:
                yield from self._read(collection, entry, None, now)
            except SnapshotUnavailable:
                # Nothing is left to read: the stream will tell what became of the collection.
                return
        else:
            self._patience = min(self._patience + 1.0, _PATIENCE_SECONDS)
        self._refused_at = None

    def _identify(self, collection: str, entry: Entry) -> None:
        found = self._source.list_collections().get(collection)
        entry.uuid = found.uuid if found else None
        entry.is_capped = found.kind.value == "capped" if found else False
        end = self._reader.largest(collection)
        entry.end = end.after if end else None

    def _read(self, collection: str, entry: Entry, at: int | None, now: float) -> Iterator[Step]:
        chunk = _Chunk()
        place = Place(entry.place) if entry.place is not None else None
        cursor = self._reader.in_order(collection, place, limit=self._chunk_documents, at=at)
        yield from self._groups(collection, cursor, place, chunk)
        self._failpoints.reach(Window.AFTER_CHUNK_READ)
        is_last = not chunk.has_more and chunk.documents < self._chunk_documents
        if is_last and place is not None:
            end = self._reader.last_of_all(collection, at=at)
            yield from self._groups(collection, end, place, chunk)
            self._note(end)
        self._note(cursor)
        if chunk.last is not None:
            entry.place = Place.of(chunk.last).after
            entry.documents += chunk.documents
            yield ChunkDone(collection, entry.place, chunk.documents)
        if not is_last and entry.place is not None and entry.end is not None:
            is_last = self._reader.has_reached(collection, Place(entry.place), Place(entry.end))
        if is_last:
            yield from self._finish(collection, entry, now)
        if chunk.last is not None or is_last:
            yield self._planner.commit()

    def _groups(self, collection: str, cursor: ReadCursor, place: Place | None, chunk: _Chunk) -> Iterator[RowGroup]:
        for reply in cursor:
            changes = self._changes(collection, reply, place if chunk.documents == 0 else None)
            groups = [
                self._planner.encoder.encode(changes[start : start + GROUP_CHANGES])
                for start in range(0, len(changes), GROUP_CHANGES)
            ]
            reply.release()
            yield from groups
            if changes:
                chunk.last = reply.raw(changes[-1].ordinal)
            chunk.documents += len(changes)
            chunk.size += reply.size
            if chunk.size >= self._chunk_bytes:
                chunk.has_more = True
                cursor.close()
                return

    def _changes(self, collection: str, reply: Reply, place: Place | None) -> list[Change]:
        """The documents of a reply as changes, without the one that the chunk starts after."""
        skip = 1 if place is not None and Place.of(reply.raw(0)) == place else 0
        at = self._planner.position.cluster_time
        return [
            Change(
                collection,
                encode_key(document["_id"]),
                Operation.READ,
                at,
                reply,
                ordinal,
                document["_id"],
            )
            for ordinal, document in enumerate(reply.documents)
            if ordinal >= skip
        ]

    def _finish(self, collection: str, entry: Entry, now: float) -> Iterator[Step]:
        """Finish, unless the collection is not the one any more that was read: the stream tells what became of it."""
        found = self._source.list_collections().get(collection)
        if found is None or found.uuid != entry.uuid:
            self._retry_at = now + 1.0
            return
        entry.state = CollectionState.STREAMING
        yield FinishSnapshot(collection, entry.tables)

    def _note(self, cursor: ReadCursor) -> None:
        if not cursor.exact:
            self._planner.converge(cursor.read_time)
