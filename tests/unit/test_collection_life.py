"""The life of a collection: each change of its state is one of those that the diagram shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replicator_service.core.mapping.model import DocumentCollection
from replicator_service.core.sessions import Range
from replicator_service.core.steps import (
    CollectionState,
    EmptyTables,
    FinishSnapshot,
    PrepareTables,
    RegisterSnapshots,
    SetState,
    StartSnapshot,
    StartSweep,
    Sweep,
)
from replicator_service.core.transform import compile_transform
from replicator_service.pipeline.collection import TRANSITIONS, Collection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.steps import Step

THINGS = DocumentCollection("things", "things")


RANGES = (Range(0, None, b"end"), Range(1, b"end", None))


def collection(state: CollectionState) -> Collection:
    return Collection("things", THINGS, compile_transform(THINGS), state)


def kinds(steps: Iterator[Step]) -> list[type]:
    return [type(step) for step in steps]


def test_a_snapshot_over_rows_of_before_ends_with_a_sweep() -> None:
    one = collection(CollectionState.DROPPED)
    assert kinds(one.begin_snapshot()) == [RegisterSnapshots]
    assert kinds(one.start(b"u", 2, RANGES, sweeps=True)) == [PrepareTables, StartSnapshot]
    list(one.read(0, b"place", 2, 100))
    list(one.read(1, None, 0, 0))
    assert one.snapshot is not None
    assert one.snapshot.progress is not None
    assert one.snapshot.progress.ranges == (Range(0, b"place", b"end"),)
    list(one.read(0, None, 1, 50))
    assert not list(one.snapshot.progress.ranges)
    assert kinds(one.read_all()) == [StartSweep]
    assert one.snapshot is not None
    assert kinds(one.swept(["gone"], "last")) == [Sweep]
    assert kinds(one.finish()) == [FinishSnapshot]
    assert kinds(one.pause()) == [SetState]


def test_a_snapshot_into_empty_tables_looks_for_nothing() -> None:
    one = collection(CollectionState.SNAPSHOTTING)
    list(one.start(None, 2, RANGES, sweeps=False))
    assert kinds(one.read_all()) == [FinishSnapshot]


def test_the_stream_does_not_touch_a_paused_collection() -> None:
    one = collection(CollectionState.STREAMING)
    assert kinds(one.pause()) == [PrepareTables, SetState]
    assert kinds(one.drop()) == []
    with pytest.raises(AssertionError):
        list(one.create(None))
    assert kinds(one.begin_snapshot(may_rebuild=True)) == [RegisterSnapshots]


def test_a_dropped_collection_loses_its_rows_and_its_identity() -> None:
    one = collection(CollectionState.STREAMING)
    list(one.create(b"u"))
    assert kinds(one.drop()) == [EmptyTables]
    assert one.state is CollectionState.DROPPED
    assert one.uuid is None


@pytest.mark.parametrize("state", list(CollectionState))
@pytest.mark.parametrize("after", list(CollectionState))
def test_no_state_follows_another_but_as_the_table_says(state: CollectionState, after: CollectionState) -> None:
    one = collection(state)
    if after in TRANSITIONS[state]:
        one.enter(after)
        assert one.state is after
    else:
        with pytest.raises(AssertionError):
            one.enter(after)
