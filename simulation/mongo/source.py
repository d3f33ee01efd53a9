"""What the model answers to a client: documents at a time, the catalog, the clock, and the change stream.

Replies are bytes, so that the real decoding runs. How many documents a reply holds, how long an answer takes and which
one is lost is the seed's choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.errors import Retryable, SnapshotUnavailable
from replicator_service.core.history import ServerHistory, is_entry, require_same_collections, require_same_history
from replicator_service.core.ports import HistoryMark, SourceCollection
from replicator_service.core.replies import Reply
from simulation.mongo.ordering import order_key
from simulation.mongo.stream import ModelStream, array_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.position import Position
    from simulation.mongo.history import Collection, Stored
    from simulation.mongo.server import ReplicaSet
    from simulation.network import Network
    from simulation.scheduler import Process


class ModelCursor:
    """One read. ``part`` gives the documents that are left, in order, as this read may see them now.

    ``prove`` is asked before the first and after the last reply whether the name leads to the collection that is meant.
    """

    def __init__(
        self,
        source: ModelSource,
        part: Callable[[Sequence[Stored]], list[Stored]],
        *,
        at: int | None,
        prove: Callable[[], None],
    ) -> None:
        self._source = source
        self._part = part
        self._prove = prove
        self._seen: list[Stored] = []
        self._generation = source.server.generation
        self.exact = at is not None
        self.read_time = at or source.server.known_time
        prove()
        self._next = self._fetch()

    def __iter__(self) -> Iterator[Reply]:
        """The replies that hold documents, in order."""
        while True:
            documents, more = self._next
            if documents:
                yield Reply(array_of(documents))
            if not more:
                self._prove()
                return
            self._source.call()
            if self._generation != self._source.server.generation:
                raise Retryable("MongoDB does not know this cursor any more")
            self._next = self._fetch()

    def close(self) -> None:
        """Free the server's cursor when not everything was read."""

    def _fetch(self) -> tuple[list[bytes], bool]:
        left = self._part(self._seen)
        if not self.exact:
            self.read_time = max(self.read_time, self._source.server.known_time)
        count = (
            len(left)
            if len(left) < 2 or self._source.network.chance(0.7)
            else self._source.network.number(1, len(left))
        )
        self._seen += left[:count]
        return [each.bson for each in left[:count]], count < len(left)


