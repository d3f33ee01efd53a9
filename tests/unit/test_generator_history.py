"""The shop's history as pure operations: determinism, windows, order, volumes and shares."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from warehouse_jobs.generator.documents import COLLECTIONS, EVENT_LOGS
from warehouse_jobs.generator.history import produce
from warehouse_jobs.generator.operations import Delete, Insert, Operation, Replace, Update
from warehouse_jobs.generator.parameters import Interval, Parameters

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEK = Interval.of_days(MONDAY, 7)

FIELDS = {
    "UserSessions": "session_id user_id start_time end_time pages_visited device actions",
    "ProductPriceHistory": "product_id price_changes current_price currency",
    "EventLogs": "event_id timestamp event_type details",
    "SupportTickets": "ticket_id user_id status issue_type messages created_at updated_at",
    "UserRecommendations": "user_id recommended_products last_updated",
    "ModerationQueue": ("review_id user_id product_id review_text rating moderation_status flags submitted_at"),
    "SearchQueries": "query_id user_id query_text timestamp category price_range results_count",
}
INNER_FIELDS = {
    ("UserSessions", "device"): "type user_agent",
    ("UserSessions", "actions"): "action_type element timestamp",
    ("ProductPriceHistory", "price_changes"): "timestamp price",
    ("EventLogs", "details"): "user_id ip_address status",
    ("SupportTickets", "messages"): "sender message timestamp",
}


def a_week(documents: int = 5_000, *, seed: int = 1, updates: float = 0.2, deletes: float = 0.05) -> list[Operation]:
    parameters = Parameters.in_total(documents, WEEK, seed=seed, update_share=updates, delete_share=deletes)
    return list(produce(parameters, WEEK))


def key_of(operation: Operation) -> object:
    match operation:
        case Insert(document=document) | Replace(document=document):
            return document["_id"]
        case Update(key=key) | Delete(key=key):
            return key


def test_the_same_seed_and_interval_give_the_same_operations() -> None:
    assert a_week() == a_week()


def test_another_seed_gives_other_documents_with_other_ids() -> None:
    first, second = a_week(1_000, seed=1), a_week(1_000, seed=2)
    assert not {key_of(operation) for operation in first} & {key_of(operation) for operation in second}
    assert [operation.at for operation in first] != [operation.at for operation in second]


def test_two_intervals_that_meet_give_what_one_over_both_gives() -> None:
    parameters = Parameters.per_day(700, seed=3)
    # Neither whole slots nor whole days: a cut may fall anywhere.
    cut = MONDAY + timedelta(days=2, hours=19, minutes=2, milliseconds=401)
    end = MONDAY + timedelta(days=4)
    whole = list(produce(parameters, Interval(MONDAY, end)))
    halves = [*produce(parameters, Interval(MONDAY, cut)), *produce(parameters, Interval(cut, end))]
    catalogue = [operation for operation in halves if isinstance(operation, Insert) and operation.at == cut]
    assert [operation for operation in halves if operation not in catalogue] == whole
    assert {operation.collection for operation in catalogue} == {"ProductPriceHistory", "UserRecommendations"}


def test_a_later_interval_goes_on_with_documents_of_an_earlier_one() -> None:
    parameters = Parameters.per_day(2_000, seed=5)
    tuesday = MONDAY + timedelta(days=1)
    inserted = {
        key_of(operation)
        for operation in produce(parameters, Interval(MONDAY, tuesday))
        if isinstance(operation, Insert)
    }
    later = list(produce(parameters, Interval.of_days(tuesday, 1)))
    changed = {
        (type(operation).__name__, operation.collection)
        for operation in later
        if not isinstance(operation, Insert) and key_of(operation) in inserted
    }
    assert {("Update", "SupportTickets"), ("Update", "ModerationQueue"), ("Delete", "EventLogs")} <= changed


def test_nothing_begins_before_the_opening() -> None:
    parameters = Parameters.per_day(2_000, seed=5, opening=MONDAY)
    operations = list(produce(parameters, Interval.of_days(MONDAY, 2)))
    inserted = {key_of(operation) for operation in operations if isinstance(operation, Insert)}
    assert {key_of(operation) for operation in operations} == inserted


def test_operations_come_in_order_of_time_within_the_interval() -> None:
    times = [operation.at for operation in a_week()]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[0] >= WEEK.start
    assert times[-1] < WEEK.end


def test_every_update_and_delete_follows_the_insert_of_its_document() -> None:
    parameters = Parameters.per_day(2_000, seed=7, opening=MONDAY, update_share=0.4, delete_share=0.2)
    inserted: dict[object, datetime] = {}
    deleted: set[object] = set()
    for operation in produce(parameters, Interval.of_days(MONDAY, 3)):
        key = key_of(operation)
        assert key not in deleted
        if isinstance(operation, Insert):
            assert key not in inserted
            inserted[key] = operation.at
        elif isinstance(operation, Delete):
            deleted.add(key)
        assert operation.at >= inserted[key]
    assert deleted


@pytest.mark.parametrize("documents", [10, 123, 1_000, 20_001])
def test_exactly_the_documents_asked_for_are_inserted(documents: int) -> None:
    inserts = [operation for operation in a_week(documents) if isinstance(operation, Insert)]
    assert len(inserts) == documents
    assert len({key_of(insert) for insert in inserts}) == documents


@pytest.mark.parametrize(
    ("updates", "deletes"), [(0.0, 0.0), (0.05, 0.0), (0.2, 0.1), (0.0, 0.3), (0.6, 0.1), (0.9, 0.01)]
)
def test_updates_and_deletes_have_their_shares(updates: float, deletes: float) -> None:
    operations = a_week(4_000, updates=updates, deletes=deletes)
    count = Counter(type(operation) for operation in operations)
    # The catalogue is inserted once and attracts neither: a tenth of the share is left for it.
    assert (count[Update] + count[Replace]) / len(operations) == pytest.approx(updates, rel=0.1)
    assert count[Delete] / len(operations) == pytest.approx(deletes, rel=0.1)


def test_all_seven_collections_get_documents_with_exactly_their_fields() -> None:
    seen = set()
    for operation in a_week(2_000):
        if isinstance(operation, Insert | Replace):
            seen.add(operation.collection)
            assert list(operation.document) == ["_id", *FIELDS[operation.collection].split()]
            for name, value in operation.document.items():
                inner = INNER_FIELDS.get((operation.collection, name))
                parts = value if isinstance(value, list) and inner else [value] if inner else []
                for part in parts:
                    assert isinstance(part, dict)
                    assert list(part) == (inner or "").split()
    assert seen == set(FIELDS) == set(COLLECTIONS)


def test_evenings_and_weekends_are_busier_than_nights_and_tuesdays() -> None:
    events = [operation.at for operation in a_week(20_000) if operation.collection == EVENT_LOGS]
    hours = Counter(at.hour for at in events)
    days = Counter(at.weekday() for at in events)
    assert hours[19] > 5 * hours[3]
    assert days[5] > days[1]


def test_a_slot_shared_by_two_volumes_has_its_documents_in_common() -> None:
    small = {key_of(operation) for operation in produce(Parameters.per_day(500), WEEK)}
    large = {key_of(operation) for operation in produce(Parameters.per_day(1_000), WEEK)}
    assert len(small & large) > len(small) / 2
