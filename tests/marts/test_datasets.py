"""Small data sets with the rows of both marts computed by hand, taken the whole way: MongoDB, service, tables, marts.

``datasets/*.yml`` has a file a theme. A data set is one load, or several with changes before each. Every load is
incremental, unless the set says that it cannot be; then everything is computed, which must change nothing.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from bson import Decimal128, Int64, ObjectId
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.timestamp import Timestamp
from psycopg import sql
from pymongo import MongoClient

from tests.support.databases import Sink, Source, fresh_sink
from tests.support.replication import Replication, replicating
from tests.support.shop_sink import shop_mapping
from tests.support.watching import Watcher
from warehouse_jobs.marts import load
from warehouse_jobs.marts.results import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).with_name("datasets")
MARTS = {"users": "user_activity", "tickets": "support_efficiency"}
COLUMNS = {
    "user_activity": (
        "user_id",
        "sessions_cnt",
        "avg_pages_visited",
        "days_active",
        "days_active_last_month",
        "orders_cnt",
        "reviews_cnt",
        "preferred_category",
    ),
    "support_efficiency": (
        "ticket_id",
        "user_id",
        "status",
        "issue_type",
        "first_message_dt",
        "last_message_dt",
        "support_messages",
        "user_messages",
        "avg_response_time_min",
    ),
}
ANYTHING = ["mass_close", "turned_null"]


class Loader(yaml.SafeLoader):
    """YAML with tags for what it has no values for."""


TAGS: dict[str, Callable[[str], object]] = {
    "!oid": ObjectId,
    "!long": lambda text: Int64(int(text)),
    "!decimal": Decimal128,
    "!uuid": lambda text: Binary.from_uuid(uuid.UUID(text)),
    "!ms": lambda text: DatetimeMS(int(text)),
    "!timestamp": lambda text: Timestamp(int(text), 1),
}


def _construct(loader: Loader, node: yaml.ScalarNode) -> object:
    return TAGS[node.tag](str(loader.construct_scalar(node)))


for tag in TAGS:
    Loader.add_constructor(tag, _construct)


def data_sets() -> list[Any]:
    """Every data set, with its file and name as the name of its test."""
    return [
        pytest.param(each, id=f"{file.stem}: {each['name']}")
        for file in sorted(FOLDER.glob("*.yml"))
        for each in yaml.load(file.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a safe loader
    ]


@dataclass
class Way:
    """The whole way: a service between two databases."""

    source: Source
    sink: Sink
    replication: Replication

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = self.sink.connect()
        connection.execute("set timezone = 'UTC'")
        return connection

    def begin(self, as_of: datetime, zone: str) -> None:
        """Empty the shop, and load empty marts, from which every change is known."""
        self.source.db.drop_collection("incoming")
        existing = self.source.db.list_collection_names()
        for collection in (each.collection for each in shop_mapping().collections):
            if collection in existing:
                self.source.db[collection].delete_many({})
            else:
                self.source.db.create_collection(collection)
        self.replication.catch_up()
        with self.connect() as connection:
            connection.execute("drop schema if exists mart cascade")
        for mart in MARTS.values():
            load(self.sink.dsn, mart, as_of - timedelta(days=1), timezone=zone, max_lag=None)

    def happen(self, step: dict[str, Any]) -> None:
        """Change the documents."""
        db = self.source.db
        for collection, documents in step.get("insert", {}).items():
            db[collection].insert_many([{"_id": n} | each for n, each in enumerate(documents, start=1)])
        for collection, updates in step.get("update", {}).items():
            for identity, update in updates.items():
                assert db[collection].update_one({"_id": identity}, update).modified_count == 1
        for collection, identities in step.get("delete", {}).items():
            assert db[collection].delete_many({"_id": {"$in": identities}}).deleted_count == len(identities)
        for collection, condition in step.get("delete_many", {}).items():
            assert db[collection].delete_many(condition).deleted_count
        for collection in step.get("drop", []):
            db.drop_collection(collection)
        for collection, target in step.get("rename", {}).items():
            db[collection].rename(target, dropTarget=True)
        self.replication.catch_up()

    def rows(self, mart: str) -> dict[str, list[Any]]:
        """The current rows by key; times as PostgreSQL writes them."""
        columns = [
            sql.SQL("{}::text" if name.endswith("_dt") else "{}").format(sql.Identifier(name)) for name in COLUMNS[mart]
        ]
        query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(columns), sql.Identifier("mart", mart))
        with self.connect() as connection:
            return {row[0]: list(row[1:]) for row in connection.execute(query).fetchall()}

    def versions(self, mart: str) -> dict[str, int]:
        query = sql.SQL("select {0}, count(*) from {1} group by {0}").format(
            sql.Identifier(COLUMNS[mart][0]), sql.Identifier("mart", f"{mart}_history")
        )
        with self.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query).fetchall()}


@pytest.fixture(scope="module")
def way(mongo_server: MongoReplicaSet, postgres_server: PostgresServer) -> Iterator[Way]:
    """A service that replicates the database that the marts read, and keeps the journal for them."""
    with ExitStack() as stack:
        client: MongoClient[dict[str, Any]] = stack.enter_context(MongoClient(mongo_server.uri, tz_aware=True))
        client.drop_database("origin")
        stack.callback(client.drop_database, "origin")
        source = Source(mongo_server.uri, "origin", client, client["origin"])
        sink = stack.enter_context(fresh_sink(postgres_server))
        replication = stack.enter_context(replicating(source, sink, shop_mapping()))
        replication.catch_up()
        way = Way(source, sink, replication)
        way.begin(datetime(2026, 1, 1, tzinfo=UTC), "UTC")
        for mart in MARTS.values():
            Watcher(sink, "origin", f"mart.{mart}").wait_until_kept(replication)
        yield way


@pytest.mark.parametrize("data", data_sets())
def test_marts_are_what_was_computed_by_hand(way: Way, data: dict[str, Any]) -> None:
    zone = data.get("timezone", "UTC")
    steps = data.get("loads", [data])
    way.begin(_time(steps[0]["as_of"]), zone)

    for step in steps:
        way.happen(step)
        as_of = _time(step["as_of"])
        for name, mart in MARTS.items():
            options: dict[str, Any] = {"timezone": zone, "max_lag": None, "accept": ANYTHING, "proved_every": None}
            result = load(way.sink.dsn, mart, as_of, **options)
            if mart == "user_activity" and step.get("is_full", False) is not None:
                assert (result.mode is Mode.FULL) == step.get("is_full", False), result.reason
            expected = {key: list(map(_expected, row)) for key, row in step.get(name, {}).items()}
            assert way.rows(mart) == expected, f"{mart} as of {as_of}"
            again = load(way.sink.dsn, mart, as_of + timedelta(microseconds=1), full=True, **options)
            assert (again.mode, again.changed) == (Mode.FULL, 0)
    assert way.versions("user_activity").items() >= data.get("versions", {}).items()
    assert way.versions("support_efficiency").items() >= data.get("ticket_versions", {}).items()


def test_there_are_enough_data_sets_and_none_of_the_same_name() -> None:
    names = [each.id for each in data_sets()]
    assert len(names) >= 50
    assert len(set(names)) == len(names)


def _time(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def _expected(value: Any) -> Any:
    match value:
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}+00"
        case float():
            return Decimal(str(value))
        case _:
            return value
