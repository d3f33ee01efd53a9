"""Waiting for a server: when it begins, who leads meanwhile, what ends it, and what else says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from replicator_service.core.errors import DiskFull, NoAnswer, Retryable, Server, SinkUnavailable, SourceUnavailable
from replicator_service.core.overview import CollectionView, DatabaseView, Leader
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.http.status import status
from replicator_service.runtime.judgement.probes import liveness, readiness
from replicator_service.runtime.judgement.service_view import SILENT_SECONDS
from replicator_service.runtime.state.health import Role, State
from tests.support.health import Surroundings, at_second

AT = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
AWAY = SinkUnavailable("PostgreSQL cannot be reached", hint="Start it.")


@pytest.fixture
def around() -> Surroundings:
    surroundings = Surroundings()
    surroundings.lead()
    views = {
        name: CollectionView(name, name, state, 0, None, None, 0)
        for name, state in (("orders", CollectionState.STREAMING), ("left", CollectionState.PAUSED))
    }
    surroundings.see_database(DatabaseView(is_installed=True, collections=views))
    return surroundings


def told(around: Surroundings) -> dict[str, Any]:
    return status(around.service, at=AT, max_lag_seconds=300)


def test_a_process_that_lost_its_session_waits_and_is_no_leader(around: Surroundings) -> None:
    around.health.waits(AWAY)
    around.now += 57
    found = told(around)
    assert (found["state"], found["role"]) == ("waiting", "standby")
    assert found["waiting"] == {
        "server": "postgresql",
        "since": "2026-03-04T11:59:03Z",
        "seconds": 57.0,
        "attempts": 1,
        "reason": "PostgreSQL cannot be reached",
        "hint": "Start it.",
    }
    assert found["collections"]["orders"]["state"] == "waiting"
    assert found["collections"]["left"]["state"] == "paused"
    assert not all(verdict.holds for verdict in readiness(around.service, max_lag_seconds=300))


def test_only_a_commit_of_the_running_pipeline_ends_a_wait(around: Surroundings) -> None:
    around.health.waits(AWAY)
    around.health.leading(cluster_time=None)
    assert (around.service.state, around.service.is_leader) == (State.WAITING, True)
    around.commit()
    assert around.service.state is State.WAITING, "every term can begin"
    around.health.streaming_from(at_second(100))
    assert told(around)["state"] == "waiting", "a connection proves nothing"
    around.commit()
    assert told(around)["state"] == "streaming"
    assert told(around)["waiting"] is None


def test_what_fails_again_at_once_was_not_over_and_then_needs_some_quiet(around: Surroundings) -> None:
    around.health.waits(DiskFull("the disk is full"))
    began = around.now
    for _ in range(3):
        around.lead()
        around.commit()
        around.now += 1
        around.health.waits(DiskFull("the disk is full"))
    around.lead()
    around.commit()
    wait = around.service.wait
    assert wait is not None
    assert wait.since == began
    around.now += 60
    around.answer(100)
    around.commit()
    assert around.service.wait is None


def test_a_silent_stream_waits_for_mongodb_and_keeps_the_lease(around: Surroundings) -> None:
    around.health.delayed(NoAnswer("MongoDB has not answered getMore for 6 s"))
    around.commit(is_snapshotting=True)
    assert (around.service.state, around.service.report.role) == (State.WAITING, Role.LEADER)
    around.health.answered(at_second(100), has_events=False)
    assert around.service.state is State.SNAPSHOTTING


def test_a_stream_that_has_not_answered_for_some_seconds_is_waited_for_whatever_its_deadline(
    around: Surroundings,
) -> None:
    around.now += SILENT_SECONDS + 1
    around.see_source(100)
    service = around.service
    assert service.state is State.WAITING
    assert service.wait is not None
    assert (service.wait.server, service.wait.since) == (Server.MONGODB, around.now - SILENT_SECONDS - 1)
    assert all(verdict.holds for verdict in liveness(service)), "it is alive all the same"
    around.health.ticked("stream-reader")
    assert around.service.state is State.STREAMING


@pytest.mark.parametrize(
    ("error", "server"),
    [
        (SourceUnavailable("x"), {"mongodb": 1.0, "postgresql": 0.0}),
        (SinkUnavailable("x"), {"mongodb": 0.0, "postgresql": 1.0}),
        (Retryable("x"), {"mongodb": 0.0, "postgresql": 0.0}),
    ],
)
def test_which_server_is_waited_for_is_a_metric(
    around: Surroundings, error: Retryable, server: dict[str, float]
) -> None:
    around.health.waits(error)
    text = around.metrics.exposition().decode()
    for name, value in server.items():
        assert f'replicator_waiting{{server="{name}",stream="shop"}} {value}' in text


@pytest.mark.parametrize(("error", "value"), [(DiskFull("x"), 1.0), (SinkUnavailable("x"), 0.0)])
def test_a_full_disk_is_a_metric_of_its_own(around: Surroundings, error: Retryable, value: float) -> None:
    around.health.waits(error)
    assert f'replicator_disk_full{{stream="shop"}} {value}' in around.metrics.exposition().decode()


def test_a_pause_is_shown_although_nothing_commits_after_an_outage(around: Surroundings) -> None:
    around.health.waits(AWAY)
    around.health.streaming_from(at_second(100))
    around.health.waits(AWAY)
    around.health.streaming_from(at_second(100))
    around.health.paused(is_paused=True)
    around.now += 60
    around.health.ticked("planner")
    assert around.service.state is State.PAUSED
    assert told(around)["collections"]["orders"]["state"] == "paused"


def test_a_standby_shows_collections_as_they_are_while_somebody_leads(around: Surroundings) -> None:
    around.health.standing_by(cluster_time=at_second(100))
    assert told(around)["collections"]["orders"]["state"] == "waiting"
    database = around.service.database
    assert database is not None
    around.see_database(
        DatabaseView(is_installed=True, collections=database.collections, leader=Leader(1, "writer", None, AT))
    )
    assert told(around)["collections"]["orders"]["state"] == "streaming"


def test_a_collection_that_cannot_be_read_waits_and_says_why(around: Surroundings) -> None:
    around.health.collection_failed("orders", SourceUnavailable("no such range", hint="Look."))
    found = told(around)["collections"]["orders"]
    assert found["state"] == "waiting"
    assert found["error"] == {"class": "SourceUnavailable", "message": "no such range", "hint": "Look."}
