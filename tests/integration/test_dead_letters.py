"""Documents that PostgreSQL refuses: kept whole, in nobody's way, and written as soon as they can be."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from bson.raw_bson import RawBSONDocument
from psycopg import sql

from replicator_service.core.errors import Fatal
from replicator_service.core.mapping.model import ChildTable, ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.sink.control.dead_letters import DeadLetter, document_of, list_dead_letters, mark_retried
from replicator_service.sink.control.requests import add_request
from tests.support.bson_bytes import document, element, integer, text
from tests.support.limits import LIVELY
from tests.support.replication import (
    RAW,
    Replication,
    assert_same_documents,
    decoded,
    documents_at,
    replicating,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source

SOON = 5.0
"""How long healthy documents may wait, in seconds."""

ORDERS = TypedCollection(
    "orders",
    "orders",
    (MappedColumn("name", ("name",), ColumnType.TEXT), MappedColumn("total", ("total",), ColumnType.INTEGER)),
    (ChildTable("order_lines", ("lines",), (MappedColumn("amount", ("amount",), ColumnType.INTEGER),)),),
)
MAPPING = Mapping((ORDERS,))


def run(sink: Sink, source: Source, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in which `{}` is the schema of the replicated tables."""
    with sink.connect() as connection:
        cursor = connection.execute(sql.SQL(statement).format(sql.Identifier(source.name)))
        return cursor.fetchall() if cursor.description else []


def kept_document(sink: Sink, source: Source, dead_letter: DeadLetter) -> bytes:
    with sink.connect() as connection:
        return document_of(connection, source.name, dead_letter.id)


def dead_letters(sink: Sink, source: Source) -> dict[str, DeadLetter]:
    with sink.connect() as connection:
        return {each.source_id: each for each in list_dead_letters(connection, source.name)}


def retry(sink: Sink, source: Source) -> None:
    """Try every letter again, and wait until that was done."""
    with sink.connect() as connection:
        mark_retried(connection, source.name, [each.id for each in list_dead_letters(connection, source.name)])
        request = add_request(connection, source.name, "retry", None)
        query = "select from replicator.request where id = %s and handled_at is not null"
        wait_until(lambda: connection.execute(query, (request,)).fetchall(), message="the retry")


def totals(sink: Sink, source: Source) -> dict[str, int]:
    return dict(run(sink, source, "select _id, total from {}.orders"))