class ModelSource:
    """One client of one process. ``poll_events`` bounds a reply of the stream."""

    def __init__(self, server: ReplicaSet, network: Network, process: Process, *, poll_events: int) -> None:
        self.server = server
        self.network = network
        self.process = process
        self.poll_events = poll_events
        self._generation = server.generation

    def call(self) -> None:
        """One command's way to the server: anything may happen meanwhile."""
        self.network.travel(self.process)
        self.server.require_up()

    @property
    def groups_inserts(self) -> bool:
        """Whether ordinary events may share a cluster time."""
        return self.server.abilities.groups_inserts

    @property
    def hides_positions(self) -> bool:
        """The model knows no rules of privacy."""
        return False

    def hides_ids(self, _name: str) -> bool:
        """The same."""
        return False

    def beside(self) -> ModelSource:
        """Another session for another thread."""
        self.call()
        return ModelSource(self.server, self.network, self.process, poll_events=self.poll_events)

    def oldest_time(self) -> int | None:
        """The cluster time of the oldest entry of the oplog."""
        self.call()
        return self.server.oldest_time

    def operation_time(self) -> int:
        """The cluster time of the server's latest operation."""
        self.call()
        return self.server.latest_time

    def settled(self) -> int:
        """The same, once the majority has it."""
        self.call()
        if self._generation != self.server.generation:
            raise Retryable("another primary was elected since")
        time = self.server.latest_time
        self.server.wait_until_known(time)
        return time

    def collections(self) -> dict[str, SourceCollection]:
        """All collections by name."""
        self.call()
        return {name: _listed(name, each) for name, each in sorted(self.server.catalog.items())}

    def collection(self, name: str) -> SourceCollection | None:
        """One collection."""
        self.call()
        found = self.server.catalog.get(name)
        return None if found is None else _listed(name, found)

    def estimate(self, name: str) -> int:
        """How many documents a collection has."""
        self.call()
        found = self.server.catalog.get(name)
        return 0 if found is None else len(found.documents)

    def history_mark(self, cluster_time: int) -> HistoryMark | None:
        """The oplog's entry at exactly this cluster time."""
        self.call()
        return self.server.mark(cluster_time)

    def by_ids(
        self, name: str, ids: Sequence[Any], *, at: int | None, uuid: bytes | None = None, only_ids: bool = False
    ) -> ModelCursor:
        """The documents with these ``_id``s."""
        wanted = {order_key(_decoded(each)) for each in ids}
        return self._read(name, lambda each: each.key in wanted, None, at=at, uuid=uuid, only_ids=only_ids)

    def by_ids_in(
        self, wanted: Sequence[tuple[str, Sequence[Any]]], *, at: int | None
    ) -> list[ModelCursor | SnapshotUnavailable]:
        """The same in several collections, in whatever order the server takes them: here in theirs."""
        found: list[ModelCursor | SnapshotUnavailable] = []
        for name, ids in wanted:
            try:
                found.append(self.by_ids(name, ids, at=at))
            except SnapshotUnavailable as error:
                found.append(error)
        return found

    def in_order(
        self,
        name: str,
        after: bytes | None,
        *,
        upto: bytes | None = None,
        limit: int,
        at: int | None,
        uuid: bytes | None = None,
    ) -> ModelCursor:
        """Documents behind a place, up to another."""
        first, last = (None if each is None else _order_of(each) for each in (after, upto))
        if first is not None and last is not None and first >= last:
            raise AssertionError("a range ends before it begins")

        def is_wanted(each: Stored) -> bool:
            return (first is None or each.key > first) and (last is None or each.key <= last)

        return self._read(name, is_wanted, limit, at=at, uuid=uuid)

    def boundaries(self, name: str, ranges: int) -> list[bytes]:
        """Where to cut a collection: any of its documents of now."""
        self.call()
        found = self.server.catalog.get(name)
        places = [each.id_document for each in found.in_order] if found else []
        return [each for each in places if self.network.chance(0.6)][: ranges - 1]

    def ids_in_order(self, name: str, *, at: int | None, uuid: bytes | None = None) -> ModelCursor:
        """Every ``{_id: ...}``."""
        return self._read(name, lambda _: True, None, at=at, uuid=uuid, only_ids=True)

    def last_id(self, name: str, *, at: int | None, uuid: bytes | None = None) -> bytes | None:
        """The BSON of ``{_id: ...}`` of the last document."""
        self.call()
        named, prove = self._proof(name, uuid)
        prove()
        found = self._see(name, at, named)
        prove()
        return found[-1].id_document if found else None

    def open_stream(
        self, start: Position | None, *, mark: HistoryMark | None = None, known: Mapping[str, bytes] | None = None
    ) -> ModelStream:
        """Open the change stream, in the history that it was in before."""
        stream = ModelStream(self, start)
        if start is not None:
            server = self.server
            self.call()
            present, oldest = server.latest_time, server.oldest_time
            self.call()
            at_mark = None if mark is None else server.mark(mark.cluster_time)
            has_position = server.mark(start.cluster_time) is not None if is_entry(start) else None
            history = ServerHistory(present, oldest, at_mark, has_position)
            require_same_history(start.cluster_time, mark, history)
            if mark is None and known:
                require_same_collections(known, self.collections())
        return stream

    def close(self) -> None:
        """Free sessions and cursors."""

    def _see(self, name: str, at: int | None, uuid: bytes | None) -> list[Stored]:
        """All documents that a read may see now."""
        server = self.server
        if at is not None:
            found = server.collection_at(name, at, uuid)
            return found.in_order if found else []
        server.wait_until_known(server.latest_time)
        current = server.catalog_at(server.known_time).get(name)
        if uuid is not None and (current is None or current.uuid != uuid):
            raise SnapshotUnavailable("the collection is another one now")
        return current.in_order if current else []

    def _read(
        self,
        name: str,
        wanted: Callable[[Stored], bool],
        limit: int | None,
        *,
        at: int | None,
        uuid: bytes | None,
        only_ids: bool = False,
    ) -> ModelCursor:
        self.call()
        named, prove = self._proof(name, uuid)
        first = self.server.catalog.get(name)

        def part(seen: Sequence[Stored]) -> list[Stored]:
            if seen:
                current = self.server.catalog.get(name)
                if first is None or current is None or current.uuid != first.uuid:
                    raise SnapshotUnavailable("the collection was dropped or renamed while it was read")
            found = [each for each in self._see(name, at, named) if wanted(each)]
            if seen:
                found = [each for each in found if each.key > seen[-1].key]
            if limit is not None:
                found = found[: limit - len(seen)]
            return [_only_id(each) for each in found] if only_ids else found

        return ModelCursor(self, part, at=at, prove=prove)

    def _proof(self, name: str, uuid: bytes | None) -> tuple[bytes | None, Callable[[], None]]:
        """The UUID to read by, and the check of the catalog that takes its place where a server does not know that."""
        if uuid is None or self.server.abilities.takes_uuid:
            return uuid, lambda: None

        def require_same() -> None:
            found = self.collection(name)
            if found is None or found.uuid != uuid:
                raise SnapshotUnavailable("the collection was dropped, renamed or made anew")

        return None, require_same


def _order_of(id_document: bytes) -> Value:
    return order_key(bson.decode(id_document, CODEC_OPTIONS)["_id"])


def _listed(name: str, collection: Collection) -> SourceCollection:
    return SourceCollection(name, collection.kind, collection.uuid)


def _only_id(each: Stored) -> Stored:
    return type(each)(each.key, each.id_document, each.id_document)


def _decoded(identity: Value) -> Value:
    if isinstance(identity, ExactId):
        return bson.decode(identity.document, CODEC_OPTIONS)["_id"]
    return identity
