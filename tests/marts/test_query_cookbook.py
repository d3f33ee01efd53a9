"""The queries that the documentation shows to analysts, run as role ``analyst`` on what the real service has written.

What each has to answer is worked out from MongoDB's documents, never from the tables.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from pymongo import MongoClient

from devstack.demo.stage import MAPPING
from tests.support.deployment import SECRETS, postgres_destination
from tests.support.doc_blocks import ROOT, blocks
from tests.support.processes import Operator
from tests.support.waiting import wait_until
from warehouse_jobs.generator.job import generate
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings
from warehouse_jobs.marts import install, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from devstack.mongo import MongoReplicaSet

    Rows = list[tuple[Any, ...]]

COOKBOOK = ROOT / "docs" / "how-to" / "query.md"
QUERIES = [block for block in blocks(COOKBOOK) if block.language == "sql"]
OTHERS = [block for block in blocks(ROOT / "docs" / "reference" / "marts.md") if block.language == "sql"]
FOR_OPERATORS = [
    block for block in blocks(ROOT / "docs" / "explanation" / "reconciliation.md") if block.language == "sql"
]

DAYS = Interval.of_days(datetime(2026, 3, 2, tzinfo=UTC), 2)
FIRST_LOAD, SECOND_LOAD = datetime(2026, 2, 27, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)

OURS: dict[str, list[dict[str, Any]]] = {
    "SupportTickets": [
        {"_id": "silent", "ticket_id": "silent", "user_id": "anna", "created_at": datetime(2026, 3, 1, tzinfo=UTC)},
        {"_id": "empty", "ticket_id": "empty", "user_id": "nobody", "messages": []},
    ],
    "EventLogs": [
        {"event_id": "coupon", "coupon": "SPRING", "details": {"user_id": "anna"}},
        {"event_id": "by number", "details": {"user_id": 1}},
        {
            "event_id": "late in the evening",
            "event_type": "order_placed",
            "timestamp": datetime(2026, 2, 28, 22, 30, tzinfo=UTC),
            "details": {"user_id": "anna"},
        },
    ],
    "ModerationQueue": [{"review_id": "in words", "rating": "five"}, {"review_id": "in numbers", "rating": 5}],
    "Suppliers": [
        {
            "_id": 1,
            "name": "Acme",
            "rank": 7,
            "since": datetime(2020, 5, 6, tzinfo=UTC),
            "address": {"city": "Tula"},
            "active": True,
        },
        {"_id": 2, "name": "Gone", "active": False},
        {"_id": 3, "name": "Bare", "active": True},
    ],
}
LATER = {
    "event_id": "one more",
    "event_type": "order_placed",
    "timestamp": datetime(2026, 3, 1, tzinfo=UTC),
    "details": {"user_id": "anna"},
}


@dataclass(frozen=True)
class Warehouse:
    """MongoDB as it is, and the address of the warehouse for each role."""

    documents: Database[dict[str, Any]]
    dsn: Callable[[str], str]

    def ask(self, query: str, role: str = "analyst") -> Rows:
        """The rows of a query."""
        with psycopg.connect(self.dsn(role), autocommit=True, options="-c timezone=UTC") as connection:
            return connection.execute(query.encode()).fetchall()

    def find(self, collection: str, *order: str) -> list[dict[str, Any]]:
        """All documents of a collection, sorted by a field."""
        return list(self.documents[collection].find().sort([(name, 1) for name in order or ("_id",)]))


@pytest.fixture(scope="module")
def warehouse(mongo_server: MongoReplicaSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A shop that the real service has replicated as role ``replicator``, and marts that were loaded twice."""
    with postgres_destination() as server, MongoClient[dict[str, Any]](mongo_server.uri, tz_aware=True) as client:
        done = server.apply_roles()
        assert done.returncode == 0, done.stderr

        def dsn(role: str) -> str:
            name = "POSTGRES_CONN_PASSWORD" if role == "airflow" else f"POSTGRES_{role.upper()}_PASSWORD"
            return server.dsn(role, SECRETS.get(name, ""))

        environ = {
            "REPLICATOR_MONGO_URI": mongo_server.uri,
            "REPLICATOR_MONGO_DATABASE": "origin",
            "REPLICATOR_POSTGRES_DSN": dsn("replicator"),
            "REPLICATOR_MAPPING": str(MAPPING),
            "PATH": os.environ["PATH"],
        }
        shop = client["origin"]
        try:
            for name, documents in OURS.items():
                shop[name].insert_many(documents)
            generate(MongoSettings(mongo_server.uri, "origin"), Parameters.in_total(600, DAYS), DAYS)
            made = Warehouse(shop, dsn)
            with Operator(environ, tmp_path_factory.mktemp("service")).running() as service:
                service.wait_for_state("streaming")
                _load_marts(made, FIRST_LOAD)
                shop["EventLogs"].insert_one(LATER)
                arrived = "select from origin.event_logs where event_id = 'one more'"
                wait_until(lambda: made.ask(arrived), message="the order that came later")
                _load_marts(made, SECOND_LOAD)
                yield made
        finally:
            client.drop_database("origin")


def _load_marts(made: Warehouse, as_of: datetime) -> None:
    install(made.dsn("airflow"))
    for mart in ("user_activity", "support_efficiency"):
        load(made.dsn("airflow"), mart, as_of)


def messages(warehouse: Warehouse) -> Rows:
    return [
        (ticket["ticket_id"], ticket.get("status"), ordinal, each["sender"], each["timestamp"])
        for ticket in warehouse.find("SupportTickets", "ticket_id")
        for ordinal, each in enumerate(ticket.get("messages", []))
    ]


