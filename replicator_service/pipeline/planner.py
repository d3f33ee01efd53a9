"""The planner: batches of the stream become steps.

It knows the position after everything that was planned, so a chunk of a snapshot is read at exactly the cluster time
that the stream has reached, and is planned between two batches: stream and snapshot cannot conflict.
"""

from __future__ import annotations

from collections import Counter
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
    event_time,
    interpret,
)
from replicator_service.core.failpoints import Failpoints, Window
from replicator_service.core.rows import Encoder, RowGroup
from replicator_service.core.steps import CollectionState, Commit, Step
from replicator_service.core.temporary_names import is_temporary
from replicator_service.pipeline.reading import Reads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replicator_service.core.batching import Batch
    from replicator_service.core.ports import Source
    from replicator_service.core.position import Position
    from replicator_service.pipeline.collection import Collection
    from replicator_service.pipeline.collections import Collections
    from replicator_service.pipeline.marks import Marks

GROUP_CHANGES = 10_000
GROUP_BYTES = 16 * 2**20
"""A row group is closed at either bound."""

LARGE_BYTES = 4 * 2**20
_FEW = 16
"""A reply of this size with so few documents holds large ones: decoded, they do not wait for each other."""

_TEMPORARY_LABEL = "(temporary)"


class Planner:
    """Turns what happens into steps. Belongs to one thread; generators must be run to their end.

    ``position`` is the position after every step given so far, ``converging_until`` what the checkpoint says.
    """

    def __init__(
        self,
        *,
        source: Source,
        collections: Collections,
        position: Position,
        converging_until: int | None,
        failpoints: Failpoints,
        marks: Marks,
    ) -> None:
        self._source = source
        self._failpoints = failpoints
        self._marks = marks
        self.collections = collections
        self.encoder = Encoder(collections.transform_of)
        self.reads = Reads(source, self.converge)
        self.position = position
        self.converging_until = converging_until
        self._events: Counter[tuple[str, str]] = Counter()
        self._parted: set[tuple[str, str]] = set()
        """Updates in parts of the open cluster time whose document was absent: their delete may follow."""
        self._parted_time = 0

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
        return Commit(
            self.position,
            self.converging_until,
            bool(self.collections.snapshotting()),
            self._marks.at(self.position),
            Counter({(_label(name), operation): count for (name, operation), count in events.items()}),
        )

    def converge(self, until: int) -> None:
        """Rows up to this cluster time may be written early."""
        self.converging_until = max(until, self.converging_until or 0)

    def begin_anew(self, listed_at: int) -> None:
        """The position is the first of a new stream; the collections were listed at a later time.

        Nothing that was ahead of the former position is ahead of this one.
        """
        self.converging_until = listed_at

    def batch(self, batch: Batch) -> Iterator[Step]:
        """The steps of a batch, or of a part of one."""
        # A rename behind parts must know that what they wrote is ahead: it moves rows only when none is.
        if self._parted and batch.items and event_time(batch.items[0].event) > self._parted_time:
            self._close_parts()
        self._parted_time = batch.cluster_time
        folded: dict[str, dict[str, Change]] = {}
        events = self._events
        for event, reply, index in batch.items:
            meaning = interpret(event, reply, index)
            if type(meaning) is Change:
                name = meaning.collection
                events[name, meaning.operation] += 1
                keys = folded.get(name)
                if keys is None:
                    keys = folded[name] = {}
                keys[meaning.key] = meaning
            else:
                yield from self._without_document(meaning)
        # The source lets none of them through but as a part of a split event.
        for name in [name for name in folded if not self.collections.crosses(name)]:
            del folded[name]
        for name, keys in folded.items():
            collection = self.collections.get(name)
            if collection is not None and collection.snapshot is not None:
                collection.snapshot.note(keys)
            yield from self._make_known(name, None)
        absent: list[Change] = []
        last: RowGroup | None = None
        for group in self._groups(self._resolved(folded, absent, batch.cluster_time)):
            if last is not None:
                yield last
            last = group
        self._settle_absent(folded, absent, is_part=batch.position is None)
        # Giving a step may block for long: what was decoded is not needed any more.
        del folded
        batch.release()
        if last is not None:
            yield last
        if batch.position is not None:
            yield self.commit(batch.position)

    def drop(self, name: str) -> Iterator[Step]:
        """A collection does not exist any more; the server's own that came and went leave nothing."""
        collection = self.collections.get(name)
        if collection is None or not collection.is_streamed:
            return
        if is_temporary(name):
            yield from self.remove(collection)
        else:
            yield from collection.drop()

    def remove(self, collection: Collection) -> Iterator[Step]:
        """Forget a collection, its tables and its name."""
        yield from collection.remove()
        self.collections.remove(collection.name)

    def _resolved(
        self, folded: dict[str, dict[str, Change]], absent: list[Change], at: int
    ) -> Iterator[tuple[list[Change], int]]:
        """Every change with its document: first those that came with it, then those that are read at ``at``."""
        updated: dict[str, list[Change]] = {}
        for name, keys in folded.items():
            if not self.collections[name].is_streamed:
                continue
            updates = [change for change in keys.values() if change.operation is Operation.UPDATE]
            if updates:
                updated[name] = updates
            if len(updates) < len(keys):
                whole = [change for change in keys.values() if change.operation is not Operation.UPDATE]
                yield [change for change in whole if not _is_large(change)], 0
                yield from (([change], change.source.size) for change in whole if change.source and _is_large(change))
        if updated:
            self._failpoints.reach(Window.BEFORE_LOOKUP)
        for changes, size in self.reads.updated_in(updated, at=at):
            if changes and changes[0].source is None:
                absent += changes
            yield changes, size

    def _groups(self, parts: Iterable[tuple[list[Change], int]]) -> Iterator[RowGroup]:
        """Encode changes in groups that are bounded in number and in bytes."""
        waiting: list[Change] = []
        size = 0
        for changes, weight in parts:
            if waiting and size + weight > GROUP_BYTES:
                yield self._encoded(waiting)
                waiting, size = [], 0
            waiting += changes
            size += weight
            while len(waiting) >= GROUP_CHANGES:
                yield self._encoded(waiting[:GROUP_CHANGES])
                waiting, size = waiting[GROUP_CHANGES:], 0
        if waiting:
            yield self._encoded(waiting)

    def _encoded(self, changes: list[Change]) -> RowGroup:
        """Rows of changes, whose decoded documents take twenty times the room of their bytes and are not needed more.

        Small documents that came with their events are released with their batch: other changes share their replies.
        """
        group = self.encoder.encode(changes)
        for each in changes:
            if each.source is not None and (each.operation is Operation.UPDATE or _is_large(each)):
                each.source.release()
        return group

    def _settle_absent(self, folded: dict[str, dict[str, Change]], absent: list[Change], *, is_part: bool) -> None:
        """Decide what absent documents mean, whose rows are deleted in any case.

        In a part of a transaction, their delete may be in the next part. Otherwise the collection was dropped or
        renamed after the batch (MongoDB 6.0 then reads it as empty), so the rows are ahead: the state converges when
        the stream has passed the present.
        """
        if self._parted:
            for name, keys in folded.items():
                self._parted.difference_update((name, key) for key in keys)
        self._parted.update((change.collection, change.key) for change in absent)
        if not is_part:
            self._close_parts()

    def _close_parts(self) -> None:
        """Nothing more of the open cluster time will come."""
        if self._parted:
            self._parted.clear()
            self.converge(self._source.settled())

    def _make_known(self, name: str, uuid: bytes | None) -> Iterator[Step]:
        """A collection that appears in the stream was created after it began: nothing of it is missing."""
        collection = self.collections.add(name)
        if collection.state is CollectionState.DROPPED:
            yield from collection.create(uuid)
        elif collection.is_streamed:
            yield from collection.appear()

    def _without_document(self, event: Event) -> Iterator[Step]:
        match event:
            case Created(name, is_hidden, uuid):
                self._events[name, "create"] += 1
                yield from self._created(name, uuid, is_hidden=is_hidden)
            case Drop(name, uuid):
                self._events[name, "drop"] += 1
                yield from self._gone(name, uuid)
            case Rename(name, target, uuid):
                self._events[name, "rename"] += 1
                yield from self._rename(name, target, uuid)
            case DropDatabase():
                self._events["", "dropDatabase"] += 1
                for collection in self.collections:
                    yield from self.drop(collection.name)
            case Ignored(operation, known):
                self._events["", operation if known else f"unknown:{operation}"] += 1
            case Invalidate() | Change():
                return

    def _created(self, name: str, uuid: bytes | None, *, is_hidden: bool) -> Iterator[Step]:
        """A collection came into being; one that we hold under its name was another one, if their identities differ."""
        if not self.collections.crosses(name):
            return
        collection = self.collections.add(name)
        is_another = collection.is_streamed and collection.is_another_than(uuid)
        yield from self._make_known(name, uuid)
        if collection.is_streamed and (is_hidden or is_another):
            yield from collection.become(uuid)

    def _gone(self, name: str, uuid: bytes | None) -> Iterator[Step]:
        """A collection went: that one. Where we hold another under its name, only reading tells what is there now."""
        collection = self.collections.get(name)
        if collection is not None and collection.is_streamed and collection.is_another_than(uuid):
            yield from collection.begin_snapshot()
        else:
            yield from self.drop(name)

    def _rename(self, name: str, target_name: str | None, uuid: bytes | None) -> Iterator[Step]:
        """Rows move when they are complete and of the same shape.

        Otherwise the target is read anew, and what was there under its name stays until that has replaced it.
        """
        if target_name is not None and not self.collections.crosses(target_name):
            target_name = None
        source = self.collections.get(name)
        held = self.collections.get(target_name) if target_name is not None else None
        if target_name is None or (held is not None and held.state is CollectionState.PAUSED):
            yield from self._gone(name, uuid)
            return
        target = self.collections.add(target_name)
        if source is not None and source.mapping.rules and not target.mapping.rules:
            # Rules go by name, and nobody has said what may cross under this one: it waits until somebody does.
            yield from self._gone(name, uuid)
            yield from target.pause()
            return
        if source is not None and self._can_move(source, target) and not source.is_another_than(uuid):
            yield from target.create(source.uuid)
            yield from source.move_to(target)
            if is_temporary(name):
                yield from self.remove(source)
            return
        yield from self._gone(name, uuid)
        yield from target.become(uuid)

    def _can_move(self, source: Collection, target: Collection) -> bool:
        return source.state is CollectionState.STREAMING and not self.is_converging and source.has_shape_of(target)


def _is_large(change: Change) -> bool:
    """Whether this document is one of few in a large reply: it is encoded and forgotten by itself."""
    source = change.source
    return source is not None and source.size > LARGE_BYTES and source.count <= _FEW


def _label(name: str) -> str:
    """What a collection is called in metrics: names that the server makes up share one."""
    return _TEMPORARY_LABEL if is_temporary(name) else name
