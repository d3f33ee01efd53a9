"""What a person is told: the rules, and that nothing is told without a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from replicator_service.core.errors import Fatal, ResyncRequired, SourceUnavailable
from replicator_service.core.overview import (
    Attempt,
    DatabaseView,
    DifferenceGroup,
    FailedRequest,
    Failure,
    FindingGroup,
    Interference,
    LastReconciliation,
    Leader,
    MartView,
    SourceView,
)
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.core.schema_findings import FindingKind
from replicator_service.core.words import spelled
from replicator_service.runtime.judgement.guarantee import MEANINGS
from replicator_service.runtime.judgement.notices import Notice, Severity, notices
from replicator_service.runtime.judgement.probes import STUCK_SECONDS
from replicator_service.runtime.state.health import State
from tests.support.health import Surroundings, at_second

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOUR = 3_600
YEARS = 10**9


@pytest.fixture
def around() -> Surroundings:
    surroundings = Surroundings()
    surroundings.lead(checkpoint=YEARS, operation=YEARS, oldest=YEARS - 48 * HOUR)
    return surroundings


def told(around: Surroundings) -> list[Notice]:
    return notices(around.service, at=NOW, max_lag_seconds=300)


def only(around: Surroundings) -> Notice:
    (notice,) = told(around)
    return notice


def see(around: Surroundings, **values: object) -> None:
    around.see_database(DatabaseView(is_installed=True, **values))  # type: ignore[arg-type]  # fields by name


def mart(loaded: timedelta) -> MartView:
    return MartView("user_activity", NOW - loaded, NOW - loaded, 1.0, 5, 0, 0, 0, 0)


def test_values_that_do_not_fit_are_told_and_new_fields_are_not(around: Surroundings) -> None:
    new = FindingGroup("EventLogs", FindingKind.NEW_FIELD, 3, 900)
    see(around, finding_groups=(new, FindingGroup("EventLogs", FindingKind.MISFIT, 2, 7)))
    notice = only(around)
    assert notice.message.startswith("Some values of 2 fields do not fit")
    assert (notice.severity, notice.command) == (Severity.WARNING, "replicator mapping drift")
    see(around, finding_groups=(new,))
    assert told(around) == []


def test_nothing_is_told_of_a_service_that_is_well(around: Surroundings) -> None:
    see(
        around,
        last_reconciliation=LastReconciliation(NOW - timedelta(hours=25), 4, 4),
        marts=(mart(timedelta(hours=25)),),
    )
    assert told(around) == []


def test_every_state_has_a_meaning() -> None:
    assert set(MEANINGS) == set(State)


def test_an_error_that_does_not_pass_is_told_with_its_hint(around: Surroundings) -> None:
    around.health.failed(Fatal("something broke", hint="Repair it."))
    assert only(around) == Notice(Severity.CRITICAL, "error", "Something broke.", "Repair it.")


def test_lost_history_is_told_with_the_very_command(around: Surroundings) -> None:
    around.health.resync_required(ResyncRequired("the checkpoint is too old", hint="Keep it longer."))
    notice = only(around)
    assert (notice.severity, notice.command) == (Severity.CRITICAL, "replicator resync --all")
    assert around.service.is_leader, "the lease is still held"


def test_waiting_is_one_notice_with_the_server_the_time_and_the_cause(around: Surroundings) -> None:
    around.health.waits(SourceUnavailable("no server can be reached", hint="Start it."))
    around.watch.source_missed("no server can be reached")
    around.now += 57
    notice = only(around)
    assert notice.message == "Waiting for MongoDB since 2026-03-04T11:59:03Z: No server can be reached."
    assert notice.hint.startswith("Start it. Changes wait")
    assert notice.severity is Severity.CRITICAL


def test_a_server_that_hangs_is_away_as_well(around: Surroundings) -> None:
    see(around)
    around.now += 20
    around.health.ticked("stream-reader")
    around.see_source(YEARS, YEARS - 48 * HOUR)
    assert only(around).message == "PostgreSQL does not answer: last seen 20 seconds ago."


def test_a_thread_that_does_not_turn_is_told(around: Surroundings) -> None:
    around.now += STUCK_SECONDS + 1
    around.health.ticked("stream-reader")
    around.see_source(YEARS, YEARS - 48 * HOUR)
    assert [notice.subject for notice in told(around)] == ["stuck", "stuck"]


def test_a_collection_that_cannot_be_read_is_told_by_its_name(around: Surroundings) -> None:
    around.health.collection_failed("Orders", Fatal("MongoDB refused find", hint="Look this up."))
    notice = only(around)
    assert (notice.subject, notice.message) == ("collection", "Orders cannot be read: MongoDB refused find.")


def test_why_the_service_ended_last_is_told_by_whoever_looks_afterwards(around: Surroundings) -> None:
    around.health.standing_by(cluster_time=at_second(YEARS))
    failure = Failure(NOW - timedelta(minutes=5), "host-1, process 7", "the data are damaged", "Restore it.", 5)
    see(around, leader=Leader(1, "writer", None, NOW), failure=failure)
    notice = only(around)
    assert notice.message == "The service ended 5 minutes ago on host-1, process 7: The data are damaged."
    assert (notice.severity, notice.hint) == (Severity.CRITICAL, "Restore it.")


def test_a_request_that_could_not_be_done_is_told_as_it_was_typed(around: Surroundings) -> None:
    request = FailedRequest("resync", "Ordes", "there is no collection Ordes", NOW - timedelta(minutes=2))
    see(around, failed_requests=(request,))
    assert only(around).message == (
        "2 minutes ago the request 'replicator resync Ordes' could not be done: There is no collection Ordes."
    )


def test_what_others_hang_on_our_tables_is_told_with_the_statement_that_takes_it_away(around: Surroundings) -> None:
    found = tuple(Interference(f"t{number}: rule r does more", f"drop rule r on t{number}") for number in range(5))
    see(around, interference=found)
    notices = told(around)
    assert [notice.subject for notice in notices] == ["interference"] * 4
    assert notices[0].hint == "Take it away: drop rule r on t0"
    assert notices[-1].command == "replicator check"


def test_a_standby_tells_when_nobody_leads_but_only_when_postgresql_says_so(around: Surroundings) -> None:
    around.health.standing_by(cluster_time=at_second(YEARS))
    assert told(around) == []
    see(around, leader=Leader(1, "writer", None, NOW))
    assert told(around) == []
    see(around)
    assert only(around).subject == "no leader"


@pytest.mark.parametrize(
    ("headroom", "severity"),
    [(2 * HOUR, None), (HOUR - 1, Severity.WARNING), (599, Severity.CRITICAL), (-1, Severity.CRITICAL)],
)
def test_a_short_headroom_is_told_in_time(around: Surroundings, headroom: int, severity: Severity | None) -> None:
    around.see_source(YEARS, YEARS - headroom)
    assert [notice.severity for notice in told(around)] == ([severity] if severity else [])


def test_a_young_oplog_that_has_discarded_nothing_is_no_danger(around: Surroundings) -> None:
    around.watch.source_seen(SourceView(at_second(YEARS), at_second(YEARS - 5), oplog_is_whole=True))
    assert told(around) == []


@pytest.mark.parametrize(("lag", "severity"), [(60, None), (61, Severity.WARNING), (301, Severity.CRITICAL)])
def test_lag_is_told_by_the_limit_of_readiness(around: Surroundings, lag: int, severity: Severity | None) -> None:
    around.now += lag
    around.health.ticked("stream-reader")
    around.health.ticked("planner")
    around.health.ticked("writer")
    around.see_source(YEARS + lag, YEARS - 48 * HOUR)
    assert [notice.severity for notice in told(around)] == ([severity] if severity else [])


def test_a_paused_stream_is_told_with_how_to_resume_it_and_not_with_its_lag(around: Surroundings) -> None:
    around.health.paused(is_paused=True)
    around.see_source(YEARS + HOUR, YEARS - 48 * HOUR)
    assert only(around).command == "replicator resume"


def test_differences_that_remain_ask_for_a_repair(around: Surroundings) -> None:
    group = DifferenceGroup("Orders", DifferenceKind.MISSING, 1)
    see(around, last_reconciliation=LastReconciliation(NOW, 3, 2, 10, (group,)))
    notice = only(around)
    assert notice.message == "1 difference between MongoDB and PostgreSQL remains."
    assert notice.command == "replicator reconcile --repair"


def test_differences_that_are_dead_letters_ask_for_no_repair(around: Surroundings) -> None:
    group = DifferenceGroup("Orders", DifferenceKind.MISSING, 2, are_dead_letters=True)
    see(around, dead_letters=2, last_reconciliation=LastReconciliation(NOW, 2, 0, 10, (group,)))
    assert [(notice.subject, notice.command) for notice in told(around)] == [
        ("dead letters", "replicator dead-letters list"),
        ("differences", None),
    ]


def test_a_reconciliation_that_failed_or_did_not_happen_is_told(around: Surroundings) -> None:
    old = LastReconciliation(NOW - timedelta(hours=27), 0, 0)
    see(around, last_reconciliation=old)
    assert only(around).message == "Both sides were last compared 27 hours ago."
    partial = LastReconciliation(NOW, 0, 0, compared=2, collections=8, unproved_since=NOW - timedelta(hours=27))
    see(around, last_reconciliation=partial)
    assert only(around).message == "6 collections of 8 were not compared."
    see(around, last_reconciliation=old, reconciliation_attempt=Attempt(NOW - timedelta(hours=3), "a part failed"))
    assert only(around).message == "The reconciliation begun 3 hours ago failed: A part failed."
    see(around, last_reconciliation=None, reconciliation_attempt=Attempt(NOW, None))
    assert told(around) == []


def test_a_stale_mart_is_told_by_its_name(around: Surroundings) -> None:
    see(around, marts=(mart(timedelta(days=3)),))
    assert only(around).message == "The mart user_activity was last loaded 3 days ago."


def test_the_most_severe_comes_first(around: Surroundings) -> None:
    see(around, dead_letters=1, last_reconciliation=LastReconciliation(NOW, 1, 0), marts=(mart(timedelta(days=3)),))
    around.see_source(YEARS + 90, YEARS - 48 * HOUR)
    severities = [notice.severity for notice in told(around)]
    assert severities == sorted(severities, key=list(Severity).index)
    assert severities[0] is Severity.CRITICAL


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 seconds"), (1, "1 second"), (99, "99 seconds"), (120, "2 minutes"), (7_200, "2 hours"), (2e5, "2 days")],
)
def test_durations_are_said_in_one_unit(seconds: float, text: str) -> None:
    assert spelled(seconds) == text
