"""Metrics: one list of names, counters that move with commits, and no invented numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from replicator_service.core.errors import Retryable
from replicator_service.core.overview import (
    CollectionView,
    DatabaseView,
    DifferenceGroup,
    FindingGroup,
    LastReconciliation,
    MartView,
)
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.core.schema_findings import FindingKind
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.metrics.counters import ALL
from replicator_service.runtime.state.health import State
from tests.support.health import Surroundings
from tests.support.promtool import promtool

NIGHT = datetime(2026, 3, 1, 2, tzinfo=UTC)


def scraped(around: Surroundings) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by name and the values of its labels but the stream's."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(around.metrics.exposition().decode()):
        for sample in family.samples:
            values = tuple(value for label, value in sample.labels.items() if label != "stream")
            found.setdefault(sample.name, {})[values] = sample.value
    return found


def test_every_listed_metric_is_scraped_and_no_other() -> None:
    around = Surroundings()
    around.lead()
    around.commit(events={("a", "insert"): 1})
    around.see_database(full_view())
    names = {name for name in scraped(around) if name.startswith("replicator_")}
    bare = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name in names}
    assert bare == set(ALL)


def test_every_metric_names_its_stream() -> None:
    around = Surroundings()
    around.lead()
    around.commit(events={("a", "insert"): 1})
    around.see_database(full_view())
    for family in text_string_to_metric_families(around.metrics.exposition().decode()):
        if family.name.startswith("replicator_"):
            assert {sample.labels.get("stream") for sample in family.samples} == {"shop"}, family.name


def test_prometheus_accepts_what_it_scrapes() -> None:
    around = Surroundings()
    around.lead()
    around.commit(events={("a", "insert"): 1, ('odd "name"\n', "delete"): 1})
    around.see_database(full_view())
    done = promtool("check", "metrics", given=around.metrics.exposition())
    assert done.returncode == 0, done.stdout + done.stderr


def test_counters_advance_with_the_commit() -> None:
    around = Surroundings()
    around.commit(
        events={("a", "insert"): 3, ("a", "delete"): 1, ("", "unknown:novelty"): 2}, rows=7, rejected=1, altered=4
    )
    around.commit(events={("a", "insert"): 2}, rows=2)
    found = scraped(around)
    assert found["replicator_events_total"] == {("a", "insert"): 5, ("a", "delete"): 1}
    assert found["replicator_unknown_events_total"] == {(): 2}
    assert found["replicator_rows_applied_total"] == {(): 9}
    assert found["replicator_dead_letters_total"] == {(): 1}
    assert found["replicator_altered_values_total"] == {(): 4}
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
    assert math.isnan(scraped(around)["replicator_lag_seconds"][()])
    around.see_source(100)
    assert math.isnan(scraped(around)["replicator_lag_seconds"][()])
    around.health.streaming_from(90 << 32)
    assert scraped(around)["replicator_lag_seconds"][()] == 10


def test_lag_is_not_a_number_when_mongodb_has_not_been_seen_for_a_while() -> None:
    around = Surroundings()
    around.lead(checkpoint=100, operation=100)
    assert scraped(around)["replicator_lag_seconds"][()] == 0
    around.now += 60
    assert math.isnan(scraped(around)["replicator_lag_seconds"][()])


def test_exactly_one_state_is_1() -> None:
    around = Surroundings()
    around.lead()
    states = scraped(around)["replicator_state"]
    assert {state for (state,), value in states.items() if value} == {"streaming"}
    assert len(states) == len(State)


def test_snapshot_progress_is_a_share_and_unknown_where_nothing_was_expected() -> None:
    around = Surroundings()
    views = {
        "done": _collection("done", CollectionState.STREAMING),
        "half": _collection("half", CollectionState.SNAPSHOTTING, documents=50, expected=100),
        "over": _collection("over", CollectionState.SNAPSHOTTING, documents=500, expected=100),
        "new": _collection("new", CollectionState.SNAPSHOTTING),
    }
    around.see_database(DatabaseView(collections=views))
    found = scraped(around)["replicator_snapshot_progress"]
    assert found["done",] == 1
    assert found["half",] == 0.5
    assert 0.99 < found["over",] < 1
    assert math.isnan(found["new",])


def test_snapshot_documents_are_shown_while_they_grow() -> None:
    around = Surroundings()
    around.see_database(full_view())
    found = scraped(around)
    assert found["replicator_snapshot_documents"] == {("half",): 50}
    assert found["replicator_collections"]["snapshotting",] == 1
    assert found["replicator_collections"]["streaming",] == 1
    assert found["replicator_collections"]["paused",] == 0


def test_marts_and_reconciliations_tell_when_they_were() -> None:
    around = Surroundings()
    around.see_database(full_view())
    found = scraped(around)
    assert found["replicator_reconciliation_differences"][()] == 2
    assert found["replicator_reconciliation_unexplained_differences"][()] == 1
    assert found["replicator_reconciliation_last_success_timestamp_seconds"][()] == NIGHT.timestamp()
    assert found["replicator_mart_as_of_timestamp_seconds"] == {("user_activity",): NIGHT.timestamp()}
    assert found["replicator_mart_rows"] == {("user_activity",): 7}


def test_before_the_first_reconciliation_its_numbers_are_not_numbers() -> None:
    around = Surroundings()
    around.see_database(DatabaseView(is_installed=True))
    found = scraped(around)
    assert math.isnan(found["replicator_reconciliation_differences"][()])
    assert math.isnan(found["replicator_reconciliation_last_success_timestamp_seconds"][()])
    assert "replicator_mart_as_of_timestamp_seconds" not in found


def test_what_postgresql_said_too_long_ago_is_unknown_but_what_happened_stays() -> None:
    around = Surroundings()
    around.see_database(full_view())
    around.now += 60
    found = scraped(around)
    assert math.isnan(found["replicator_reconciliation_differences"][()])
    assert "replicator_snapshot_documents" not in found
    assert found["replicator_reconciliation_last_success_timestamp_seconds"][()] == NIGHT.timestamp()
    assert found["replicator_mart_as_of_timestamp_seconds"] == {("user_activity",): NIGHT.timestamp()}


def test_a_leader_that_waits_for_a_server_does_not_lead() -> None:
    around = Surroundings()
    around.lead()
    assert scraped(around)["replicator_leader"][()] == 1
    around.health.waits(Retryable("away"))
    assert scraped(around)["replicator_leader"][()] == 0
    around.lead()
    assert scraped(around)["replicator_leader"][()] == 1


def test_a_server_is_up_while_it_answers() -> None:
    around = Surroundings()
    assert scraped(around)["replicator_server_up"] == {("mongodb",): 0, ("postgresql",): 0}
    around.see_source(100)
    around.see_database(DatabaseView())
    assert scraped(around)["replicator_server_up"] == {("mongodb",): 1, ("postgresql",): 1}
    around.watch.source_missed("no answer")
    assert scraped(around)["replicator_server_up"] == {("mongodb",): 0, ("postgresql",): 1}
    around.now += 60
    assert scraped(around)["replicator_server_up"] == {("mongodb",): 0, ("postgresql",): 0}


def test_findings_are_counted_by_collection_and_kind() -> None:
    around = Surroundings()
    around.lead()
    around.see_database(full_view())
    found = scraped(around)["replicator_schema_findings"]
    assert found == {("a", "misfit"): 2.0, ("a", "new_field"): 40.0}


def full_view() -> DatabaseView:
    """A database with something of everything."""
    return DatabaseView(
        is_installed=True,
        collections={
            "a": _collection("a", CollectionState.STREAMING),
            "half": _collection("half", CollectionState.SNAPSHOTTING, documents=50, expected=100),
        },
        last_reconciliation=LastReconciliation(
            NIGHT,
            differences=3,
            repaired=1,
            groups=(
                DifferenceGroup("a", DifferenceKind.MISSING, 1, are_dead_letters=True),
                DifferenceGroup("a", DifferenceKind.DIFFERENT, 1),
            ),
        ),
        marts=(MartView("user_activity", NIGHT, NIGHT, 1.5, 7, 1, 2, 3, 0),),
        finding_groups=(
            FindingGroup("a", FindingKind.MISFIT, 2, 300),
            FindingGroup("a", FindingKind.NEW_FIELD, 40, 9_000),
        ),
    )


def _collection(
    name: str, state: CollectionState, *, documents: int | None = None, expected: int | None = None
) -> CollectionView:
    return CollectionView(name, name, state, 0, documents, expected, 0)
