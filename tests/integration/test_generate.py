"""The generator against a real MongoDB: idempotence, plausibility, the continuous mode."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, ObjectId
from pymongo.errors import BulkWriteError

from tests.support.databases import fresh_source
from tests.support.waiting import wait_until
from warehouse_jobs.generator.errors import SourceError
from warehouse_jobs.generator.history import COLLECTIONS, produce
from warehouse_jobs.generator.job import generate, run_live
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings, connect
from warehouse_jobs.generator.writer import apply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Source
    from warehouse_jobs.generator.writer import Summary

Document = dict[str, Any]

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = Interval.of_days(MONDAY, 3)
SHOP = Parameters.in_total(2_000, DAYS, users=150, products=40, update_share=0.25, delete_share=0.1)


@pytest.fixture(scope="module")
def shop(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    """A generated database that is only read."""
    with fresh_source(mongo_server) as database:
        generate(settings_of(database), SHOP, DAYS)
        yield database


def settings_of(source: Source) -> MongoSettings:
    return MongoSettings(source.uri, source.name)


def contents(source: Source) -> dict[str, list[Document]]:
    return {name: list(source.db[name].find().sort("_id", 1)) for name in source.db.list_collection_names()}


def documents(source: Source, collection: str) -> list[Document]:
    found = list(source.db[collection].find())
    assert found
    return found


def ordered(times: list[datetime]) -> bool:
    return all(earlier <= later for earlier, later in pairwise(times))


def test_a_second_run_leaves_the_same_documents(source: Source) -> None:
    first = generate(settings_of(source), SHOP, DAYS)
    written = contents(source)
    generate(settings_of(source), SHOP, DAYS)
    assert contents(source) == written
    assert set(written) == set(COLLECTIONS)
    assert first.total.inserted == 2_000
    assert sum(map(len, written.values())) == 2_000 - first.total.deleted


@pytest.mark.parametrize("killed_after", [1, 1_250, 2_500])
def test_a_run_that_was_killed_is_completed_by_the_next(source: Source, shop: Source, killed_after: int) -> None:
    operations = list(produce(SHOP, DAYS))
    done = operations[:killed_after]
    # The batch in hand had reached some collections only, the way a kill leaves it.
    torn = [each for each in operations[killed_after : killed_after + 500] if each.collection in COLLECTIONS[::2]]
    apply(source.db, [*done, *torn], batch=300)
    generate(settings_of(source), SHOP, DAYS)
    assert contents(source) == contents(shop)


def test_the_size_of_the_batches_makes_no_difference(source: Source, shop: Source) -> None:
    apply(source.db, produce(SHOP, DAYS), batch=97)
    assert contents(source) == contents(shop)


def test_days_one_by_one_leave_the_same_visitors_as_all_at_once(source: Source) -> None:
    parameters = Parameters.per_day(800, seed=2, opening=MONDAY)
    for day in range(3):
        tomorrow = MONDAY + timedelta(days=day)
        for _ in range(2):
            generate(settings_of(source), parameters, Interval.of_days(tomorrow, 1))
    daily = contents(source)
    source.client.drop_database(source.name)
    generate(settings_of(source), parameters, DAYS)
    assert contents(source) == daily


def test_repeating_an_earlier_interval_does_not_set_documents_back(source: Source) -> None:
    parameters = Parameters.per_day(800, seed=2, delete_share=0.1)
    for day in (0, 1, 2):
        generate(settings_of(source), parameters, Interval.of_days(MONDAY + timedelta(days=day), 1))
    written = contents(source)
    for interval in (Interval.of_days(MONDAY, 1), DAYS):
        again = generate(settings_of(source), parameters, interval)
        assert (again.total.inserted, again.total.updated, again.total.deleted) == (0, 0, 0)
    assert contents(source) == written


def test_days_in_any_order_leave_the_same_visitors(source: Source) -> None:
    parameters = Parameters.per_day(1_500, seed=3, delete_share=0.1, opening=MONDAY)
    generate(settings_of(source), parameters, DAYS)
    written = contents(source)
    source.client.drop_database(source.name)
    for day in (2, 0, 1, 2, 0):
        generate(settings_of(source), parameters, Interval.of_days(MONDAY + timedelta(days=day), 1))
    visitors = {name: found for name, found in contents(source).items() if name != "ProductPriceHistory"}
    assert {name: [each["_id"] for each in found] for name, found in visitors.items()} == {
        name: [each["_id"] for each in written[name]] for name in visitors
    }


def test_sessions_hold_their_actions_and_end_after_they_start(shop: Source) -> None:
    sessions = documents(shop, "UserSessions")
    for session in sessions:
        times = [action["timestamp"] for action in session["actions"]]
        assert ordered([session["start_time"], *times])
        assert session["pages_visited"]
        if session["end_time"] is not None:
            assert times
            assert session["end_time"] >= times[-1]
    ended = sum(session["end_time"] is not None for session in sessions)
    assert ended > 0.95 * len(sessions)


def test_the_current_price_is_the_last_of_the_changes(shop: Source) -> None:
    products = documents(shop, "ProductPriceHistory")
    assert len(products) == 40
    for product in products:
        changes = product["price_changes"]
        assert ordered([change["timestamp"] for change in changes])
        assert product["current_price"] == changes[-1]["price"]
        for change in changes:
            assert isinstance(change["price"], Decimal128)
            assert change["price"].to_decimal().as_tuple().exponent == -2
            assert change["price"].to_decimal() > 0
    assert sum(len(product["price_changes"]) > 1 for product in products) > 20


def test_the_status_of_a_ticket_follows_from_its_messages(shop: Source) -> None:
    tickets = documents(shop, "SupportTickets")
    for ticket in tickets:
        messages = ticket["messages"]
        times = [message["timestamp"] for message in messages]
        assert ordered([ticket["created_at"], *times, ticket["updated_at"]])
        assert messages[0]["sender"] == "user"
        assert {message["sender"] for message in messages} <= {"user", "support"}
        answered = any(message["sender"] == "support" for message in messages)
        assert answered == (ticket["status"] != "open")
        if ticket["status"] in {"resolved", "closed"}:
            assert messages[-1]["sender"] == "support"
    statuses = Counter(ticket["status"] for ticket in tickets)
    assert set(statuses) == {"open", "in_progress", "resolved", "closed"}
    assert statuses["closed"] > len(tickets) / 3


def test_reviews_are_moderated_and_rejected_for_a_reason(shop: Source) -> None:
    reviews = documents(shop, "ModerationQueue")
    for review in reviews:
        assert review["rating"] in range(1, 6)
        assert review["review_text"]
        if review["moderation_status"] == "pending":
            assert review["flags"] == []
        if review["moderation_status"] == "rejected":
            assert review["flags"]
    assert {review["moderation_status"] for review in reviews} == {"pending", "approved", "rejected"}


def test_events_and_searches_are_those_of_a_shop(shop: Source) -> None:
    events = documents(shop, "EventLogs")
    orders = [event for event in events if event["event_type"] == "order_placed"]
    assert 0.02 < len(orders) / len(events) < 0.2
    assert all(order["details"]["user_id"] for order in orders)
    for search in documents(shop, "SearchQueries"):
        low, high = map(int, search["price_range"].split("-"))
        assert low < high
        assert search["results_count"] >= 0
        assert search["query_text"]


def test_times_lie_within_the_interval(shop: Source) -> None:
    def times(value: object) -> list[datetime]:
        match value:
            case datetime():
                return [value]
            case dict():
                return [time for inner in value.values() for time in times(inner)]
            case list():
                return [time for inner in value for time in times(inner)]
            case _:
                return []

    found = times(contents(shop))
    assert len(found) > 1_500
    assert min(found) >= DAYS.start
    # The end of a session is known when its last action is written.
    assert max(found) < DAYS.end


def test_users_return_and_a_few_of_them_do_most_of_it(shop: Source) -> None:
    visits = Counter(session["user_id"] for session in documents(shop, "UserSessions"))
    reviewed = Counter(review["product_id"] for review in documents(shop, "ModerationQueue"))
    assert sum(count > 1 for count in visits.values()) > len(visits) / 2
    for counts, members in ((visits, 150), (reviewed, 40)):
        busiest = sum(count for _, count in counts.most_common(members // 10))
        assert busiest > 0.2 * counts.total()
    assert all(user.startswith("user_") and int(user[5:]) in range(1, 151) for user in visits)


def test_identifiers_are_unique_and_ids_are_object_ids_of_their_time(shop: Source) -> None:
    for name, field in (("UserSessions", "session_id"), ("EventLogs", "event_id"), ("SearchQueries", "query_id")):
        found = documents(shop, name)
        assert len({document[field] for document in found}) == len(found)
    for event in documents(shop, "EventLogs"):
        assert isinstance(event["_id"], ObjectId)
        assert event["_id"].generation_time <= event["timestamp"]


def test_a_connection_that_breaks_again_and_again_costs_nothing(source: Source, shop: Source) -> None:
    break_commands = {
        "configureFailPoint": "failCommand",
        "mode": {"times": 6},
        "data": {
            "failCommands": ["insert", "update"],
            "closeConnection": True,
            "appName": "warehouse generate",
        },
    }
    source.client.admin.command(break_commands)
    summary = generate(settings_of(source), SHOP, DAYS)
    assert contents(source) == contents(shop)
    assert summary.total.operations == len(list(produce(SHOP, DAYS)))


def test_a_refused_document_is_an_error_and_not_taken_for_a_repetition(source: Source) -> None:
    source.db.create_collection("EventLogs", validator={"event_type": {"$ne": "order_placed"}})
    with pytest.raises(SourceError, match="refused a write"):
        generate(settings_of(source), SHOP, DAYS)


def test_a_duplicate_of_another_key_is_an_error(source: Source) -> None:
    source.db["EventLogs"].create_index("event_type", unique=True)
    with pytest.raises(BulkWriteError):
        apply(source.db, islice(produce(SHOP, DAYS), 1_000))


def test_errors_of_the_server_carry_no_values_and_a_fix() -> None:
    with (
        pytest.raises(SourceError, match="cannot be reached") as caught,
        connect(MongoSettings("mongodb://root:secret@127.0.0.1:1/?serverSelectionTimeoutMS=1", "origin")),
    ):
        pass
    assert "secret" not in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_the_continuous_mode_inserts_updates_and_deletes_until_it_is_stopped(source: Source) -> None:
    # A clock that runs two hundred times as fast, so that a few seconds hold minutes of the shop.
    began = datetime.now(UTC)

    def clock() -> datetime:
        return MONDAY + (datetime.now(UTC) - began) * 200

    stop = Event()
    reached: list[Summary] = []
    parameters = Parameters.live(10, MONDAY, users=20, products=10, update_share=0.3, delete_share=0.2)
    finished: list[Summary] = []
    thread = Thread(
        target=lambda: finished.append(run_live(source.db, parameters, clock, stop, progress=reached.append))
    )
    thread.start()
    try:
        wait_until(
            lambda: reached and reached[-1].total.deleted > 5 and reached[-1].total.updated > 5,
            timeout=30,
            message="inserts, updates and deletes",
        )
    finally:
        stop.set()
        thread.join(timeout=10)
    assert not thread.is_alive()
    total = finished[0].total
    assert source.db["SupportTickets"].count_documents({"messages.1": {"$exists": True}}) > 0
    left = sum(map(len, contents(source).values()))
    assert left == total.inserted - total.deleted
    wait_for_end = clock()
    assert all(event["timestamp"] <= wait_for_end for event in documents(source, "EventLogs"))


def test_the_continuous_mode_writes_what_was_gathered_when_it_stops(source: Source) -> None:
    stop = Event()
    stop.set()
    parameters = Parameters.live(1_000, MONDAY, users=20, products=10)
    summary = run_live(source.db, parameters, lambda: MONDAY + timedelta(seconds=1), stop)
    assert summary.total.inserted == sum(map(len, contents(source).values()))
    assert summary.total.inserted > 500
