"""What operators asked for, done between two batches.

Each request is counted before it is begun: one that ends the process three times is given up, with its reason, and the
documents behind it do not wait for it any longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.events import Change, Operation
from replicator_service.core.steps import CollectionState, RequestHandled, RequestTried, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from replicator_service.core.ports import Source
    from replicator_service.core.sessions import OperatorSession, Request
    from replicator_service.pipeline.collection import Collection
    from replicator_service.pipeline.planner import Planner

_ATTEMPTS = 3
_DEAD_LETTERS = 100


class Requests:
    """Turns requests into steps."""

    def __init__(
        self,
        operator: OperatorSession,
        planner: Planner,
        source: Source,
        *,
        on_pause: Callable[[bool], None],
    ) -> None:
        self._operator = operator
        self._planner = planner
        self._source = source
        self._on_pause = on_pause
        self.is_paused = False
        self._reported: bool | None = None
        """What was reported last: nothing yet, while an earlier leader here may have reported something else."""

    def steps(self) -> Iterator[Step]:
        """The steps of every request that waits, each with its own commit."""
        self.is_paused = self._operator.is_paused()
        if self.is_paused is not self._reported:
            self._reported = self.is_paused
            self._on_pause(self.is_paused)
        for request in self._operator.open_requests():
            if request.attempts >= _ATTEMPTS:
                yield RequestHandled(request.id, f"given up: the service ended {request.attempts} times while doing it")
            else:
                yield RequestTried(request.id)
                yield self._planner.commit()
                error = yield from self._one(request)
                yield RequestHandled(request.id, error)
            yield self._planner.commit()

    def _one(self, request: Request) -> Generator[Step, None, str | None]:
        """Do it and return why it cannot be done."""
        if request.kind == "retry":
            yield from self._retry()
            return None
        # To be read or to be left alone makes a collection known; all else is about what is ours already.
        named = self._named(request.collection, may_be_new=request.kind in ("resync", "pause"))
        if not named and request.collection is not None:
            return f"there is no collection {request.collection}"
        for collection in named:
            match request.kind:
                case "resync":
                    yield from collection.begin_snapshot(may_rebuild=True)
                case "resume" if collection.state is CollectionState.PAUSED:
                    yield from collection.begin_snapshot(may_rebuild=True)
                case "pause":
                    yield from collection.pause()
                case "forget":
                    refused = yield from self._forget(collection)
                    if refused is not None:
                        return refused
                case _:
                    continue
        return None

    def _forget(self, collection: Collection) -> Generator[Step, None, str | None]:
        """Remove what does not exist, and what no failover brings back; returns why that is not so."""
        gone_at = self._source.settled() if self._source.collection(collection.name) is None else None
        if gone_at is None or self._source.collection(collection.name) is not None:
            return f"{collection.name} exists in MongoDB"
        if collection.is_streamed:
            return f"{collection.name} is gone, and the stream has not come to that yet: ask again later"
        # A paused one may have existed at the position.
        self._planner.converge(gone_at)
        yield from self._planner.remove(collection)
        return None

    def _named(self, name: str | None, *, may_be_new: bool) -> list[Collection]:
        collections = self._planner.collections
        if name is None:
            return list(collections)
        if name not in collections:
            # One that came into being without an event, as by applyOps, can be asked for as well.
            found = self._source.collection(name) if may_be_new else None
            return [collections.add(name)] if found is not None and found.is_streamed else []
        return [collections[name]]

    def _retry(self) -> Iterator[Step]:
        """Write the present version of each document; of what is gone the row is deleted, if there is one still."""
        at = self._planner.position.cluster_time
        after = 0
        while dead_letters := self._operator.retried_dead_letters(after, _DEAD_LETTERS):
            after = dead_letters[-1].id
            by_collection: dict[str, list[Change]] = {}
            for dead_letter in dead_letters:
                source_id = ExactId(dead_letter.id_document)
                change = Change(dead_letter.collection, dead_letter.source_id, Operation.UPDATE, at, None, 0, source_id)
                by_collection.setdefault(dead_letter.collection, []).append(change)
            for name, changes in by_collection.items():
                collection = self._planner.collections.get(name)
                if collection is not None and collection.is_streamed:
                    yield from collection.prepare()
                    yield from self._retried(name, changes, at)

    def _retried(self, name: str, changes: list[Change], at: int) -> Iterator[Step]:
        gone: list[Change] = []
        if self._source.hides_ids(name):
            # A dead letter is as masked as a row.
            found_again = self._planner.reads.found_again(name, {each.key for each in changes})
            gone = [each._replace(operation=Operation.DELETE) for each in changes if each.key not in found_again]
            changes = [each._replace(source_id=found_again[each.key]) for each in changes if each.key in found_again]
        for found, _ in self._planner.reads.updated(name, changes, at=at):
            if found and found[0].source is None:
                gone += [change._replace(operation=Operation.DELETE) for change in found]
            elif found:
                yield self._planner.encoder.encode(found, is_retry=True)
        if gone:
            # An absent document may also mean that its collection was dropped later.
            self._planner.converge(self._source.settled())
            yield self._planner.encoder.encode(gone, is_retry=True)
