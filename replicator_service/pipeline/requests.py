"""What operators asked for, done between two batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.codec.elements import id_document
from replicator_service.core.events import Change, Operation
from replicator_service.core.steps import CollectionState, RequestHandled, SetState, Step
from replicator_service.pipeline.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.pipeline.planner import Planner, SourcePorts
    from replicator_service.source.read.reader import Reader


class PendingRequest(Protocol):
    """A request that waits: ``kind`` is resync, pause, resume or retry."""

    @property
    def id(self) -> int:
        """Its number."""
        ...

    @property
    def kind(self) -> str:
        """What is asked for."""
        ...

    @property
    def collection(self) -> str | None:
        """The collection concerned, or None for all."""
        ...


class RetriedLetter(Protocol):
    """A dead letter that is to be tried again."""

    @property
    def collection(self) -> str:
        """Its collection."""
        ...

    @property
    def source_id(self) -> str:
        """Its key."""
        ...

    @property
    def document(self) -> bytes:
        """The document as BSON, at least its ``_id``."""
        ...


class RequestBoard(Protocol):
    """Where requests are found; each call looks anew."""

    def is_paused(self) -> bool:
        """Whether the whole stream is to be held."""
        ...

    def open_requests(self) -> Sequence[PendingRequest]:
        """Requests that nobody has handled, the oldest first."""
        ...

    def retried_letters(self) -> Sequence[RetriedLetter]:
        """Dead letters that are to be tried again."""
        ...


class Requests:
    """Turns requests into steps."""

    def __init__(
        self,
        board: RequestBoard,
        planner: Planner,
        reader: Reader,
        source: SourcePorts,
        *,
        on_pause: Callable[[bool], None],
    ) -> None:
        self._board = board
        self._planner = planner
        self._reader = reader
        self._source = source
        self._on_pause = on_pause
        self.is_paused = False
        self._told: bool | None = None
        """What was told last: nothing yet, while an earlier leader here may have told something else."""

    def steps(self) -> Iterator[Step]:
        """The steps of every request that waits, each with its own commit."""
        self.is_paused = self._board.is_paused()
        if self.is_paused is not self._told:
            self._told = self.is_paused
            self._on_pause(self.is_paused)
        for request in self._board.open_requests():
            yield from self._one(request.kind, request.collection)
            yield RequestHandled(request.id)
            yield self._planner.commit()

    def _one(self, kind: str, collection: str | None) -> Iterator[Step]:
        match kind:
            case "resync" | "resume":
                names = self._named(collection) if kind == "resync" else self._paused(collection)
                for name in names:
                    yield from self._resync(name)
            case "pause":
                for name in self._named(collection):
                    self._planner.catalogue[name].state = CollectionState.PAUSED
                    yield SetState(name, CollectionState.PAUSED)
            case "retry":
                yield from self._retry()
            case _:
                return

    def _named(self, collection: str | None) -> list[str]:
        if collection is None:
            return list(self._planner.catalogue)
        return [collection] if collection in self._planner.catalogue else []

    def _paused(self, collection: str | None) -> list[str]:
        catalogue = self._planner.catalogue
        return [name for name in self._named(collection) if catalogue[name].state is CollectionState.PAUSED]

    def _resync(self, collection: str) -> Iterator[Step]:
        """Read anew what exists; what does not exist has no rows."""
        found = self._source.list_collections().get(collection)
        if found is None or not found.is_streamed:
            self._planner.catalogue[collection].state = CollectionState.STREAMING
            yield from self._planner.forget(collection)
            return
        entry = self._planner.catalogue.add(collection, CollectionState.SNAPSHOTTING)
        yield entry.prepare(may_rebuild=True)
        yield from self._planner.start_snapshot(collection)

    def _retry(self) -> Iterator[Step]:
        """Write the present version of each document; of what is gone the row is deleted, if there is one still."""
        at = self._planner.position.cluster_time
        by_collection: dict[str, list[Change]] = {}
        for letter in self._board.retried_letters():
            source_id = ExactId(id_document(letter.document))
            change = Change(letter.collection, letter.source_id, Operation.UPDATE, at, None, 0, source_id)
            by_collection.setdefault(letter.collection, []).append(change)
        for collection, changes in by_collection.items():
            if collection not in self._planner.catalogue:
                continue
            lookup = Lookup(self._reader, at)
            for resolved, _ in lookup.resolve(collection, changes):
                yield self._planner.encoder.encode(resolved)
            if lookup.read_time is not None:
                self._planner.converge(lookup.read_time)
            gone = [change._replace(operation=Operation.DELETE) for change in lookup.unresolved]
            if gone:
                # An absent document may also mean that its collection was dropped later.
                self._planner.converge(self._source.operation_time())
                yield self._planner.encoder.encode(gone)
