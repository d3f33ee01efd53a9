"""The planner: batches of the stream, chunks of snapshots and requests of operators become steps.

The one place that decides. It knows the position after everything it has planned, so a chunk is read at exactly the
cluster time that the stream has reached, and is planned between two batches: stream and snapshot cannot conflict.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.events import (
    Change,
    Created,
    Drop,
    DropDatabase,
    Event,
    Ignored,
    Invalidate,
    Operation,
    Rename,
    interpret,
    is_temporary,
)
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.rows import Encoder, RowGroup
from replicator_service.core.steps import (
    CollectionState,
    Commit,
    EmptyTables,
    MoveLetters,
    MoveRows,
    RemoveTables,
    SetState,
    StartSnapshot,
    Step,
)
from replicator_service.pipeline.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from replicator_service.core.batching import Batch
    from replicator_service.core.ports import SourceCollection
    from replicator_service.core.position import Position
    from replicator_service.pipeline.catalogue import Catalogue, Entry
    from replicator_service.source.read.reader import Reader

GROUP_CHANGES = 10_000
GROUP_BYTES = 16 * 2**20
"""A row group is closed at either bound."""


@dataclass(frozen=True, slots=True)
class SourcePorts:
    """What the planner asks of the source besides reading documents."""

    list_collections: Callable[[], dict[str, SourceCollection]]
    estimate: Callable[[str], int]
    operation_time: Callable[[], int]


class Planner:
    """Turns what happens into steps. Belongs to one thread; generators must be run to their end.

    ``position`` is the position after every step given so far, ``converging_until`` what the checkpoint says.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        source: SourcePorts,
        catalogue: Catalogue,
        position: Position,
        converging_until: int | None,
        failpoints: Failpoints,
    ) -> None:
        self._reader = reader
        self._source = source
        self._failpoints = failpoints
        self.catalogue = catalogue
        self.encoder = Encoder(catalogue.transform_of)
        self.position = position
        self.converging_until = converging_until
        self._events: Counter[tuple[str, str]] = Counter()
        self._parted: dict[tuple[str, str], Change] = {}
        """Updates in parts of the open cluster time whose document was absent: their delete may follow."""

    @property
    def is_converging(self) -> bool:
        """Whether some rows may be newer than the position."""
        return self.converging_until is not None and self.converging_until > self.position.cluster_time

    def commit(self, position: Position | None = None) -> Commit:
        """End the transaction, at a new position or where we are."""
        if position is not None:
            self.position = position
        if not self.is_converging:
            self.converging_until = None
        events, self._events = self._events, Counter()
        return Commit(self.position, self.converging_until, bool(self.catalogue.snapshotting()), events)

    def converge(self, until: int) -> None:
        """Rows up to this cluster time may be written early."""
        self.converging_until = max(until, self.converging_until or 0)

    def batch(self, batch: Batch) -> Iterator[Step]:
        """The steps of a batch, or of a part of one."""
        folded: dict[str, dict[str, Change]] = {}
        events = self._events
        for event, reply, index in batch.items:
            meaning = interpret(event, reply, index)
            if type(meaning) is Change:
                collection = meaning.collection
                events[collection, meaning.operation] += 1
                keys = folded.get(collection)
                if keys is None:
                    keys = folded[collection] = {}
                keys[meaning.key] = meaning
            else:
                yield from self._without_document(meaning)
        for collection in folded:
            yield from self._make_known(collection)
        lookup = Lookup(self._reader, batch.cluster_time)
        last: RowGroup | None = None
        for group in self._groups(self._resolved(folded, lookup)):
            if last is not None:
                yield last
            last = group
        self._settle_absent(folded, lookup, is_part=batch.position is None)
        # Giving a step may block for long: what was decoded is not needed any more.
        del folded
        batch.release()
        if last is not None:
            yield last
        if batch.position is not None:
            yield self.commit(batch.position)

    def _resolved(self, folded: dict[str, dict[str, Change]], lookup: Lookup) -> Iterator[tuple[list[Change], int]]:
        """Every change with its document: first those that came with it, then those that are read."""
        for collection, keys in folded.items():
            if self.catalogue[collection].state is CollectionState.PAUSED:
                continue
            updates = [change for change in keys.values() if change.operation is Operation.UPDATE]
            if len(updates) < len(keys):
                whole = [change for change in keys.values() if change.operation is not Operation.UPDATE]
                yield whole, 0
            if updates:
                self._failpoints.reach(Window.BEFORE_LOOKUP)
                yield from lookup.resolve(collection, updates)

    def _groups(self, parts: Iterable[tuple[list[Change], int]]) -> Iterator[RowGroup]:
        """Encode changes in groups that are bounded in number and in bytes."""
        waiting: list[Change] = []
        size = 0
        for changes, weight in parts:
            waiting += changes
            size += weight
            while len(waiting) >= GROUP_CHANGES or (waiting and size >= GROUP_BYTES):
                yield self.encoder.encode(waiting[:GROUP_CHANGES])
                waiting = waiting[GROUP_CHANGES:]
                size = 0
        if waiting:
            yield self.encoder.encode(waiting)

    def _settle_absent(self, folded: dict[str, dict[str, Change]], lookup: Lookup, *, is_part: bool) -> None:
        """Decide what absent documents mean.

        In a part of a transaction, the delete may be in the next part. Otherwise the collection was dropped or
        renamed after the batch: the state converges when the stream has passed the present.
        """
        if self._parted:
            for collection, keys in folded.items():
                for key in keys:
                    self._parted.pop((collection, key), None)
        self._parted.update({(change.collection, change.key): change for change in lookup.unresolved})
        if lookup.read_time is not None:
            self.converge(lookup.read_time)
        if self._parted and not is_part:
            self._parted.clear()
            self.converge(self._source.operation_time())

    def _make_known(self, collection: str) -> Iterator[Step]:
        """A collection that appears in the stream was created after it began: nothing of it is missing."""
        entry = self.catalogue.get(collection)
        if entry is None or entry.state is CollectionState.DROPPED:
            yield self.catalogue.add(collection, CollectionState.STREAMING).prepare()

    def _without_document(self, event: Event) -> Iterator[Step]:
        match event:
            case Created(collection, is_hidden):
                self._events[collection, "create"] += 1
                yield from self._make_known(collection)
                if is_hidden and self.catalogue[collection].state is not CollectionState.PAUSED:
                    yield from self.start_snapshot(collection)
            case Drop(collection):
                self._events[collection, "drop"] += 1
                yield from self.forget(collection)
            case Rename(collection, target):
                self._events[collection, "rename"] += 1
                yield from self._rename(collection, target)
            case DropDatabase():
                self._events["", "dropDatabase"] += 1
                for collection in self.catalogue:
                    yield from self.forget(collection)
            case Ignored(operation, known):
                self._events["", operation if known else f"unknown:{operation}"] += 1
            case Invalidate() | Change():
                return

    def forget(self, collection: str) -> Iterator[Step]:
        """The collection does not exist any more: its rows go, its tables stay; those of a paused one wait."""
        entry = self.catalogue.get(collection)
        if entry is None or entry.state in (CollectionState.DROPPED, CollectionState.PAUSED):
            return
        entry.state = CollectionState.DROPPED
        if is_temporary(collection):
            yield from self._remove(collection, entry)
        else:
            yield EmptyTables(collection, entry.tables)

    def _remove(self, collection: str, entry: Entry) -> Iterator[Step]:
        yield RemoveTables(collection, entry.tables)
        self.catalogue.remove(collection)

    def _rename(self, collection: str, target: str | None) -> Iterator[Step]:
        """Rows move when they are complete and of the same shape; otherwise the target is read anew."""
        entry = self.catalogue.get(collection)
        if target is None:
            yield from self.forget(collection)
            return
        held = self.catalogue.get(target)
        if held is not None and held.state is CollectionState.PAUSED:
            yield from self.forget(collection)
            return
        yield from self.forget(target)
        moved = self.catalogue.add(target, CollectionState.STREAMING)
        yield moved.prepare()
        can_move = (
            entry is not None
            and entry.state is CollectionState.STREAMING
            and not self.is_converging
            and _same_shape(entry, moved)
        )
        if entry is not None and can_move:
            for source, destination in zip(entry.tables, moved.tables, strict=True):
                yield MoveRows(source, destination)
            yield MoveLetters(collection, target)
            entry.state = CollectionState.DROPPED
            if is_temporary(collection):
                yield from self._remove(collection, entry)
            else:
                yield SetState(collection, CollectionState.DROPPED)
            return
        yield from self.forget(collection)
        yield from self.start_snapshot(target)

    def start_snapshot(self, collection: str) -> Iterator[Step]:
        """Read a collection anew; rows that no longer exist at the source are deleted at the end."""
        entry = self.catalogue[collection]
        entry.state = CollectionState.SNAPSHOTTING
        entry.place, entry.documents, entry.uuid, entry.end = None, 0, None, None
        entry.expected = self._source.estimate(collection)
        yield StartSnapshot(collection, entry.expected)


def _same_shape(one: Entry, other: Entry) -> bool:
    shapes = [[(t.columns, t.primary_key) for t in entry.tables] for entry in (one, other)]
    return shapes[0] == shapes[1] and type(one.mapping) is type(other.mapping) and _paths(one) == _paths(other)


def _paths(entry: Entry) -> object:
    mapping = entry.mapping
    columns = getattr(mapping, "columns", ())
    children = getattr(mapping, "children", ())
    return columns, [(child.path, child.columns) for child in children], mapping.keep_bson
