"""How a leader begins: what has to be known, prepared and registered before the first batch.

Whatever has to be read is registered in the transaction that the position commits with. Tables are made later, in
bounded transactions, when their collections are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import TableSpec
from replicator_service.core.steps import (
    CollectionState,
    RemoveTables,
    RenameTables,
    RequestHandled,
    Step,
)
from replicator_service.pipeline.collection import begin_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from replicator_service.core.ports import Source, SourceCollection
    from replicator_service.core.sessions import LeaderSession, Registered, Request
    from replicator_service.pipeline.collection import Collection
    from replicator_service.pipeline.planner import Planner

_TABLES_PER_COMMIT = 50


class Start:
    """The first steps of a term, with or without a position to continue from."""

    def __init__(self, planner: Planner, source: Source, session: LeaderSession, requests: Sequence[Request]) -> None:
        self._planner = planner
        self._collections = planner.collections
        self._source = source
        self._session = session
        self._requests = [request for request in requests if request.kind == "resync"]

    def anew(self, registered: Sequence[Registered]) -> Iterator[Step]:
        """Begin at the present: everything that exists is read, and what does not exist any more loses its rows.

        The first start, and the way on after history was lost; requests that asked for just this are answered.
        """
        changes = self._collections.restore(registered)
        existing = self._existing()
        for name in existing:
            self._collections.add(name)
        # Known collections that do not exist are read as well: what is read of them is nothing.
        wanted = [each for each in self._collections if each.state is not CollectionState.PAUSED]
        self._session.damaged({each.name: each.tables for each in wanted})
        yield from _removals(changes.excluded)
        if changes.renames or changes.left:
            yield RenameTables(changes.renames, changes.left)
        yield begin_snapshots(
            wanted,
            may_rebuild=any(request.collection is None for request in self._requests),
            uuids={name: found.uuid for name, found in existing.items()},
        )
        for request in self._requests:
            if request.collection is None:
                yield RequestHandled(request.id)
        yield from self._prepare([*(each for each in wanted if self._collections.is_mapped(each)), *self._unknown()])

    def onwards(self, registered: Sequence[Registered]) -> Iterator[Step]:
        """Continue from the checkpoint, with tables that fit the mapping of now.

        Collections whose mapping has changed are read again, and those whose tables somebody has damaged.
        """
        changes = self._collections.restore(registered)
        existing = [each for each in self._collections if each.is_streamed]
        damaged = self._session.damaged({each.name: each.tables for each in self._collections})
        for each in existing:
            # Under another mapping they are looked at again, columns that are left behind included.
            each.has_tables = each.name not in damaged and each not in changes.collections
        again = [
            each
            for each in existing
            if each in changes.collections or (damaged.get(each.name) and not _is_registered_alone(each))
        ]
        # What is renamed or registered commits with the first tables: a conflict leaves everything as it was.
        yield from _removals(changes.excluded)
        if changes.renames or changes.left:
            yield RenameTables(changes.renames, changes.left)
        for each in again:
            yield from each.begin_snapshot(may_rebuild=self._may_rebuild(each))
        dropped = [each for each in changes.collections if each.state is CollectionState.DROPPED]
        not_described = [each for each in existing if damaged.get(each.name) is False and each not in again]
        yield from self._prepare([*again, *dropped, *not_described, *self._unknown()])

    def _existing(self) -> dict[str, SourceCollection]:
        """The collections that exist, none of which a failover can hide.

        What has come and gone since the stream was opened is not among them, so until the stream has passed the time
        of the list, the position's state is not promised.
        """
        found = self._source.collections()
        self._planner.begin_anew(self._source.settled())
        found |= self._source.collections()
        return {name: each for name, each in found.items() if each.is_streamed}

    def _unknown(self) -> list[Collection]:
        """Collections that the mapping names: their tables exist from the start, with or without documents."""
        added = [self._collections.add(name) for name in self._collections.mapped() if name not in self._collections]
        for each in added:
            each.enter(CollectionState.STREAMING)
        return added

    def _prepare(self, collections: Iterable[Collection]) -> Iterator[Step]:
        """Tables now rather than when they are read: what cannot be done is found before anything else is."""
        steps = [step for each in collections for step in each.prepare(may_rebuild=self._may_rebuild(each))]
        for first in range(0, len(steps) or 1, _TABLES_PER_COMMIT):
            yield from steps[first : first + _TABLES_PER_COMMIT]
            yield self._planner.commit()

    def _may_rebuild(self, collection: Collection) -> bool:
        return any(request.collection in (None, collection.name) for request in self._requests)


def _removals(excluded: Iterable[Registered]) -> Iterator[Step]:
    """Collections that do not cross any more leave nothing behind: no table, no dead letter, no finding."""
    for each in excluded:
        names = dict.fromkeys([each.table_name, *each.tables])
        yield RemoveTables(each.collection, tuple(TableSpec(name, (), ()) for name in names))


def _is_registered_alone(collection: Collection) -> bool:
    """Whether a snapshot waits that was not started: its tables are made when it is."""
    return collection.snapshot is not None and collection.snapshot.progress is None
