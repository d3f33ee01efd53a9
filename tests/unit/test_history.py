"""What is remembered in memory: samples for the charts, movements of collections, the pace of snapshots."""

from __future__ import annotations

import pytest

from replicator_service.core.overview import CollectionView, DatabaseView
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.state.activity import Movement
from replicator_service.runtime.state.history import History, Recorder, Sample, resident_bytes
from tests.support.health import Surroundings, at_second


def sample(at: int) -> Sample:
    return Sample(at, 0, 0, 0, None, 0, None)


def numbers(history: History, since: int) -> list[int]:
    found = history.since(since)
    assert found["next"] - found["first"] == len(found["series"]["at"])
    return list(found["series"]["at"])


def test_a_reader_gets_what_is_new_since_the_number_that_it_was_told() -> None:
    history = History(size=4)
    for at in range(3):
        history.add(sample(at))
    assert numbers(history, 0) == [0, 1, 2]
    assert history.since(0)["next"] == 3
    history.add(sample(3))
    assert numbers(history, 3) == [3]
    assert numbers(history, 4) == []


def test_the_oldest_samples_go_and_a_late_reader_gets_what_is_left() -> None:
    history = History(size=4)
    for at in range(10):
        history.add(sample(at))
    assert numbers(history, 2) == [6, 7, 8, 9]
    assert numbers(history, 8) == [8, 9]


def test_a_reader_who_remembers_another_process_gets_everything() -> None:
    history = History(began=7.0)
    history.add(sample(0))
    assert numbers(history, 500) == [0]
    assert history.since(500)["began"] == 7.0


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def recorder(around: Surroundings, history: History) -> Recorder:
    return Recorder(
        around.watch.service_view, around.activity, history, clock=lambda: around.now, memory=lambda: 150 * 2**20
    )


def test_a_sample_holds_means_since_the_one_before_and_the_slowest_commit(around: Surroundings) -> None:
    history = History()
    recording = recorder(around, history)
    recording.sample()
    around.lead(checkpoint=100, operation=103)
    around.commit(100, {("Orders", "insert"): 30}, rows=90, dead_letters=2)
    around.commit(100, {("Orders", "update"): 10}, rows=10, dead_letters=2)
    around.now += 2
    recording.sample()
    around.now += 1
    around.see_source(103)
    recording.sample()
    series = history.since()["series"]
    assert series["at"] == [0, 2, 3]
    assert series["events_per_second"] == [None, 20, 0]
    assert series["rows_per_second"] == [None, 50, 0]
    assert series["commit_ms"] == [None, 20, None]
    assert series["lag_seconds"] == [None, 3, 3]
    assert series["dead_letters"] == [0, 2, 2]
    assert series["memory_mib"] == [150, 150, 150]


def test_the_memory_of_this_process_is_known_and_plausible() -> None:
    found = resident_bytes()
    assert found is not None
    assert 2**24 < found < 2**36


def test_a_collection_moves_by_its_durable_changes_of_the_last_seconds(around: Surroundings) -> None:
    around.now = 1_100
    around.commit(90, {("Orders", "insert"): 40, ("Orders", "delete"): 10, ("Carts", "insert"): 5})
    around.now += 1
    around.commit(91, {("Orders", "insert"): 50})
    around.commit(92)
    around.now += 1
    assert around.activity.movements() == {
        "Orders": Movement(at_second(91), 10.0),
        "Carts": Movement(at_second(90), 0.5),
    }
    around.now += 10
    assert around.activity.movements()["Orders"] == Movement(at_second(91), 0.0)


def test_the_rate_of_a_young_process_is_that_of_its_own_time(around: Surroundings) -> None:
    around.commit(90, {("Orders", "insert"): 40})
    around.now += 2
    assert around.activity.movements()["Orders"].events_per_second == 20.0


def look(around: Surroundings, state: CollectionState, documents: int, expected: int | None) -> None:
    view = CollectionView("Orders", "orders", state, 0, documents, expected, 0)
    around.see_database(DatabaseView(is_installed=True, collections={"Orders": view}))


def test_the_time_left_follows_from_the_progress_of_the_last_half_minute(around: Surroundings) -> None:
    look(around, CollectionState.SNAPSHOTTING, 0, 1_000)
    around.now += 2
    look(around, CollectionState.SNAPSHOTTING, 100, 1_000)
    assert around.service.snapshot_seconds_left == {}
    around.now += 2
    look(around, CollectionState.SNAPSHOTTING, 300, 1_000)
    assert around.service.snapshot_seconds_left == {"Orders": 7.0}
    around.now += 60
    look(around, CollectionState.SNAPSHOTTING, 400, 1_000)
    assert around.service.snapshot_seconds_left == {}


def test_there_is_no_time_left_without_a_number_to_compare_with_or_after_the_end(around: Surroundings) -> None:
    for state, expected in ((CollectionState.SNAPSHOTTING, None), (CollectionState.STREAMING, 1_000)):
        for documents in (100, 200, 1_200):
            around.now += 1
            look(around, state, documents, expected)
        assert around.service.snapshot_seconds_left == {}


def test_a_snapshot_of_more_than_was_expected_has_no_time_left(around: Surroundings) -> None:
    for documents in (900, 1_200):
        around.now += 1
        look(around, CollectionState.SNAPSHOTTING, documents, 1_000)
    assert around.service.snapshot_seconds_left == {"Orders": 0.0}
