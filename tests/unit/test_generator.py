"""The shop's history as pure operations: determinism, windows, order, volumes, shares, and what makes no shop."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from warehouse_jobs.generator.errors import ParametersError
from warehouse_jobs.generator.history import COLLECTIONS, produce
from warehouse_jobs.generator.operations import Delete, Insert, Operation, Replace, Update
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.times import STEADY, WEEKLY, Rhythm

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = Interval.of_days(MONDAY, 1)
WEEK = Interval.of_days(MONDAY, 7)

FIELDS = {
    "UserSessions": "session_id user_id start_time end_time pages_visited device actions",
    "ProductPriceHistory": "product_id price_changes current_price currency",
    "EventLogs": "event_id timestamp event_type details",
    "SupportTickets": "ticket_id user_id status issue_type messages created_at updated_at",
    "UserRecommendations": "user_id recommended_products last_updated",
    "ModerationQueue": "review_id user_id product_id review_text rating moderation_status flags submitted_at",
    "SearchQueries": "query_id user_id query_text timestamp category price_range results_count",
    "device": "type user_agent",
    "actions": "action_type element timestamp",
    "price_changes": "timestamp price",
    "details": "user_id ip_address status",
    "messages": "sender message timestamp",
}


def a_week(documents: int = 1_000, *, seed: int = 1, updates: float = 0.2, deletes: float = 0.05) -> list[Operation]:
    parameters = Parameters.in_total(documents, WEEK, seed=seed, update_share=updates, delete_share=deletes)
    return list(produce(parameters, WEEK))


@cache
def the_week() -> list[Operation]:
    return a_week()


def test_the_same_seed_and_interval_give_the_same_operations() -> None:
    assert a_week() == the_week()


def test_another_seed_gives_other_documents_with_other_ids() -> None:
    other = a_week(seed=2)
    assert not {operation.key for operation in the_week()} & {operation.key for operation in other}
    assert [operation.at for operation in the_week()] != [operation.at for operation in other]


def test_two_intervals_that_meet_give_what_one_over_both_gives() -> None:
    parameters = Parameters.per_day(700, seed=3)
    # Neither whole slots nor whole days: a cut may fall anywhere.
    cut = MONDAY + timedelta(days=1, hours=19, minutes=2, milliseconds=401)
    end = MONDAY + timedelta(days=3)
    whole = list(produce(parameters, Interval(MONDAY, end)))
    halves = [*produce(parameters, Interval(MONDAY, cut)), *produce(parameters, Interval(cut, end))]
    catalogue = [operation for operation in halves if isinstance(operation, Insert) and operation.at == cut]
    assert [operation for operation in halves if operation not in catalogue] == whole
    assert {operation.collection for operation in catalogue} == {"ProductPriceHistory", "UserRecommendations"}


def test_a_later_interval_goes_on_with_documents_of_an_earlier_one() -> None:
    parameters = Parameters.per_day(2_000, seed=5)
    inserted = {operation.key for operation in produce(parameters, DAY) if isinstance(operation, Insert)}
    changed = {
        (type(operation), operation.collection)
        for operation in produce(parameters, Interval.of_days(DAY.end, 1))
        if not isinstance(operation, Insert) and operation.key in inserted
    }
    assert {(Update, "SupportTickets"), (Update, "ModerationQueue"), (Delete, "EventLogs")} <= changed


def test_operations_come_in_order_of_time_within_the_interval() -> None:
    times = [WEEK.start, *(operation.at for operation in the_week())]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[-1] < WEEK.end


def test_nothing_begins_before_the_opening_and_each_life_is_an_insert_changes_and_a_delete() -> None:
    parameters = Parameters.per_day(1_000, seed=7, opening=MONDAY, update_share=0.4, delete_share=0.2)
    inserted: dict[object, datetime] = {}
    deleted: set[object] = set()
    for operation in produce(parameters, Interval.of_days(MONDAY, 2)):
        assert operation.key not in deleted
        if isinstance(operation, Insert):
            assert operation.key not in inserted
            inserted[operation.key] = operation.at
        elif isinstance(operation, Delete):
            deleted.add(operation.key)
        assert operation.at >= inserted[operation.key]
    assert deleted


@pytest.mark.parametrize("documents", [10, 123, 5_001])
def test_exactly_the_documents_asked_for_are_inserted(documents: int) -> None:
    inserts = [operation.key for operation in a_week(documents) if isinstance(operation, Insert)]
    assert len(inserts) == len(set(inserts)) == documents


@pytest.mark.parametrize(
    ("updates", "deletes"), [(0.0, 0.0), (0.05, 0.0), (0.2, 0.1), (0.0, 0.3), (0.6, 0.1), (0.9, 0.01)]
)
def test_updates_and_deletes_have_their_shares(updates: float, deletes: float) -> None:
    operations = a_week(updates=updates, deletes=deletes)
    count = Counter(type(operation) for operation in operations)
    # The catalogue is inserted once and attracts neither: a tenth of the share is left for it.
    assert (count[Update] + count[Replace]) / len(operations) == pytest.approx(updates, rel=0.1)
    assert count[Delete] / len(operations) == pytest.approx(deletes, rel=0.1)


def test_all_seven_collections_get_documents_with_exactly_their_fields() -> None:
    written = [operation for operation in the_week() if isinstance(operation, Insert | Replace)]
    assert {operation.collection for operation in written} == set(COLLECTIONS) == set(list(FIELDS)[:7])
    for operation in written:
        assert list(operation.document) == ["_id", *FIELDS[operation.collection].split()]
        for name, value in operation.document.items():
            parts = value if isinstance(value, list) else [value]
            assert all(list(part) == FIELDS[name].split() for part in parts if name in FIELDS)


def test_evenings_and_weekends_are_busier_than_nights_and_tuesdays() -> None:
    events = [operation.at for operation in a_week(8_000) if operation.collection == "EventLogs"]
    hours = Counter(at.hour for at in events)
    days = Counter(at.weekday() for at in events)
    assert hours[19] > 5 * hours[3]
    assert days[5] > days[1]


def test_a_slot_shared_by_two_volumes_has_its_documents_in_common() -> None:
    small = {operation.key for operation in produce(Parameters.per_day(500), DAY)}
    large = {operation.key for operation in produce(Parameters.per_day(1_000), DAY)}
    assert len(small & large) > len(small) / 2


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (MONDAY, MONDAY, "is empty"),
        (MONDAY, MONDAY - timedelta(seconds=1), "is empty"),
        (MONDAY.replace(tzinfo=None), MONDAY, "no time zone"),
        (MONDAY, MONDAY.replace(tzinfo=None), "no time zone"),
        (datetime(1969, 12, 31, tzinfo=UTC), MONDAY, "before 1970"),
    ],
)
def test_an_interval_that_is_none_is_refused(start: datetime, end: datetime, told: str) -> None:
    with pytest.raises(ParametersError, match=told) as caught:
        Interval(start, end)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"users": 0}, "at least one"),
        ({"products": 0}, "at least one"),
        ({"update_share": -0.1}, "leave nothing to insert"),
        ({"delete_share": -0.1}, "leave nothing to insert"),
        ({"update_share": 0.7, "delete_share": 0.3}, "leave nothing to insert"),
        ({"delete_share": 0.51}, "more than the 0.29 that is inserted"),
        ({"documents": 0}, "without documents"),
        ({"documents": 1e14}, "too many"),
    ],
)
def test_a_shop_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ParametersError, match=told) as caught:
        Parameters.per_day(**{"documents": 1_000, "users": 10, "products": 10} | changes)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_catalogue_that_leaves_no_room_for_visitors_is_refused() -> None:
    with pytest.raises(ParametersError, match="no room beside 100 products"):
        Parameters.in_total(100, DAY, products=100)


def test_the_population_suits_the_volume_unless_it_is_given() -> None:
    assert Parameters.in_total(100_000, DAY).users == 5_000
    assert Parameters.in_total(100, DAY).users == 5
    assert Parameters.in_total(100_000, DAY, users=7, products=9).users == 7
    assert Parameters.live(1, MONDAY, users=7).users == 7
    assert Parameters.live(1, MONDAY).users == 500


def test_documents_per_day_are_those_of_an_average_day() -> None:
    assert Parameters.per_day(1_234).documents_per_day == 1_234


def test_a_live_shop_has_its_rate_as_operations_per_second() -> None:
    parameters = Parameters.live(500, MONDAY, update_share=0.2, delete_share=0.1)
    assert parameters.documents_per_day / parameters.insert_share == 500 * 86_400


@pytest.mark.parametrize("rhythm", [WEEKLY, STEADY])
def test_the_weight_of_a_time_is_the_sum_of_the_weights_of_its_parts(rhythm: Rhythm) -> None:
    start = int(MONDAY.timestamp())
    parts = [rhythm.until(start + second + 601) - rhythm.until(start + second) for second in range(0, 601 * 2_000, 601)]
    assert sum(parts) == rhythm.until(start + 601 * 2_000) - rhythm.until(start)
    assert rhythm.until(start + 7 * 86_400) - rhythm.until(start) == rhythm.week


def test_a_week_begins_on_monday_at_midnight() -> None:
    assert MONDAY.weekday() == 0
    assert WEEKLY.until(int(MONDAY.timestamp())) % WEEKLY.week == 0