def counted_messages(warehouse: Warehouse) -> Rows:
    found = []
    for ticket in warehouse.find("SupportTickets", "ticket_id"):
        senders = [each["sender"] for each in ticket.get("messages", [])]
        found.append((ticket["ticket_id"], len(senders), senders.count("support")))
    return found


def visited_pages(warehouse: Warehouse) -> Rows:
    counts: dict[str, int] = {}
    for session in warehouse.find("UserSessions"):
        for page in session["pages_visited"]:
            counts[page] = counts.get(page, 0) + 1
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def prices(warehouse: Warehouse) -> Rows:
    found = []
    for product in warehouse.find("ProductPriceHistory", "product_id"):
        before = [each for each in product["price_changes"] if each["timestamp"] <= datetime(2026, 3, 3, tzinfo=UTC)]
        if before:
            last = max(before, key=lambda each: each["timestamp"])
            found.append((product["product_id"], last["price"].to_decimal(), last["timestamp"]))
    return found


def days_of_orders(warehouse: Warehouse) -> Rows:
    counts: dict[Any, int] = {}
    for event in warehouse.find("EventLogs"):
        if event.get("event_type") == "order_placed":
            day = event["timestamp"].astimezone(ZoneInfo("Europe/Moscow")).date()
            counts[day] = counts.get(day, 0) + 1
    return sorted(counts.items())


EXPECTED: dict[str, Callable[[Warehouse], Rows]] = {
    "m._ordinal, m.sender": messages,
    "as answers": counted_messages,
    "as visits": visited_pages,
    "distinct on": prices,
    "as coupon": lambda _: [("coupon", "SPRING")],
    "rating_as_written": lambda _: [("in words", "five")],
    "{since,$date}": lambda _: [
        ("$number:1", "Acme", 7, datetime(2020, 5, 6, tzinfo=UTC), "Tula"),
        ("$number:3", "Bare", None, None, None),
    ],
    "as supplier": lambda _: [("by number", "Acme")],
    "Europe/Moscow": days_of_orders,
}
"""A part of a query, and what it answers."""

# These are looked at one by one below.
OF_THEIR_OWN = {"1 day", "orders_cnt, etl_valid_from", "orders_before", "mart.freshness", "as meaning", "@foreignKey"}


def query(part: str) -> str:
    """The one query with this part."""
    (found,) = [block.text for block in QUERIES if part in block.text]
    return found


def test_every_query_of_the_cookbook_has_a_test() -> None:
    parts = EXPECTED.keys() | OF_THEIR_OWN
    assert sorted(query(part) for part in parts) == sorted(block.text for block in QUERIES)


@pytest.mark.parametrize("part", EXPECTED)
def test_a_query_answers_what_is_in_mongodb(warehouse: Warehouse, part: str) -> None:
    expected = EXPECTED[part](warehouse)
    assert expected
    assert warehouse.ask(query(part)) == expected


def test_what_has_changed_lately_is_found_by_the_time_of_its_change(warehouse: Warehouse) -> None:
    found = warehouse.ask(query("1 day"))
    assert {row[0] for row in found} == {each["ticket_id"] for each in warehouse.find("SupportTickets")}
    assert [row[2] for row in found] == sorted(row[2] for row in found)
    assert abs(datetime.now(UTC) - found[-1][2]) < timedelta(hours=1)


def test_the_past_of_a_mart_is_as_it_was(warehouse: Warehouse) -> None:
    anna = [row for row in warehouse.ask(query("orders_cnt, etl_valid_from")) if row[0] == "anna"]
    assert anna == [("anna", 1, FIRST_LOAD, SECOND_LOAD)]
    now = "select orders_cnt, etl_valid_from from user_activity where user_id = 'anna'"
    assert warehouse.ask(now) == [(2, SECOND_LOAD)]


def test_a_ticket_is_joined_with_its_user_as_known_then(warehouse: Warehouse) -> None:
    found = {row[0]: row[1:] for row in warehouse.ask(query("orders_before"))}
    assert found.keys() == {each["ticket_id"] for each in warehouse.find("SupportTickets")}
    assert found["silent"] == (datetime(2026, 3, 1, tzinfo=UTC), 1)
    assert found["empty"] == (None, None)


def test_freshness_names_every_table_and_mart(warehouse: Warehouse) -> None:
    found = {row[0]: row[1:] for row in warehouse.ask(query("mart.freshness"))}
    tables = "select table_name from information_schema.tables where table_schema = 'origin'"
    marts = {"user_activity", "support_efficiency"}
    assert found.keys() == {row[0] for row in warehouse.ask(tables)} | marts
    assert len(found) == 13
    assert {name: told[0] for name, told in found.items()} == {
        name: "loaded" if name in marts else "streaming" for name in found
    }
    assert {told[4] for name, told in found.items() if name not in marts} == {0}


def test_the_dictionary_explains_every_column(warehouse: Warehouse) -> None:
    found = {(row[0], row[1]): row[3] for row in warehouse.ask(query("as meaning"))}
    assert "details.user_id" in found["event_logs", "user_id"]
    assert {name for name, meaning in found.items() if not meaning} == set()


def test_the_relations_are_those_of_the_mapping(warehouse: Warehouse) -> None:
    assert warehouse.ask(query("@foreignKey")) == [
        ("product_price_history", "product"),
        ("support_ticket_messages", "support_tickets"),
        ("user_session_actions", "user_sessions"),
    ]


@pytest.mark.parametrize("block", OTHERS, ids=lambda block: block.place)
def test_queries_of_the_marts_page_run(warehouse: Warehouse, block: Any) -> None:
    assert warehouse.ask(block.text)


@pytest.mark.parametrize("block", FOR_OPERATORS, ids=lambda block: block.place)
def test_queries_for_operators_run(warehouse: Warehouse, block: Any) -> None:
    assert warehouse.ask(block.text, "replicator") == []
