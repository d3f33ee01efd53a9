"""Reconciliation finds exactly what was planted, under live writes, and repairs it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import UpdateOne

from replicator_service.core.codec.key import encode_key
from replicator_service.reconcile import (
    Options,
    Part,
    RunState,
    finish_run,
    plan_parts,
    reconcile_part,
    start_run,
)
from replicator_service.reconcile.compared_collection import compared_collection
from replicator_service.reconcile.repair import Repair
from replicator_service.reconcile.servers import opened
from replicator_service.sink.control.registry import registered
from tests.support.reconciliation import AN_OBJECT_ID, MAPPING, MIXED_IDS, corrupt, order, reconciled, rows, traffic
from tests.support.replication import replicating

if TYPE_CHECKING:
    from psycopg import Connection

    from tests.support.databases import Sink, Source

ADDED_CHILD = (
    "insert into {order_items} select _id, 9, number, sku, amount, _extra, _bson, etl_valid_from "
    "from {order_items} where _id = '$number:12' and _ordinal = 0"
)
SWAPPED_CHILDREN = (
    "with swapped as ("
    "select _id, 1 - _ordinal as _ordinal, sku, amount from {order_items} where _id = '$number:13' and _ordinal < 2) "
    "update {order_items} as t set sku = s.sku, amount = s.amount from swapped as s "
    "where t._id = s._id and t._ordinal = s._ordinal"
)
PLANTED = [
    ("delete from {orders} where _id = '$number:1'", ("Orders", "$number:1"), "missing", ""),
    ("update {orders} set city = 'Nowhere' where _id = '$number:2'", ("Orders", "$number:2"), "different", "city"),
    ("update {orders} set total = null where _id = '$number:3'", ("Orders", "$number:3"), "different", "total"),
    ("update {orders} set tags[1] = null where _id = '$number:4'", ("Orders", "$number:4"), "different", "tags"),
    ("update {orders} set _extra = null where _id = '$number:5'", ("Orders", "$number:5"), "different", "_extra"),
    ("update {orders} set _bson = '' where _id = '$number:6'", ("Orders", "$number:6"), "different", "_bson"),
    (
        "update {orders} set details = details || '{{\"gift\": true}}' where _id = '$number:7'",
        ("Orders", "$number:7"),
        "different",
        "details",
    ),
    (
        "update {orders} set at = at + interval '1 millisecond' where _id = '$number:8'",
        ("Orders", "$number:8"),
        "different",
        "at",
    ),
    (
        "insert into {orders} (_id, number, etl_valid_from) values ('by hand', 7, now())",
        ("Orders", "by hand"),
        "unexpected",
        "",
    ),
    (
        "update {order_items} set amount = 99 where _id = '$number:10' and _ordinal = 0",
        ("Orders", "$number:10"),
        "different",
        "order_items: 1 different",
    ),
    (
        "delete from {order_items} where _id = '$number:11' and _ordinal = 3",
        ("Orders", "$number:11"),
        "different",
        "order_items: 1 missing",
    ),
    (
        ADDED_CHILD,
        ("Orders", "$number:12"),
        "different",
        "order_items: 1 unexpected",
    ),
    (
        SWAPPED_CHILDREN,
        ("Orders", "$number:13"),
        "different",
        "order_items: 2 different",
    ),
    (
        "insert into {order_items} (_id, _ordinal, etl_valid_from) values ('orphan', 0, now())",
        ("Orders", "orphan"),
        "unexpected",
        "rows of order_items",
    ),
    ("delete from {notes} where _id = 'n1'", ("notes", "n1"), "missing", ""),
    (
        "update {notes} set doc = jsonb_set(doc, array['deep', 'key'], '\"other\"') where _id = 'n2'",
        ("notes", "n2"),
        "different",
        "doc",
    ),
    ("update {notes} set doc = doc - 'text' where _id = 'n3'", ("notes", "n3"), "different", "doc"),
    (
        "insert into {notes} (_id, doc, etl_valid_from) values ('$number:5', '{{}}', now())",
        ("notes", "$number:5"),
        "unexpected",
        "",
    ),
]
"""One corruption of every kind: the statement, the key, the kind of difference, a part of its detail."""


def fill(source: Source) -> None:
    """Documents of which none is touched later."""
    source.db.Orders.insert_many([{"_id": number, **order(number)} for number in range(40)])
    source.db.notes.insert_many([{"_id": f"n{number}", "text": "x", "deep": {"key": number}} for number in range(20)])
    source.db.odd.insert_many([{"_id": key, "number": number} for number, key in enumerate(MIXED_IDS)])


def plant(connection: Connection[Any], source: Source) -> None:
    """Plant every corruption; none may hit another row than its own."""
    for statement, *_ in PLANTED:
        assert corrupt(connection, source, statement) in (1, 2), statement


def write_live(source: Source, number: int) -> None:
    """Inserts, updates, replacements and deletes of documents that the corruptions leave alone."""
    key = 1_000 + number % 200
    source.db.Orders.replace_one({"_id": key}, order(number), upsert=True)
    source.db.Orders.bulk_write(
        [UpdateOne({"_id": 1_000 + each}, {"$set": {"number": number}}) for each in range(number % 50)]
        or [UpdateOne({"_id": key}, {"$push": {"items": {"sku": "live"}}})]
    )
    source.db.notes.insert_one({"_id": f"live {number}", "text": "live"})
    if number % 3 == 0:
        source.db.Orders.delete_one({"_id": key})
        source.db.notes.delete_many({"text": "live"})


def test_equal_sides_have_no_difference_whatever_their_keys(source: Source, sink: Sink) -> None:
    fill(source)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        found = reconciled(replication)
        assert found.result.state is RunState.FINISHED
        assert (found.result.differences, found.kinds) == (0, {})
        assert found.result.documents == 40 + 20 + len(MIXED_IDS)
        assert reconciled(replication, deep=True).result.differences == 0


@pytest.mark.parametrize("is_running", [True, False], ids=["while the service runs", "while it is stopped"])
def test_every_planted_corruption_is_found_and_mended_and_nothing_else(
    source: Source, sink: Sink, *, is_running: bool
) -> None:
    fill(source)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        if not is_running:
            replication.stop()
        with traffic(lambda number: write_live(source, number)), sink.connect() as connection:
            plant(connection, source)
            found = reconciled(replication)
            assert found.kinds == {key: kind for _, key, kind, _ in PLANTED}
            for _, key, _, detail in PLANTED:
                assert detail in found.details[key]
            repaired = reconciled(replication, repair=True)
            assert repaired.kinds == found.kinds
            assert (repaired.unrepaired, repaired.result.remaining) == (set(), 0)
            assert reconciled(replication).kinds == {}
        if not is_running:
            replication.start()
        replication.catch_up()
        assert reconciled(replication).kinds == {}


def test_heavy_writes_never_look_like_differences(source: Source, sink: Sink) -> None:
    fill(source)
    batch = itertools.count()

    def write(number: int) -> None:
        numbers = [next(batch) for _ in range(200)]
        source.db.Orders.insert_many([order(each) for each in numbers])
        source.db.Orders.update_many(
            {"number": {"$in": numbers[::3]}}, {"$set": {"address.city": "moved"}, "$unset": {"tags": 1}}
        )
        source.db.Orders.update_many({"number": {"$in": numbers[::5]}}, {"$push": {"items": {"sku": "one more"}}})
        source.db.Orders.delete_many({"number": {"$in": numbers[::2]}})
        if number % 5 == 0:
            source.db[f"brief {number % 10}"].insert_one({"number": number})
            source.db[f"brief {number % 10}"].rename("renamed", dropTarget=True)
        if number % 7 == 0:
            source.db.renamed.drop()

    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with traffic(write):
            for turn in range(4):
                found = reconciled(replication, repair=turn % 2 == 1, timeout_seconds=60.0)
                assert found.kinds == {}


def test_ranges_cover_every_key_once(source: Source, sink: Sink) -> None:
    source.db.odd.insert_many([{"_id": key, "number": number} for number, key in enumerate(MIXED_IDS)])
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        settings = replication.settings
        planned = plan_parts(settings, collections=["odd"], part_documents=4)
        assert len(planned) > 3
        parts = [Part.from_json(part.as_json()) for part in planned]
        assert parts == planned
        run = start_run(settings, collections=["odd"])
        results = [reconcile_part(settings, MAPPING, part, run) for part in parts]
        assert sum(result.documents for result in results) == len(MIXED_IDS)
        assert finish_run(settings, run).differences == 0
        with sink.connect() as connection:
            corrupt(connection, source, "update {odd} set doc = '{{}}'")
            corrupt(connection, source, "delete from {odd} where _id = %s", encode_key(AN_OBJECT_ID))
            corrupt(connection, source, "insert into {odd} (_id, doc, etl_valid_from) values ('more', '{{}}', now())")
        run = start_run(settings, collections=["odd"], options=Options(repair=True))
        for part in parts:
            reconcile_part(settings, MAPPING, part, run, options=Options(repair=True))
        result = finish_run(settings, run)
        assert (result.differences, result.remaining) == (len(MIXED_IDS) + 1, 0)
        assert reconciled(replication).kinds == {}
        assert rows(sink, source, "odd") == len(MIXED_IDS)


def test_a_repair_reads_what_the_document_is_now(source: Source, sink: Sink) -> None:
    """The difference was found at one time; what is written is the state at the time of the repair."""
    fill(source)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with opened(replication.settings) as servers, sink.connect() as connection:
            compared = compared_collection(MAPPING, "Orders", registered(servers.write, servers.stream))
            repair = Repair(servers, compared, timeout_seconds=10.0)
            corrupt(connection, source, "delete from {orders} where number < 5")
            source.db.Orders.delete_one({"_id": 1})
            source.db.Orders.update_one({"_id": 2}, {"$set": {"address.city": "moved"}})
            replication.catch_up()
            corrupt(connection, source, "delete from {orders} where number = 2")
            repaired = repair.write({encode_key(number): number for number in range(5)})
        assert repaired == {encode_key(number) for number in range(5)}
        replication.catch_up()
        assert reconciled(replication).kinds == {}
        assert rows(sink, source, "orders") == 39