REFUSALS = {
    "a check constraint": "alter table {}.orders add constraint positive check (total > 0)",
    "a trigger": """
        create function {}.refuse() returns trigger language plpgsql as
        $$ begin if new.total < 0 then raise exception 'no %', new.total; end if; return new; end $$;
        create trigger refuse before insert or update on {}.orders for each row execute function {}.refuse()
    """,
    "a constraint trigger": """
        create function {}.refuse() returns trigger language plpgsql as
        $$ begin if new.total < 0 then raise exception 'no %', new.total; end if; return new; end $$;
        create constraint trigger refuse after insert or update on {}.orders deferrable initially deferred
        for each row execute function {}.refuse()
    """,
    "a child's constraint": "alter table {}.order_lines add constraint positive check (amount > 0)",
    "an index entry that is too long": "create index on {}.orders (name)",
    "a unique index": "create unique index on {}.orders (total) where total < 0",
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refused_document_holds_up_nobody(source: Source, sink: Sink, refusal: str) -> None:
    incompressible = "".join(f"{number:05x}" for number in range(70_000, 72_000))
    bad = {"name": incompressible, "total": -1, "lines": [{"amount": 1}, {"amount": -1}], "more": [1.5, None]}
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        source.db.orders.insert_many([{"_id": n, "total": n} for n in (1, 2, 3)])
        source.db.orders.insert_one({"_id": "taken", "total": -1})
        replication.catch_up()
        if "positive" in refusal or "refuse" in refusal:
            source.db.orders.delete_one({"_id": "taken"})
            replication.catch_up()
        run(sink, source, refusal.replace("{}", "{0}"))

        began = time.monotonic()
        source.db.orders.insert_many(
            [{"_id": 10, "total": 10}, {"_id": "bad", **bad}, {"_id": 11, "total": 11}], ordered=True
        )
        source.db.orders.update_one({"_id": 2}, {"$set": bad})
        source.db.orders.update_one({"_id": 3}, {"$set": {"total": 33}})
        expected = {"$number:1": 1, "$number:2": 2, "$number:3": 33, "$number:10": 10, "$number:11": 11}
        wait_until(lambda: expected.items() <= totals(sink, source).items(), timeout=SOON, message="the others")
        replication.catch_up()
        assert time.monotonic() - began < SOON

        found = dead_letters(sink, source)
        assert found.keys() == {"bad", "$number:2"}
        assert kept_document(sink, source, found["bad"]) == documents_at(source, "orders")["bad"]
        assert kept_document(sink, source, found["$number:2"]) == documents_at(source, "orders")["$number:2"]
        assert incompressible not in found["bad"].error

        source.db.orders.update_one({"_id": 2}, {"$set": {"total": 5, "name": "short", "lines": []}})
        source.db.orders.delete_one({"_id": "bad"})
        replication.catch_up()
        assert dead_letters(sink, source) == {}
        assert totals(sink, source)["$number:2"] == 5


def test_letters_are_written_when_nothing_refuses_them_any_more(source: Source, sink: Sink) -> None:
    """Also documents that are no valid UTF-8, in their `_id` or elsewhere, and deletes."""
    odd = document(element(0x0E, "_id", b"\2\0\0\0\xff\0"), integer("total", -1))
    texts = [
        document(text("_id", b"\xfe\xff"), integer("total", -2)),
        document(text("_id", b"plain"), integer("total", -3), text("name", b"\xff")),
        odd,
    ]
    with replicating(source, sink, limits=LIVELY) as replication:
        source.db.orders.insert_one({"_id": 1})
        source.db.orders.insert_one({"_id": "kept", "total": 1})
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check ((doc->>'total')::int > 0)")
        run(sink, source, "create table {}.notes (of text references {0}.orders (_id))".replace("{}", "{0}"))
        run(sink, source, "insert into {}.notes values ('$number:1'), ('kept')")
        for each in texts:
            source.db.command({"insert": "orders", "documents": [RawBSONDocument(each)]}, codec_options=RAW)
        source.db.orders.delete_one({"_id": 1})
        source.db.orders.update_one({"_id": "kept"}, {"$set": {"total": -1}})
        replication.catch_up()
        found = dead_letters(sink, source)
        assert len(found) == 5
        assert {kept_document(sink, source, each) for each in found.values()} >= set(texts)
        assert decoded(kept_document(sink, source, found["$number:1"])) == {"_id": 1}

        retry(sink, source)
        replication.catch_up()
        assert dead_letters(sink, source).keys() == found.keys(), "refused again, and kept"

        run(sink, source, "alter table {}.orders drop constraint positive")
        # Locks in the order in which a write takes them: the table first, then what refers to it.
        run(sink, source, "lock table {0}.orders in access exclusive mode; drop table {0}.notes")
        retry(sink, source)
        replication.catch_up()
        assert dead_letters(sink, source) == {}
        rows = run(sink, source, "select coalesce(_bson, ''::bytea), doc->>'total' from {}.orders")
        assert {bytes(row[0]) for row in rows} >= set(texts)
        assert sorted(int(row[1]) for row in rows) == [-3, -2, -1, -1]


def test_a_retry_writes_the_present_version(source: Source, sink: Sink) -> None:
    with replicating(source, sink, limits=LIVELY) as replication:
        source.db.orders.insert_one({"_id": 1, "total": 1})
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check ((doc->>'total')::int > 0)")
        source.db.orders.update_one({"_id": 1}, {"$set": {"total": -1}})
        source.db.orders.insert_one({"_id": 2, "total": -1})
        replication.catch_up()
        source.db.orders.update_one({"_id": 1}, {"$set": {"total": -2}})
        source.db.orders.replace_one({"_id": 2}, {"total": -2, "again": True})
        replication.catch_up()
        found = dead_letters(sink, source)
        assert {decoded(kept_document(sink, source, each))["total"] for each in found.values()} == {-2}
        run(sink, source, "alter table {}.orders drop constraint positive")
        retry(sink, source)
        replication.catch_up()
        assert dead_letters(sink, source) == {}
        assert assert_same_documents(source, sink, "orders") == 2


def test_when_everything_is_refused_the_service_stops_and_loses_nothing(source: Source, sink: Sink) -> None:
    with replicating(source, sink, limits=LIVELY, dead_letter_max_run=100) as replication:
        source.db.orders.insert_one({"_id": "first", "total": 1})
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check ((doc->>'total')::int > 0)")
        began = time.monotonic()
        source.db.orders.insert_many([{"_id": n, "total": -n} for n in range(1, 5_001)])
        source.db.orders.delete_one({"_id": "first"})
        error = replication.join(timeout=30)
        assert isinstance(error, Fatal)
        assert "dead-letters list" in error.hint
        assert time.monotonic() - began < SOON
        assert len(dead_letters(sink, source)) < 5_000
        run(sink, source, "alter table {}.orders drop constraint positive")
        replication.start()
        replication.catch_up()
        assert assert_same_documents(source, sink, "orders") == 5_000
        assert dead_letters(sink, source) == {}


def test_a_snapshot_leaves_letters_too(source: Source, sink: Sink) -> None:
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check (total > 0)")
        source.db.orders.insert_one({"_id": 1, "total": 5})
        replication.catch_up()
        replication.stop()
    source.db.orders.insert_many([{"_id": n, "total": n - 40} for n in range(2, 200)])
    source.db.orders.update_one({"_id": 1}, {"$set": {"total": -1}})
    with replicating(source, sink, MAPPING, limits=replace(LIVELY, chunk_documents=50)) as replication:
        replication.catch_up()
        resync(sink, source)
        replication.catch_up()
        found = dead_letters(sink, source)
        assert len(found) == 40
        assert decoded(kept_document(sink, source, found["$number:2"])) == {"_id": 2, "total": -38}
        assert found["$number:2"].operation == "read"
        assert totals(sink, source) == {"$number:1": 5} | {f"$number:{n}": n - 40 for n in range(41, 200)}
        run(sink, source, "alter table {}.orders drop constraint positive")
        retry(sink, source)
        assert dead_letters(sink, source) == {}
        assert len(totals(sink, source)) == 199


def resync(sink: Sink, source: Source) -> None:
    with sink.connect() as connection:
        request = add_request(connection, source.name, "resync", "orders")
        query = "select from replicator.request where id = %s and handled_at is not null"
        wait_until(lambda: connection.execute(query, (request,)).fetchall(), message="the resync's beginning")


def test_a_resync_leaves_the_row_of_a_refused_document_as_it_was(source: Source, sink: Sink) -> None:
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        source.db.orders.insert_many([{"_id": n, "total": n, "lines": [{"amount": n}]} for n in (1, 2)])
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check (total > 0)")
        source.db.orders.update_one({"_id": 1}, {"$set": {"total": -1, "lines": []}})
        replication.catch_up()
        run(sink, source, "insert into {}.orders (_id, total, etl_valid_from) values ('stray', 1, now())")
        for _ in range(2):
            resync(sink, source)
            replication.catch_up()
            assert dead_letters(sink, source).keys() == {"$number:1"}
            assert totals(sink, source) == {"$number:1": 1, "$number:2": 2}
            assert run(sink, source, "select _id from {}.order_lines order by 1") == [("$number:1",), ("$number:2",)]


def test_many_refused_documents_among_more_healthy_ones(source: Source, sink: Sink) -> None:
    with replicating(source, sink, limits=LIVELY) as replication:
        source.db.orders.insert_one({"_id": "first"})
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check ((doc->>'total')::int > 0)")
        source.db.orders.insert_many([{"_id": n, "total": -1 if n % 67 == 5 else 1} for n in range(20_000)])
        behind(replication)
        assert len(dead_letters(sink, source)) == 299
        ((rows,),) = run(sink, source, "select count(*) from {}.orders")
        assert rows == 20_001 - 299


def behind(replication: Replication) -> None:
    report = replication.catch_up()
    assert report.dead_letters == 299


def test_retries_that_fail_again_stop_nothing(source: Source, sink: Sink) -> None:
    """A quiet stream and a hundred documents whose cause is still there: a repair is no damage."""
    source.db.orders.insert_many([{"_id": n, "total": 1} for n in range(10)])
    with replicating(source, sink, MAPPING, limits=LIVELY, dead_letter_max_run=150) as replication:
        replication.catch_up()
        run(sink, source, "alter table {}.orders add constraint positive check (total > 0)")
        source.db.orders.insert_many([{"_id": n, "total": -1} for n in range(100, 200)])
        replication.catch_up()
        for _ in range(3):
            retry(sink, source)
            replication.catch_up()
        assert len(dead_letters(sink, source)) == 100
        assert replication.is_running
