"""What the pipeline asks of the sink, in order. Everything up to a commit is one transaction.

The pipeline decides, the sink obeys: each step is plain data that carries all it needs, so what a transaction holds can
be read, logged and tested without a database, and nobody looks back into what the pipeline has become since.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.rows import RowGroup

if TYPE_CHECKING:
    from replicator_service.core.mapping.model import CollectionMapping, TableSpec
    from replicator_service.core.ports import HistoryMark
    from replicator_service.core.position import Position
    from replicator_service.core.sessions import Range


class CollectionState(StrEnum):
    """What becomes of a collection's changes."""

    SNAPSHOTTING = "snapshotting"
    STREAMING = "streaming"
    PAUSED = "paused"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class RegisterSnapshots:
    """Remember that these collections are to be read from their first document; their tables are made later.

    One statement however many collections: the position that it commits with never comes without what makes up for
    the time before it. Each has its identity, where that is known.
    """

    collections: tuple[tuple[CollectionMapping, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Preparation:
    """One collection whose tables are to be made; ``uuid`` is its identity where it is known."""

    mapping: CollectionMapping
    state: CollectionState
    uuid: bytes | None = None


@dataclass(frozen=True, slots=True)
class PrepareTables:
    """Make the tables of collections fit their mappings, and remember which each has.

    ``may_rebuild`` allows to drop tables of another shape: somebody asked for a resync, which fills them again.
    """

    collections: tuple[Preparation, ...]
    may_rebuild: bool = False


@dataclass(frozen=True, slots=True)
class RenameTables:
    """The mapping gives collections other tables. One step, since tables may change places.

    A table that has the shape of its target, or can be added to, keeps its rows; any other is emptied, and the
    collection fills a new one. ``left`` names child tables that no collection has any more: they are emptied.
    """

    renames: tuple[TableRename, ...]
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableRename:
    """What one collection's main table was called, and what it is now."""

    collection: str
    table: str
    target: TableSpec


@dataclass(frozen=True, slots=True)
class SetState:
    """A collection is in another state now."""

    collection: str
    state: CollectionState


@dataclass(frozen=True, slots=True)
class StartSnapshot:
    """Begin (again) with the first document.

    ``uuid`` is the collection's identity, ``expected`` estimates how many documents it has. ``sweeps``: there may be
    rows of before, so those whose documents do not exist have to be looked for at the end. ``ranges`` are what is to
    be read. ``empty`` are tables that had no row a moment ago: they are filled faster without their indexes.
    """

    collection: str
    uuid: bytes | None
    expected: int | None
    sweeps: bool
    ranges: tuple[Range, ...]
    empty: tuple[TableSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """A snapshot has written everything of a range up to ``place``, or all of it when that is None.

    ``documents`` and ``size`` (in bytes) count this chunk alone.
    """

    collection: str
    number: int
    place: bytes | None
    documents: int
    size: int


@dataclass(frozen=True, slots=True)
class StartSweep:
    """Every document has been written: from now on, rows without a document are looked for."""

    collection: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Delete the rows and dead letters of keys that do not exist at the commit's cluster time.

    ``place`` is the last key that was looked at, of those that exist as well.
    """

    collection: str
    tables: tuple[TableSpec, ...]
    keys: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class FinishSnapshot:
    """The tables show the collection."""

    collection: str


@dataclass(frozen=True, slots=True)
class EmptyTables:
    """The collection was dropped: delete its rows. The tables stay, other objects may depend on them."""

    collection: str
    tables: tuple[TableSpec, ...]


@dataclass(frozen=True, slots=True)
class RemoveTables:
    """A collection is forgotten: its tables go as well, and are emptied where something else depends on them."""

    collection: str
    tables: tuple[TableSpec, ...]


@dataclass(frozen=True, slots=True)
class MoveRows:
    """A collection was renamed to one of the same shape: the target's rows become these."""

    source: TableSpec
    target: TableSpec


@dataclass(frozen=True, slots=True)
class MoveDeadLetters:
    """The dead letters of a renamed collection replace those of its target: its documents are still refused."""

    collection: str
    target: str


@dataclass(frozen=True, slots=True)
class RequestTried:
    """An operator's request is begun: counted before it is done, so that one that ends the process is not for ever."""

    request: int


@dataclass(frozen=True, slots=True)
class RequestHandled:
    """An operator's request is done, or on its way; or it cannot be done, and ``error`` says why."""

    request: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """End the transaction at this position; a chunk of a snapshot repeats the one it was read at.

    ``converging_until`` is what the checkpoint shall say; ``is_snapshotting`` tells whether collections are still
    incomplete after it. ``mark``, now and then, is the oplog's entry at the position. ``events`` counts what the
    stream brought, by collection and operation; it is published after the commit.
    """

    position: Position
    converging_until: int | None
    is_snapshotting: bool = False
    mark: HistoryMark | None = None
    events: Counter[tuple[str, str]] = field(default_factory=Counter)


ControlStep = (
    RegisterSnapshots
    | PrepareTables
    | RenameTables
    | SetState
    | StartSnapshot
    | ChunkDone
    | StartSweep
    | Sweep
    | FinishSnapshot
    | EmptyTables
    | MoveRows
    | MoveDeadLetters
    | RemoveTables
    | RequestTried
    | RequestHandled
)
"""Everything but rows and commits: applied by the session as it is, refused by nobody's document."""

Step = RowGroup | ControlStep | Commit
