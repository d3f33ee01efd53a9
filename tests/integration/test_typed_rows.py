"""Typed tables while documents change: child rows, `_extra`, `_bson`, and from when each row is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Int64
from psycopg import sql

from replicator_service.core.mapping.model import ChildTable, ColumnType, MappedColumn, Mapping, TypedCollection
from tests.support.limits import LIVELY
from tests.support.oracle import differences
from tests.support.replication import Replication, decoded, documents_at, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.support.databases import Sink, Source

TICKETS = TypedCollection(
    "tickets",
    "tickets",
    (
        MappedColumn("status", ("status",), ColumnType.TEXT),
        MappedColumn("rank", ("rank",), ColumnType.INTEGER),
        MappedColumn("owner", ("owner", "name"), ColumnType.TEXT),
        MappedColumn("price", ("price",), ColumnType.NUMERIC),
        MappedColumn("tags", ("tags",), ColumnType.TEXT_ARRAY),
    ),
    (
        ChildTable(
            "messages",
            ("messages",),
            (
                MappedColumn("sender", ("sender",), ColumnType.TEXT),
                MappedColumn("status", ("status",), ColumnType.TEXT, from_parent=True),
            ),
        ),
        ChildTable("notes", ("deep", "notes"), (MappedColumn("note", ("note",), ColumnType.TEXT),)),
    ),
    (("status",),),
)


@pytest.fixture
def replication(source: Source, sink: Sink) -> Iterator[Replication]:
    with replicating(source, sink, Mapping((TICKETS,)), limits=LIVELY) as running:
        running.catch_up()
        yield running


def rows(replication: Replication, table: str, columns: str) -> list[tuple[Any, ...]]:
    """Rows of a table, after everything has arrived and was compared with what documents become."""
    replication.catch_up()
    source = replication.source
    with replication.sink.connect(autocommit=False) as connection:
        documents = documents_at(source, "tickets").values()
        assert differences(connection, source.name, TICKETS, documents) == []
        query = sql.SQL(f"select {columns} from {{}} order by 1, 2").format(sql.Identifier(source.name, table))  # noqa: S608 - a test's own columns
        return connection.execute(query).fetchall()


def valid_from(replication: Replication, table: str) -> dict[tuple[Any, ...], datetime]:
    columns = "_id, _ordinal" if table != "tickets" else "_id, 0"
    return {row[:2]: row[2] for row in rows(replication, table, f"{columns}, etl_valid_from")}


def next_second(source: Source) -> None:
    """Let the cluster time come to another second, the smallest difference that `etl_valid_from` shows."""
    began = source.db.command("ping")["operationTime"].time

    def has_passed() -> bool:
        source.client["replication_tests"]["clock"].insert_one({})
        return bool(source.db.command("ping")["operationTime"].time > began)

    wait_until(has_passed, message="another second")


def test_child_rows_that_stay_the_same_keep_their_time(replication: Replication, source: Source) -> None:
    messages = [{"sender": "a"}, {"sender": "b"}, {"sender": "c", "more": 1}]
    source.db.tickets.insert_many([{"_id": "t", "status": "new", "messages": messages}, {"_id": "u", "messages": [{}]}])
    first = valid_from(replication, "messages")
    assert len(first) == 4

    next_second(source)
    source.db.tickets.update_one({"_id": "t"}, {"$push": {"messages": {"sender": "d"}}, "$set": {"rank": 1}})
    pushed = valid_from(replication, "messages")
    assert {key: time for key, time in pushed.items() if key != ("t", 3)} == first
    assert pushed["t", 3] > first["t", 2]
    assert valid_from(replication, "tickets")["t", 0] == pushed["t", 3]

    next_second(source)
    source.db.tickets.update_one({"_id": "t"}, {"$set": {"messages.1.sender": "changed", "messages.2.more": 2}})
    changed = valid_from(replication, "messages")
    assert {key for key in changed if changed[key] != pushed[key]} == {("t", 1), ("t", 2)}

    next_second(source)
    source.db.tickets.update_one({"_id": "t"}, {"$pop": {"messages": -1}})
    assert [row[2] for row in rows(replication, "messages", "_id, _ordinal, sender")] == ["changed", "c", "d", None]
    assert valid_from(replication, "messages")["u", 0] == first["u", 0]

    before = valid_from(replication, "messages")
    next_second(source)
    source.db.tickets.update_one({"_id": "t"}, {"$set": {"status": "open"}})
    after = valid_from(replication, "messages")
    assert {key for key in after if after[key] != before[key]} == {("t", 0), ("t", 1), ("t", 2)}
    assert {row[2] for row in rows(replication, "messages", "_id, _ordinal, status")} == {"open", None}


def test_arrays_shrink_turn_into_something_else_and_vanish(replication: Replication, source: Source) -> None:
    source.db.tickets.insert_one(
        {"_id": "t", "messages": [{"sender": str(n)} for n in range(5)], "deep": {"notes": [{}]}}
    )
    assert len(rows(replication, "messages", "_id, _ordinal")) == 5
    for update, left, extra in (
        ({"$set": {"messages": [{"sender": "4"}, {"sender": "0"}]}}, 2, None),
        ({"$set": {"messages": "none"}}, 0, {"messages": "none"}),
        ({"$set": {"messages": [1, None, [2], {"sender": 5}]}}, 4, None),
        ({"$set": {"messages": None}}, 0, None),
        ({"$set": {"messages": [{}]}, "$unset": {"deep": 1}}, 1, None),
        ({"$unset": {"messages": 1}}, 0, None),
        ({"$set": {"messages": {"0": {"sender": "x"}}}}, 0, {"messages": {"0": {"sender": "x"}}}),
    ):
        source.db.tickets.update_one({"_id": "t"}, update)
        assert len(rows(replication, "messages", "_id, _ordinal")) == left
        assert rows(replication, "tickets", "_id, _extra") == [("t", extra)]
    assert rows(replication, "notes", "_id, _ordinal") == []


def test_a_key_that_comes_back_has_nothing_of_what_it_was(replication: Replication, source: Source) -> None:
    source.db.tickets.insert_one({"_id": "t", "messages": [{"sender": "1"}, {"sender": "\0"}], "x": "a\0"})
    first = valid_from(replication, "messages")
    ((_, bson_of_parent),) = rows(replication, "tickets", "_id, _bson")
    assert decoded(bson_of_parent) == source.db.tickets.find_one()
    assert [row[2] is None for row in rows(replication, "messages", "_id, _ordinal, _bson")] == [True, False]
    next_second(source)
    source.db.tickets.delete_one({"_id": "t"})
    # Committed together with what comes, a row that stays the same would not be touched.
    assert rows(replication, "messages", "_id, _ordinal") == []
    source.db.tickets.insert_one({"_id": "t", "messages": [{"sender": "1"}]})
    assert rows(replication, "tickets", "_id, status, _extra, _bson") == [("t", None, None, None)]
    again = valid_from(replication, "messages")
    assert again.keys() == {("t", 0)}
    assert again["t", 0] > first["t", 0]
    with source.client.start_session() as session, session.start_transaction():
        source.db.tickets.delete_one({"_id": "t"}, session=session)
        source.db.tickets.insert_one({"_id": "t", "rank": 5}, session=session)
        source.db.tickets.update_one({"_id": "t"}, {"$push": {"messages": {"sender": "new"}}}, session=session)
    assert rows(replication, "tickets", "_id, rank") == [("t", 5)]
    assert rows(replication, "messages", "_id, sender") == [("t", "new")]
    source.db.tickets.delete_one({"_id": "t"})
    assert rows(replication, "messages", "_id, _ordinal") == []


def test_values_come_and_go_between_their_column_and_extra(replication: Replication, source: Source) -> None:
    source.db.tickets.insert_one({"_id": "t"})
    for change, found, extra in (
        ({"rank": 5, "price": Decimal128("1.50")}, (5, "1.50", None), None),
        ({"rank": "five"}, (None, "1.50", None), {"rank": "five"}),
        ({"rank": Int64(2**40)}, (None, "1.50", None), {"rank": 2**40}),
        ({"rank": 7.0, "owner": "nobody"}, (7, "1.50", None), {"owner": "nobody"}),
        ({"owner": {"name": "me", "age": 3}}, (7, "1.50", "me"), {"owner": {"age": 3}}),
        ({"owner.name": ["me"]}, (7, "1.50", None), {"owner": {"age": 3, "name": ["me"]}}),
        ({"owner": None, "price": float("nan")}, (7, "NaN", None), None),
        ({"price": float("-inf"), "tags": ["a", None, "NULL", '"', "\\"]}, (7, "-Infinity", None), None),
        ({"tags": ["a", 1.5]}, (7, "-Infinity", None), {"tags": ["a", 1.5]}),
        ({"tags": [], "a.b": 1, "": 2}, (7, "-Infinity", None), {"a": {"b": 1}}),
    ):
        source.db.tickets.update_one(
            {"_id": "t"}, [{"$set": {name: {"$literal": each} for name, each in change.items() if name}}]
        )
        assert rows(replication, "tickets", "_id, rank, price::text, owner") == [("t", *found)]
        assert rows(replication, "tickets", "_id, _extra") == [("t", extra)]


def test_an_id_that_is_too_long_for_a_key_is_kept_whole(replication: Replication, source: Source) -> None:
    long = {"a": "k" * 50_000, "b": [1, {"c": None}]}
    source.db.tickets.insert_many([{"_id": "k" * 100_000, "status": "x"}, {"_id": long, "messages": [{"sender": "s"}]}])
    source.db.tickets.update_one({"_id": long}, {"$set": {"rank": 1}})
    found = rows(replication, "tickets", "_id, _extra")
    assert [row[1] for row in found] in (
        [{"_id": long}, {"_id": "k" * 100_000}],
        [{"_id": "k" * 100_000}, {"_id": long}],
    )
    assert len(rows(replication, "messages", "_id, sender")) == 1
    source.db.tickets.delete_many({})
    assert rows(replication, "tickets", "_id, status") == []
    assert rows(replication, "messages", "_id, status") == []
