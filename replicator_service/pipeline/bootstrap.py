"""How a leader begins: what has to be prepared and read before the first batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.steps import CollectionState, RequestHandled, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from replicator_service.core.ports import SourceCollection
    from replicator_service.pipeline.catalogue import Catalogue
    from replicator_service.pipeline.planner import Planner
    from replicator_service.sink.control.registry import Registered


def restore(catalogue: Catalogue, known: Sequence[Registered]) -> list[str]:
    """Make known what the sink remembers; gives the collections whose mapping has changed since."""
    changed = []
    for each in known:
        entry = catalogue.add(each.collection, each.state)
        entry.place, entry.documents, entry.expected = each.place, each.documents, each.expected
        if fingerprint(entry.mapping) != each.mapping_hash:
            changed.append(each.collection)
    return changed


def first_start(planner: Planner, existing: Mapping[str, SourceCollection]) -> Iterator[Step]:
    """Read everything that exists. The stream is already open: nothing can fall between."""
    for name, collection in sorted(existing.items()):
        if collection.is_streamed:
            yield planner.catalogue.add(name, CollectionState.SNAPSHOTTING).prepare()
            yield from planner.start_snapshot(name)
    yield from prepare_mapped(planner)
    yield planner.commit()


def next_start(
    planner: Planner,
    changed: Sequence[str],
    existing: Mapping[str, SourceCollection],
    resync_requested: Collection[str],
) -> Iterator[Step]:
    """Adapt tables to a mapping that has changed, and read those collections again.

    A table that cannot be changed in place is built anew only when a resync of its collection was asked for.
    """
    for name in changed:
        entry = planner.catalogue[name]
        yield entry.prepare(may_rebuild=name in resync_requested)
        is_there = name in existing and existing[name].is_streamed
        if is_there and entry.state in (CollectionState.STREAMING, CollectionState.SNAPSHOTTING):
            yield from planner.start_snapshot(name)
    yield from prepare_mapped(planner, resync_requested)
    yield planner.commit()


def after_lost_history(
    planner: Planner, existing: Mapping[str, SourceCollection], answered: Sequence[int]
) -> Iterator[Step]:
    """Read everything again at a new position; what does not exist any more loses its rows.

    One transaction: the position never moves without the snapshots that make up for what was missed. ``answered`` are
    requests that asked for just this.
    """
    for request in answered:
        yield RequestHandled(request)
    planner.converging_until = None
    for name in planner.catalogue:
        is_there = name in existing and existing[name].is_streamed
        if not is_there:
            yield from planner.forget(name)
        elif planner.catalogue[name].state is not CollectionState.PAUSED:
            yield planner.catalogue[name].prepare(may_rebuild=True)
            yield from planner.start_snapshot(name)
    for name, collection in sorted(existing.items()):
        entry = planner.catalogue.get(name)
        if collection.is_streamed and (entry is None or entry.state is CollectionState.DROPPED):
            yield planner.catalogue.add(name, CollectionState.SNAPSHOTTING).prepare()
            yield from planner.start_snapshot(name)
    yield from prepare_mapped(planner)
    yield planner.commit()


def prepare_mapped(planner: Planner, resync_requested: Collection[str] = ()) -> Iterator[Step]:
    """Tables that the mapping names exist from the start, with or without documents."""
    for name in planner.catalogue.mapped():
        if name not in planner.catalogue:
            yield planner.catalogue.add(name, CollectionState.STREAMING).prepare(may_rebuild=name in resync_requested)
