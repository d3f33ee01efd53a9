"""The life of a collection, the one place where its state changes.

                    ┌───────────── begin_snapshot ─────────────┐
                    ▼                                          │
    (unknown) ─▶ SNAPSHOTTING ── finish ──▶ STREAMING ◀─ create ─ (unknown)
                 start, read,                  │  ▲
                 start_sweep, swept            │  └─ create, receive ─ DROPPED
                    │  pause ▼ resume          │                        ▲
                    └──────▶ PAUSED ◀── pause ─┤                        │
                    └───────────── drop, rename ┴───────────────────────┘

Every method that changes something gives the steps that make PostgreSQL follow. The planner, snapshots, requests and
the start ask; nobody else sets a state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import CollectionMapping, TableSpec, tables_of
from replicator_service.core.sessions import Progress
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
    EmptyTables,
    FinishSnapshot,
    MoveDeadLetters,
    MoveRows,
    Preparation,
    PrepareTables,
    RegisterSnapshots,
    RemoveTables,
    SetState,
    StartSnapshot,
    StartSweep,
    Step,
    Sweep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from replicator_service.core.errors import ReplicatorError
    from replicator_service.core.sessions import Range
    from replicator_service.core.transform import Transform

TRANSITIONS: dict[CollectionState, frozenset[CollectionState]] = {
    CollectionState.SNAPSHOTTING: frozenset(CollectionState),
    CollectionState.STREAMING: frozenset(CollectionState),
    CollectionState.PAUSED: frozenset({CollectionState.SNAPSHOTTING, CollectionState.PAUSED}),
    CollectionState.DROPPED: frozenset(CollectionState) - {CollectionState.DROPPED},
}
"""Which state may follow which. A paused collection is only read again: the stream does not touch it."""

_MOST_WRITTEN = 200_000
"""So many keys are remembered; with more, PostgreSQL is asked whether a document has rows."""


@dataclass(slots=True, eq=False)
class Snapshot:
    """A snapshot under way. ``progress`` is what PostgreSQL remembers of it, and None before it was started.

    The rest is of this process alone: ``retry_at`` and ``refused_*`` say when a chunk that could not be read is tried
    again, and ``reads_present`` that it is then read as it is at that moment; ``missing_at`` is the cluster time at
    which the collection was not there; ``error`` is what keeps it from being read. ``written`` are the keys that the
    stream has brought since the tables were known to be empty, None where that is not known; ``reading`` takes them up
    for each chunk that is being read.
    """

    progress: Progress | None = None
    is_identified: bool = False
    is_capped: bool = False
    reads_present: bool = False
    may_rebuild: bool = False
    retry_at: float = 0.0
    refused_at: int | None = None
    refused_since: float = 0.0
    missing_at: int | None = None
    written: set[str] | None = None
    reading: list[set[str]] = field(default_factory=list)
    error: ReplicatorError | None = None

    def note(self, keys: Iterable[str]) -> None:
        """The stream has brought changes of these keys."""
        for touched in self.reading:
            touched.update(keys)
        if self.written is not None:
            self.written.update(keys)
            if len(self.written) > _MOST_WRITTEN:
                self.written = None

    def is_ready(self, now: float, cluster_time: int) -> bool:
        """Whether something can be tried: after a pause, or as soon as the stream has moved."""
        return now >= self.retry_at or any(
            waited is not None and cluster_time >= waited for waited in (self.refused_at, self.missing_at)
        )


@dataclass(slots=True)
class Collection:
    """One collection: its mapping and transform, its state, its identity at the source."""

    name: str
    mapping: CollectionMapping
    transform: Transform
    state: CollectionState
    uuid: bytes | None = None
    snapshot: Snapshot | None = None
    has_tables: bool = False
    """Whether this process knows that the tables exist as the mapping wants them."""
    on_enter: Callable[[Collection], None] = lambda _: None
    """Called with each change of the state."""
    _tables: tuple[TableSpec, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        self._tables = tables_of(self.mapping)
        if self.state is CollectionState.SNAPSHOTTING and self.snapshot is None:
            self.snapshot = Snapshot()

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """The collection's tables, the parent first."""
        return self._tables

    @property
    def is_streamed(self) -> bool:
        """Whether changes of the stream are written."""
        return self.state in (CollectionState.STREAMING, CollectionState.SNAPSHOTTING)

    def is_another_than(self, uuid: bytes | None) -> bool:
        """Whether an event is surely about another collection than this one, under the same name."""
        return uuid is not None and self.uuid is not None and uuid != self.uuid

    def prepare(self, *, may_rebuild: bool = False) -> Iterator[Step]:
        """Make sure that the tables exist before anything is written to them."""
        if not self.has_tables or may_rebuild:
            yield prepare_tables([self], may_rebuild=may_rebuild)

    def create(self, uuid: bytes | None) -> Iterator[Step]:
        """The stream has seen it come into being: nothing of it is missing."""
        self.enter(CollectionState.STREAMING)
        self.uuid = uuid
        self.has_tables = False
        yield from self.prepare()

    def appear(self) -> Iterator[Step]:
        """The stream has brought something of it."""
        if self.snapshot is not None:
            self.snapshot.missing_at = None
        yield from self.prepare()

    def begin_snapshot(self, *, may_rebuild: bool = False) -> Iterator[Step]:
        """Read it anew from the first document, whatever a snapshot under way has done."""
        yield begin_snapshots([self], may_rebuild=may_rebuild)

    def become(self, uuid: bytes | None) -> Iterator[Step]:
        """Another collection has its name now: read that one."""
        yield begin_snapshots([self], uuids={self.name: uuid})

    def start(
        self, uuid: bytes | None, expected: int | None, ranges: Sequence[Range], *, sweeps: bool
    ) -> Iterator[Step]:
        """The first chunks come now. ``sweeps``: there may be rows of before."""
        snapshot = self._snapshot()
        snapshot.progress = Progress(tuple(ranges), expected=expected, sweeps=sweeps)
        self.uuid = uuid
        yield from self.prepare(may_rebuild=snapshot.may_rebuild)
        yield StartSnapshot(self.name, uuid, expected, sweeps, tuple(ranges), () if sweeps else self.tables)

    def read(self, number: int, place: bytes | None, documents: int, size: int) -> Iterator[Step]:
        """Everything of a range up to ``place`` was given to be written, or all of it."""
        progress = self._progress()
        ranges = [
            replace(each, place=place) if each.number == number else each
            for each in progress.ranges
            if each.number != number or place is not None
        ]
        self._snapshot().progress = replace(progress, ranges=tuple(ranges), documents=progress.documents + documents)
        yield ChunkDone(self.name, number, place, documents, size)

    def read_all(self) -> Iterator[Step]:
        """Every document was given to be written: what is left is to look for rows without one, if there can be any."""
        progress = self._progress()
        if not progress.sweeps:
            yield from self.finish()
            return
        self._snapshot().progress = replace(progress, sweep_place="")
        yield StartSweep(self.name)

    def swept(self, keys: Sequence[str], place: str) -> Iterator[Step]:
        """Of everything up to ``place``, these keys do not exist."""
        self._snapshot().progress = replace(self._progress(), sweep_place=place)
        yield Sweep(self.name, self.tables, tuple(keys), place)

    def finish(self) -> Iterator[Step]:
        """The tables show it: from now on the stream alone keeps them so."""
        self.enter(CollectionState.STREAMING)
        yield FinishSnapshot(self.name)

    def pause(self) -> Iterator[Step]:
        """Its rows stay as they are until it is resumed."""
        self.enter(CollectionState.PAUSED)
        yield from self.prepare()
        yield SetState(self.name, self.state)

    def drop(self) -> Iterator[Step]:
        """It does not exist any more: its rows go, its tables stay; those of a paused one wait."""
        if not self.is_streamed:
            return
        self.enter(CollectionState.DROPPED)
        self.uuid = None
        yield from self.prepare()
        yield EmptyTables(self.name, self.tables)

    def move_to(self, target: Collection) -> Iterator[Step]:
        """It was renamed to ``target``, whose tables have the same shape and are prepared: its rows become those."""
        for source, destination in zip(self.tables, target.tables, strict=True):
            yield MoveRows(source, destination)
        yield MoveDeadLetters(self.name, target.name)
        self.enter(CollectionState.DROPPED)
        self.uuid = None
        yield SetState(self.name, self.state)

    def remove(self) -> Iterator[Step]:
        """Forget it: its tables go as well."""
        yield RemoveTables(self.name, self.tables)

    def has_shape_of(self, other: Collection) -> bool:
        """Whether rows can move between the two as they are."""
        shapes = [[(t.columns, t.primary_key) for t in each.tables] for each in (self, other)]
        return (
            shapes[0] == shapes[1]
            and type(self.mapping) is type(other.mapping)
            and _paths(self.mapping) == _paths(other.mapping)
            and self.mapping.rules == other.mapping.rules
        )

    def enter(self, state: CollectionState) -> None:
        """Change the state; for this module alone."""
        if state not in TRANSITIONS[self.state]:
            raise AssertionError(f"a collection that is {self.state} does not become {state}")
        self.state = state
        if state is not CollectionState.SNAPSHOTTING:
            self.snapshot = None
        self.on_enter(self)

    def _snapshot(self) -> Snapshot:
        if self.snapshot is None:
            raise AssertionError("no snapshot is under way")
        return self.snapshot

    def _progress(self) -> Progress:
        progress = self._snapshot().progress
        if progress is None:
            raise AssertionError("the snapshot was not started")
        return progress


def begin_snapshots(
    collections: Sequence[Collection], *, may_rebuild: bool = False, uuids: Mapping[str, bytes | None] | None = None
) -> RegisterSnapshots:
    """The same for any number of collections in one step. ``uuids``: those that are known to have another identity."""
    for each in collections:
        each.enter(CollectionState.SNAPSHOTTING)
        each.uuid = (uuids or {}).get(each.name, each.uuid)
        each.snapshot = Snapshot(may_rebuild=may_rebuild)
    return RegisterSnapshots(tuple((each.mapping, each.uuid) for each in collections))


def prepare_tables(collections: Sequence[Collection], *, may_rebuild: bool = False) -> PrepareTables:
    """The same for any number of collections in one step."""
    for each in collections:
        each.has_tables = True
    return PrepareTables(tuple(Preparation(each.mapping, each.state, each.uuid) for each in collections), may_rebuild)


def _paths(mapping: CollectionMapping) -> object:
    columns = getattr(mapping, "columns", ())
    children = getattr(mapping, "children", ())
    return columns, [(child.path, child.columns) for child in children], mapping.keep_bson
