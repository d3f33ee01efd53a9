"""What the pipeline asks of the sink, in order. Everything up to a commit is one transaction.

The pipeline decides, the sink obeys: each step is plain data, so what a transaction holds can be read, logged and
tested without a database.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.rows import RowGroup

if TYPE_CHECKING:
    from replicator_service.core.mapping.model import CollectionMapping, TableSpec
    from replicator_service.core.position import Position


class CollectionState(StrEnum):
    """What becomes of a collection's changes."""

    SNAPSHOTTING = "snapshotting"
    STREAMING = "streaming"
    PAUSED = "paused"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class PrepareTables:
    """Make the tables of a collection fit its mapping, and remember which table it has.

    ``may_rebuild`` allows to drop a table of another shape: somebody asked for a resync, which fills it again.
    """

    mapping: CollectionMapping
    fingerprint: str
    state: CollectionState
    may_rebuild: bool = False


@dataclass(frozen=True, slots=True)
class SetState:
    """A collection is in another state now."""

    collection: str
    state: CollectionState


@dataclass(frozen=True, slots=True)
class StartSnapshot:
    """Begin (again) with the first document. ``expected`` estimates how many there are."""

    collection: str
    expected: int | None


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """A snapshot has written everything up to ``place``; ``documents`` counts this chunk alone."""

    collection: str
    place: bytes
    documents: int


@dataclass(frozen=True, slots=True)
class FinishSnapshot:
    """Every document has been written: rows that were not, since the snapshot began, are deleted."""

    collection: str
    tables: tuple[TableSpec, ...]


@dataclass(frozen=True, slots=True)
class EmptyTables:
    """The collection was dropped: delete its rows. The tables stay, other objects may depend on them."""

    collection: str
    tables: tuple[TableSpec, ...]


@dataclass(frozen=True, slots=True)
class RemoveTables:
    """A collection of the server's own that came and went (of ``$out``): its tables go as well."""

    collection: str
    tables: tuple[TableSpec, ...]


@dataclass(frozen=True, slots=True)
class MoveRows:
    """A collection was renamed to one of the same shape: its rows move."""

    source: TableSpec
    target: TableSpec


@dataclass(frozen=True, slots=True)
class MoveLetters:
    """The dead letters of a renamed collection go with its rows: its documents are still refused."""

    collection: str
    target: str


@dataclass(frozen=True, slots=True)
class RequestHandled:
    """An operator's request is done, or on its way."""

    request: int


@dataclass(frozen=True, slots=True)
class Commit:
    """End the transaction at this position; a chunk of a snapshot repeats the one it was read at.

    ``converging_until`` is what the checkpoint shall say; ``is_snapshotting`` tells whether collections are still
    incomplete after it. ``events`` counts what the stream brought, by collection
    and operation; it is published after the commit.
    """

    position: Position
    converging_until: int | None
    is_snapshotting: bool = False
    events: Counter[tuple[str, str]] = field(default_factory=Counter)


Step = (
    RowGroup
    | PrepareTables
    | SetState
    | StartSnapshot
    | ChunkDone
    | FinishSnapshot
    | EmptyTables
    | MoveRows
    | MoveLetters
    | RemoveTables
    | RequestHandled
    | Commit
)
