"""The HTTP interface over a health object: what orchestrators and people are told in which state."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from replicator_service.core.compiled import path_told
from replicator_service.core.errors import Fatal, Retryable
from replicator_service.core.overview import CollectionView, DatabaseView, LastReconciliation, Leader
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.http.routes import make_routes
from replicator_service.runtime.judgement.probes import CALL_SECONDS, STUCK_SECONDS
from tests.support.health import Surroundings, at_second

if TYPE_CHECKING:
    from starlette.applications import Starlette


class Client:
    """Asks the application without a network in between."""

    def __init__(self, application: Starlette) -> None:
        self._transport = httpx.ASGITransport(application)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://service") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def http(around: Surroundings) -> Client:
    return Client(make_routes(around.watch.service_view, around.metrics, max_lag_seconds=30, version="1.2.3"))


def test_a_service_that_has_just_begun_lives_but_is_not_ready(http: Client) -> None:
    assert http.get("/livez").status_code == 200
    assert http.get("/healthz").status_code == 200
    assert http.get("/startupz").status_code == 503
    assert http.get("/readyz").status_code == 503


def test_a_leader_that_keeps_up_is_ready(http: Client, around: Surroundings) -> None:
    around.lead(checkpoint=100, operation=101)
    for path in ("/livez", "/readyz", "/startupz", "/healthz"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (200, "ok\n"), path


def test_a_standby_is_alive_and_ready(http: Client, around: Surroundings) -> None:
    around.health.standing_by(cluster_time=at_second(100))
    around.health.ticked("standby")
    around.see_source(100)
    assert [http.get(path).status_code for path in ("/livez", "/readyz", "/startupz")] == [200, 200, 200]


def test_a_standby_that_no_longer_asks_for_the_lease_is_not_ready(http: Client, around: Surroundings) -> None:
    around.health.standing_by(cluster_time=at_second(100))
    around.health.ticked("standby")
    around.now += 60
    around.see_source(100)
    assert "[-] standby" in http.get("/readyz").text


def test_a_leader_that_lags_is_not_ready_but_alive(http: Client, around: Surroundings) -> None:
    around.lead(checkpoint=100, operation=131)
    assert http.get("/readyz").status_code == 503
    assert "[-] lag: 31 s" in http.get("/readyz?verbose").text
    assert http.get("/livez").status_code == 200


def test_an_unknown_lag_is_not_ready(http: Client, around: Surroundings) -> None:
    around.health.streaming_from(at_second(100))
    assert "[-] lag: unknown" in http.get("/readyz?verbose").text


def test_a_service_that_waits_for_a_server_is_alive_however_long_it_takes(http: Client, around: Surroundings) -> None:
    around.lead()
    around.health.waits(Retryable("no MongoDB server can be reached", hint="Start it."))
    around.now += 10 * STUCK_SECONDS
    assert http.get("/livez").status_code == 200
    ready = http.get("/readyz?verbose")
    assert ready.status_code == 503
    assert "[-] error: Retryable: no MongoDB server can be reached" in ready.text


def test_a_leader_whose_planner_does_not_turn_is_not_alive(http: Client, around: Surroundings) -> None:
    around.lead()
    around.now += STUCK_SECONDS + 1
    around.health.ticked("stream-reader")
    around.health.ticked("writer")
    answer = http.get("/livez")
    assert answer.status_code == 503
    assert "[-] planner" in answer.text
    assert "[+] writer" in answer.text


def test_threads_that_wait_for_a_long_statement_of_postgresql_are_alive(http: Client, around: Surroundings) -> None:
    around.lead()
    around.now += 10 * STUCK_SECONDS
    around.see_database(DatabaseView(is_installed=True, is_writing=True))
    assert http.get("/livez").status_code == 200


def test_a_stream_that_scans_the_oplog_for_minutes_is_alive_while_mongodb_answers(
    http: Client, around: Surroundings
) -> None:
    """Killed for that, it would begin the same scan again, for ever."""
    around.lead()
    around.now += 4 * STUCK_SECONDS
    around.health.ticked("planner")
    around.health.ticked("writer")
    assert "[-] stream-reader" in http.get("/livez").text
    around.see_source(100)
    assert http.get("/livez").status_code == 200
    around.now += CALL_SECONDS
    around.health.ticked("planner")
    around.health.ticked("writer")
    around.see_source(100)
    assert "[-] stream-reader" in http.get("/livez").text


def test_a_paused_leader_is_alive(http: Client, around: Surroundings) -> None:
    around.lead()
    around.health.paused(is_paused=True)
    assert http.get("/livez").status_code == 200
    assert http.get("/status").json()["state"] == "paused"


def test_a_failed_service_is_not_healthy(http: Client, around: Surroundings) -> None:
    around.lead()
    around.health.failed(Fatal("broken", hint="Repair it."))
    assert http.get("/healthz").status_code == 503
    assert http.get("/readyz").status_code == 503


def test_status_says_null_for_everything_it_does_not_know(http: Client) -> None:
    status = http.get("/status").json()
    assert status["state"] == "starting"
    assert status["role"] == "standby"
    assert status["collections"] == {}
    unknown = ("cluster_time", "lag_seconds", "oplog_headroom_seconds", "last_reconciliation", "error", "leader")
    assert [status[key] for key in unknown] == [None] * len(unknown)


def test_status_has_the_form_that_other_programs_rely_on(http: Client, around: Surroundings) -> None:
    around.lead(checkpoint=100, operation=103, oldest=40)
    around.commit(100, {("Orders", "insert"): 2}, rows=5, dead_letters=1, converging_until=at_second(200))
    around.see_source(103, 40, measurements="timeseries")
    compared = LastReconciliation(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), 2, 1)
    leader = Leader(7, "replicator writer", "127.0.0.1", datetime(2026, 1, 1, tzinfo=UTC))
    orders = CollectionView("Orders", "orders", CollectionState.SNAPSHOTTING, 90, 25, 100, 1)
    around.see_database(
        DatabaseView(
            is_installed=True,
            dead_letters=1,
            collections={"Orders": orders},
            last_reconciliation=compared,
            leader=leader,
        )
    )
    status = http.get("/status").json()
    expected = {
        "state": "converging",
        "role": "leader",
        "stream": "shop",
        "cluster_time": at_second(100),
        "lag_seconds": 3.0,
        "converging": True,
        "oplog_headroom_seconds": 60.0,
        "dead_letters": 1,
        "last_reconciliation": {
            "at": "2026-01-02T03:04:00Z",
            "compared": 0,
            "collections": 0,
            "differences": 2,
            "repaired": 1,
            "documents": 0,
            "outstanding": 1,
            "outstanding_by_kind": [],
        },
        "error": None,
        "unsupported_collections": {"measurements": "timeseries"},
        "events_total": 2,
        "rows_applied_total": 5,
        "compiled": path_told(),
    }
    assert {key: status[key] for key in expected} == expected
    assert status["collections"]["Orders"] == {
        "state": "snapshotting",
        "rows": 90,
        "snapshot_progress": 0.25,
        "table": "orders",
        "dead_letters": 1,
        "snapshot_documents": 25,
        "snapshot_expected": 100,
        "snapshot_seconds_left": None,
        "last_change": "1970-01-01T00:01:40Z",
        "snapshot_bytes": None,
        "snapshot_bytes_per_second": None,
        "snapshot_documents_per_second": None,
        "snapshot_ranges": None,
        "snapshot_ranges_left": None,
        "events_per_second": 0.0,
        "error": None,
    }


def test_status_shows_the_error_with_its_hint(http: Client, around: Surroundings) -> None:
    around.health.waits(Retryable("PostgreSQL cannot be reached", hint="Check that it runs."))
    assert http.get("/status").json()["error"] == {
        "class": "Retryable",
        "message": "PostgreSQL cannot be reached",
        "hint": "Check that it runs.",
    }


def test_dead_letters_are_those_that_postgresql_has_even_after_a_person_dropped_some(
    http: Client, around: Surroundings
) -> None:
    around.lead()
    around.commit(dead_letters=5)
    assert http.get("/status").json()["dead_letters"] == 5
    around.see_database(DatabaseView(is_installed=True, dead_letters=2))
    assert http.get("/status").json()["dead_letters"] == 2
    around.now += 60
    assert http.get("/status").json()["dead_letters"] == 5


def test_the_page_is_the_same_whatever_the_database_says(http: Client, around: Surroundings) -> None:
    before = http.get("/")
    assert before.headers["content-type"].startswith("text/html")
    name = "<script>alert(1)</script>"
    view = CollectionView(name, name, CollectionState.STREAMING, 0, None, None, 0)
    around.see_database(DatabaseView(is_installed=True, collections={name: view}))
    around.see_source(100, None, **{name: "view"})
    assert http.get("/").text == before.text


def test_the_page_may_run_its_own_files_alone(http: Client) -> None:
    for path in ("/", "/web/page.js", "/status"):
        policy = http.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "unsafe" not in policy, path
    named = re.findall(r'(?:src|href)="(web/[^"]+)"', http.get("/").text)
    assert len(named) == 3
    for name in named:
        assert http.get(f"/{name}").status_code == 200, name


def test_files_of_the_page_are_sent_again_only_when_they_have_changed(http: Client) -> None:
    first = http.get("/web/page.css")
    assert first.headers["cache-control"] == "no-cache"
    assert http.get("/web/page.css", {"If-None-Match": first.headers["etag"]}).status_code == 304
    assert http.get("/web/page.css", {"If-None-Match": '"another"'}).status_code == 200


@pytest.mark.parametrize("path", ["/web/", "/web/page.py", "/web/../page.py", "/web/%2e%2e%2fpage.py", "/web/%00"])
def test_only_the_files_of_the_page_are_served(http: Client, path: str) -> None:
    assert http.get(path).status_code == 404


@pytest.mark.parametrize("since", ["", "?since=0", "?since=-1", "?since=x", "?since=" + "9" * 5000])
def test_a_history_that_has_not_begun_is_empty_whatever_is_asked_for(http: Client, since: str) -> None:
    history = http.get(f"/history{since}").json()
    assert history["next"] == 0
    assert history["series"]["lag_seconds"] == []


def test_metrics_are_served_as_prometheus_text(http: Client) -> None:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'replicator_lag_seconds{stream="shop"} NaN' in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/healthz", "/metrics", "/status", "/history", "/"])
def test_nothing_is_cached(http: Client, path: str) -> None:
    assert http.get(path).headers["cache-control"] == "no-store"


def test_an_unknown_path_is_not_found(http: Client) -> None:
    assert http.get("/etc/passwd").status_code == 404
