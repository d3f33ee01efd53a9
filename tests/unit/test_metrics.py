"""Metrics: one list of names, counters that move with commits, and no invented numbers."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from replicator_service.core.overview import CollectionView, DatabaseView
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.metrics import HELP, Name
from tests.support.health import Surroundings


def scraped(around: Surroundings) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by name and label values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(around.metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_every_listed_metric_is_scraped_and_no_other() -> None:
    around = Surroundings()
    around.lead()
    around.commit(events={("a", "insert"): 1})
    around.see_database(DatabaseView(collections={"a": _collection("a", CollectionState.STREAMING)}))
    names = {name for name in scraped(around) if name.startswith("replicator_")}
    bare = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in names}
    assert bare == {name.value for name in Name}
    assert set(HELP) == set(Name)


def test_counters_advance_with_the_commit() -> None:
    around = Surroundings()
    around.commit(
        events={("a", "insert"): 3, ("a", "delete"): 1, ("", "unknown:novelty"): 2}, rows=7, rejected=1, altered=4
    )
    around.commit(events={("a", "insert"): 2}, rows=2)
    found = scraped(around)
    assert found[Name.EVENTS] == {("a", "insert"): 5, ("a", "delete"): 1}
    assert found[Name.UNKNOWN_EVENTS] == {(): 2}
    assert found[Name.ROWS_APPLIED] == {(): 9}
    assert found[Name.DEAD_LETTERS_TOTAL] == {(): 1}
    assert found[Name.ALTERED_VALUES] == {(): 4}
    assert found["replicator_batch_events_sum"] == {(): 8}
    assert found["replicator_batch_events_count"] == {(): 2}
    assert found["replicator_batch_events_bucket"]["1.0",] == 0
    assert found["replicator_batch_events_bucket"]["10.0",] == 2
    assert found["replicator_batch_events_bucket"]["+Inf",] == 2


def test_a_commit_without_events_is_not_a_batch() -> None:
    around = Surroundings()
    around.commit(rows=10)
    found = scraped(around)
    assert found["replicator_batch_events_count"] == {(): 0}
    assert found["replicator_commit_seconds_count"] == {(): 1}


def test_lag_is_not_a_number_before_both_sides_are_known() -> None:
    around = Surroundings()
    assert math.isnan(scraped(around)[Name.LAG][()])
    around.see_source(100)
    assert math.isnan(scraped(around)[Name.LAG][()])
    around.health.streaming_from(90 << 32)
    assert scraped(around)[Name.LAG][()] == 10


def test_lag_is_not_a_number_when_mongodb_has_not_been_seen_for_a_while() -> None:
    around = Surroundings()
    around.lead(checkpoint=100, operation=100)
    assert scraped(around)[Name.LAG][()] == 0
    around.now += 60
    assert math.isnan(scraped(around)[Name.LAG][()])


def test_exactly_one_state_is_1() -> None:
    around = Surroundings()
    around.lead()
    states = scraped(around)[Name.STATE]
    assert {state for (state,), value in states.items() if value} == {"streaming"}
    assert len(states) == 8


def test_snapshot_progress_is_a_share_and_unknown_where_nothing_was_expected() -> None:
    around = Surroundings()
    views = {
        "done": _collection("done", CollectionState.STREAMING),
        "half": _collection("half", CollectionState.SNAPSHOTTING, documents=50, expected=100),
        "over": _collection("over", CollectionState.SNAPSHOTTING, documents=500, expected=100),
        "new": _collection("new", CollectionState.SNAPSHOTTING),
    }
    around.see_database(DatabaseView(collections=views))
    found = scraped(around)[Name.SNAPSHOT_PROGRESS]
    assert found["done",] == 1
    assert found["half",] == 0.5
    assert 0.99 < found["over",] < 1
    assert math.isnan(found["new",])


def _collection(
    name: str, state: CollectionState, *, documents: int | None = None, expected: int | None = None
) -> CollectionView:
    return CollectionView(name, name, state, 0, documents, expected, 0)
