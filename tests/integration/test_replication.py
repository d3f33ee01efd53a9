"""A database flows into PostgreSQL: the whole service on real servers."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from bson import ObjectId

from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Limits
from replicator_service.runtime.state.health import State
from tests.support.replication import assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source


def test_documents_that_exist_and_those_that_come_are_replicated(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"n": n} for n in range(1_000)])
    with replicating(source, sink) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 1_000
        source.db.things.insert_one({"_id": "late", "n": 5})
        source.db.things.update_many({"n": {"$lt": 10}}, {"$set": {"small": True}})
        source.db.things.delete_many({"n": {"$gte": 900}})
        source.db.others.insert_one({"_id": ObjectId(), "deep": {"list": [1, 2.5, "x", None, {"y": []}]}})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 901
        assert assert_same_documents(source, sink, "others") == 1


def test_a_restart_goes_on_where_it_stopped(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.things.insert_many([{"_id": n} for n in range(10)])
        replication.catch_up()
        replication.stop()
        source.db.things.delete_one({"_id": 3})
        source.db.things.update_one({"_id": 4}, {"$set": {"a": 1}})
        source.db.things.insert_one({"_id": 11})
        replication.start()
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 10


def test_collections_are_dropped_and_renamed(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.one.insert_many([{"_id": n} for n in range(10)])
        source.db.two.insert_many([{"_id": n, "two": True} for n in range(5)])
        source.db.three.insert_one({"_id": 1})
        replication.catch_up()
        source.db.one.rename("two", dropTarget=True)
        source.db.three.drop()
        source.db.two.update_one({"_id": 1}, {"$set": {"renamed": True}})
        replication.catch_up()
        assert assert_same_documents(source, sink, "two") == 10
        assert assert_same_documents(source, sink, "one") == 0
        assert assert_same_documents(source, sink, "three") == 0
        source.client.drop_database(source.name)
        source.db.one.insert_one({"_id": "again"})
        replication.catch_up()
        assert assert_same_documents(source, sink, "one") == 1
        assert assert_same_documents(source, sink, "two") == 0


def test_out_replaces_a_collection_at_once_and_leaves_no_table_behind(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.raw.insert_many([{"_id": n} for n in range(20)])
        source.db.summary.insert_one({"_id": "old"})
        replication.catch_up()
        for _ in range(3):
            source.db.raw.aggregate([{"$match": {"_id": {"$lt": 7}}}, {"$out": "summary"}])
        replication.catch_up()
        assert assert_same_documents(source, sink, "summary") == 7
        with sink.connect() as connection:
            tables = connection.execute(
                "select relname from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace "
                "where n.nspname = %s and c.relkind = 'r' order by 1",
                (source.name,),
            ).fetchall()
        assert tables == [("raw",), ("summary",)]


def test_a_snapshot_ends_where_the_collection_ended_when_it_began(source: Source, sink: Sink) -> None:
    """Otherwise a first load under steady inserts would chase them for ever."""
    source.db.things.insert_many([{"_id": n} for n in range(50)])
    stop = threading.Event()

    def insert_on() -> None:
        for n in itertools.count(100):
            if stop.is_set():
                return
            source.db.things.insert_many([{"_id": n * 10 + each} for each in range(10)])

    inserting = threading.Thread(target=insert_on)
    limits = Limits(chunk_documents=5, poll_wait_ms=50, pace=Pace(heartbeat_seconds=0.05))
    with replicating(source, sink, limits=limits) as replication:
        inserting.start()
        try:
            wait_until(
                lambda: replication.health.report().state is State.STREAMING,
                timeout=60,
                message="the end of the snapshot",
            )
        finally:
            stop.set()
            inserting.join()
        replication.catch_up()
        assert_same_documents(source, sink, "things")
        with sink.connect() as connection:
            row = connection.execute("select documents from replicator.snapshot_progress").fetchone()
        assert row is not None
        assert row[0] >= 50
