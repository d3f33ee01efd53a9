"""The story in the log: a line for each change of state, and one now and then that sums up."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from replicator_service.core.errors import DiskFull, Fatal, Retryable, SinkUnavailable
from replicator_service.core.overview import CollectionView, DatabaseView
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.log.logging import make_logger
from replicator_service.runtime.log.progress_log import ProgressLog
from tests.support.health import Surroundings, at_second


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress_log(around: Surroundings, stream: io.StringIO) -> ProgressLog:
    return ProgressLog(around.watch.service_view, around.metrics, make_logger(stream=stream), summary_seconds=60)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def view(**states: CollectionState) -> DatabaseView:
    return DatabaseView(
        collections={name: CollectionView(name, name, state, 0, None, None, 0) for name, state in states.items()}
    )


def test_nothing_is_told_while_nothing_happens(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    progress_log.poll()
    around.now += 59
    progress_log.poll()
    assert lines(stream) == []


def test_a_change_of_state_is_told_once(around: Surroundings, progress_log: ProgressLog, stream: io.StringIO) -> None:
    around.lead()
    progress_log.poll()
    progress_log.poll()
    (line,) = lines(stream)
    assert (line["event"], line["before"], line["state"]) == ("state changed", "starting", "streaming")


def test_a_failure_is_left_to_whoever_ends_the_process(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.health.failed(Fatal("broken", hint="Repair it."))
    progress_log.poll()
    assert lines(stream) == []


def test_a_snapshot_that_is_complete_tells_what_it_wrote(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.lead()
    around.commit(rows=2, is_snapshotting=True)
    progress_log.poll()
    around.now += 3
    around.commit(rows=40)
    progress_log.poll()
    first, last = lines(stream)
    assert first["state"] == "snapshotting"
    assert (last["state"], last["rows"], last["seconds"]) == ("streaming", 40, 3)


def outage(stream: io.StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(stream) if line["event"] in {"waiting for a server", "servers are back"}]


def test_a_server_that_is_away_is_told_at_once_then_once_a_minute_and_when_it_is_back(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.lead()
    progress_log.poll()
    for _ in range(130):
        around.health.waits(SinkUnavailable("no server", hint="Start it."))
        progress_log.poll()
        around.now += 1
    around.lead()
    around.commit()
    progress_log.poll()
    around.now += 5
    progress_log.poll()
    told = outage(stream)
    assert [(line["event"], line["waited_seconds"], line["attempts"]) for line in told] == [
        ("waiting for a server", 0, 1),
        ("waiting for a server", 60, 61),
        ("waiting for a server", 120, 121),
        ("servers are back", 130, 130),
    ]
    assert (told[0]["level"], told[0]["server"]) == ("warning", "postgresql")
    assert (told[0]["cause"], told[0]["hint"]) == ("no server", "Start it.")
    states = [line["state"] for line in lines(stream) if line["event"] == "state changed"]
    assert states == ["streaming", "waiting", "streaming"]


def test_one_outage_is_one_line_a_minute_and_one_end_whatever_succeeds_in_between(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    """A full disk: connections succeed, the lease is taken, small commits pass, and the next large one fails."""
    around.lead()
    progress_log.poll()
    for second in range(100):
        around.health.waits(DiskFull("the disk is full", hint="Free space on it."))
        progress_log.poll()
        around.now += 0.5
        around.health.leading(cluster_time=None)
        around.commit()
        progress_log.poll()
        around.health.streaming_from(at_second(100))
        progress_log.poll()
        if second % 5 == 0:
            around.commit()
            progress_log.poll()
        around.now += 0.5
    for _ in range(70):
        around.answer(100)
        around.commit()
        progress_log.poll()
        around.now += 1
    assert [line["event"] for line in outage(stream)] == ["waiting for a server"] * 2 + ["servers are back"]


def test_a_new_cause_of_waiting_is_told_at_once(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    for cause in ("lost", "lost", "no server", "lost", "no server"):
        around.health.waits(Retryable(cause))
        progress_log.poll()
    assert [line["cause"] for line in outage(stream)] == ["lost", "no server"]


def test_a_wait_that_ended_between_two_looks_is_told(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.lead()
    progress_log.poll()
    around.health.waits(Retryable("lost"))
    around.lead()
    around.commit()
    progress_log.poll()
    around.now += 5
    progress_log.poll()
    assert [line["event"] for line in lines(stream)][1:] == ["waiting for a server", "servers are back"]


def test_there_are_no_summaries_while_servers_are_away(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.health.waits(Retryable("no server"))
    for _ in range(130):
        progress_log.poll()
        around.now += 1
    assert {line["event"] for line in lines(stream)} == {"waiting for a server", "state changed"}


def test_collections_that_are_read_again_are_named(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.see_database(view(a=CollectionState.STREAMING, b=CollectionState.STREAMING))
    progress_log.poll()
    assert lines(stream) == []
    around.see_database(view(a=CollectionState.SNAPSHOTTING, b=CollectionState.STREAMING, c=CollectionState.STREAMING))
    progress_log.poll()
    progress_log.poll()
    assert [(line["state"], line["collections"]) for line in lines(stream)] == [
        ("snapshotting", ["a"]),
        ("streaming", ["c"]),
    ]


def test_many_collections_are_counted_and_some_are_named(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.see_database(view())
    progress_log.poll()
    around.see_database(view(**{f"c{number:02}": CollectionState.STREAMING for number in range(40)}))
    progress_log.poll()
    (line,) = lines(stream)
    assert line["count"] == 40
    assert line["collections"] == [f"c{number:02}" for number in range(10)]


def test_dead_letters_are_told_when_they_come_at_most_once_a_minute_and_when_they_are_gone(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    for count in (0, 1, 5, 9):
        around.see_database(DatabaseView(dead_letters=count))
        progress_log.poll()
    around.now += 60
    for count in (9, 0):
        around.see_database(DatabaseView(dead_letters=count))
        progress_log.poll()
    told = [line for line in lines(stream) if line["event"] != "summary"]
    assert [(line["event"], line.get("dead_letters"), line.get("added")) for line in told] == [
        ("there are dead letters", 1, 1),
        ("there are dead letters", 9, 8),
        ("no dead letters are left", None, None),
    ]


def test_dead_letters_are_not_gone_because_postgresql_is_away(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.see_database(DatabaseView(dead_letters=3))
    progress_log.poll()
    around.now += 30
    progress_log.poll()
    assert [line["event"] for line in lines(stream)] == ["there are dead letters"]


def test_a_summary_counts_what_came_since_the_last_one(
    around: Surroundings, progress_log: ProgressLog, stream: io.StringIO
) -> None:
    around.commit(events={("a", "insert"): 3}, rows=4)
    around.now += 60
    progress_log.poll()
    around.commit(events={("a", "insert"): 5}, rows=5)
    around.now += 61
    progress_log.poll()
    assert [(line["events"], line["rows"], line["seconds"]) for line in lines(stream)] == [(3, 4, 60), (5, 5, 61)]
