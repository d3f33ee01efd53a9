"""Collections of every kind, and what may happen to one while it is read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from psycopg import sql
from pymongo.collation import Collation

from replicator_service.core.codec.key import encode_key
from replicator_service.core.failpoints import Window
from replicator_service.pipeline.term import Limits
from tests.support.replication import Crash, Replication, assert_same_documents, quick, replicating

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.databases import Sink, Source

IDS: list[Any] = [
    MinKey(),
    None,
    float("nan"),
    float("-inf"),
    -1,
    0,
    Int64(2**60),
    2.5,
    Decimal128("1E+6000"),
    Decimal128("-0.1"),
    "",
    "a",
    "A",
    "ä",
    {},
    {"a": 1},
    {"a": {"b": None}},
    {"b": 1, "a": 2},
    Binary(b"", 0),
    Binary(b"x" * 16, 4),
    ObjectId("000000000000000000000000"),
    False,
    True,
    datetime(2020, 1, 1, tzinfo=UTC),
    DatetimeMS(-(2**62)),
    DatetimeMS(2**62),
    Timestamp(1, 1),
    Code("x"),
    DBRef("things", 1),
    MaxKey(),
]


def tables(sink: Sink, source: Source) -> set[str]:
    with sink.connect() as connection:
        query = "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r'"
        return {name for (name,) in connection.execute(query, (sql.Identifier(source.name).as_string(),))}


def snapshot_documents(sink: Sink) -> int:
    with sink.connect() as connection:
        row = connection.execute("select coalesce(sum(documents), 0) from replicator.snapshot_progress").fetchone()
    return int(row[0]) if row else 0


def fields(sink: Sink, source: Source, name: str) -> dict[str, str]:
    """A field of each document of `things`, by key."""
    with sink.connect() as connection:
        query = sql.SQL("select _id, doc ->> %s from {}").format(sql.Identifier(source.name, "things"))
        return dict(connection.execute(query, (name,)).fetchall())


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_snapshot_in_small_chunks_meets_every_kind_of_id(source: Source, sink: Sink, chunk: int) -> None:
    source.db.things.insert_many([{"_id": each, "n": n} for n, each in enumerate(IDS)])
    with replicating(source, sink, limits=quick(Limits(chunk_documents=chunk))) as replication:
        replication.catch_up()
        assert fields(sink, source, "n") == {encode_key(each): str(n) for n, each in enumerate(IDS)}
        source.db.things.update_many({}, {"$set": {"seen": "yes"}})
        replication.catch_up()
        assert fields(sink, source, "seen") == {encode_key(each): "yes" for each in IDS}
        source.db.things.delete_many({})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 0


@pytest.mark.needs_mongodb("6.0")
def test_collections_with_a_collation_and_clustered_ones_are_read_in_chunks(source: Source, sink: Sink) -> None:
    caseless = source.db.create_collection("caseless", collation=Collation("en", strength=2, numericOrdering=True))
    clustered = source.db.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    for collection in (caseless, clustered):
        collection.insert_many([{"_id": f"{'x' if n % 2 else 'Y'}{n}"} for n in range(20)])
        collection.insert_many([{"_id": n} for n in range(10)])
        collection.insert_one({"_id": MaxKey()})
    with replicating(source, sink, limits=quick(Limits(chunk_documents=3))) as replication:
        replication.catch_up()
        for name in ("caseless", "clustered"):
            assert assert_same_documents(source, sink, name) == 31
        caseless.delete_one({"_id": "X1"})  # It is x1.
        caseless.insert_one({"_id": "X1"})
        caseless.update_many({}, {"$set": {"n": 1}})
        clustered.update_many({}, {"$set": {"n": 1}})
        replication.catch_up()
        for name in ("caseless", "clustered"):
            assert assert_same_documents(source, sink, name) == 31


@pytest.mark.needs_mongodb("6.0")
def test_a_capped_collection_is_read_and_followed(source: Source, sink: Sink) -> None:
    capped = source.db.create_collection("capped", capped=True, size=10_000_000)
    capped.insert_many([{"_id": n, "n": 0} for n in range(50)])
    with replicating(source, sink, limits=quick(Limits(chunk_documents=7))) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "capped") == 50
        capped.insert_many([{"_id": n, "n": 0} for n in range(50, 60)])
        capped.update_many({}, {"$set": {"n": 1}})
        replication.catch_up()
        assert assert_same_documents(source, sink, "capped") == 60
        source.db.ordinary.insert_many([{"_id": n} for n in range(20)])
        source.db.command("convertToCapped", "ordinary", size=1_000_000)
        source.db.command("cloneCollectionAsCapped", "ordinary", toCollection="copy", size=1_000_000)
        replication.catch_up()
        assert assert_same_documents(source, sink, "ordinary") == 20
        assert assert_same_documents(source, sink, "copy") == 20
        assert tables(sink, source) == {"capped", "ordinary", "copy"}


def test_views_and_time_series_are_passed_over(source: Source, sink: Sink) -> None:
    def create(number: int) -> None:
        source.db.command("create", f"view{number}", viewOn="things", pipeline=[])
        source.db.create_collection(f"series{number}", timeseries={"timeField": "t"})
        source.db[f"series{number}"].insert_many([{"t": datetime.now(UTC), "n": n} for n in range(5)])

    source.db.things.insert_one({"_id": 1})
    create(1)
    with replicating(source, sink) as replication:
        replication.catch_up()
        create(2)
        source.db.command("collMod", "view2", viewOn="things", pipeline=[{"$match": {}}])
        source.db.things.insert_one({"_id": 2})
        for name in ("view1", "view2", "series1", "series2"):
            source.db[name].drop()
        source.db.view1.insert_one({"_id": "not a view any more"})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 2
        assert assert_same_documents(source, sink, "view1") == 1
        assert tables(sink, source) == {"things", "view1"}


def test_collections_that_come_from_another_database_or_go_there(source: Source, sink: Sink) -> None:
    other = source.client[f"{source.name}_other"]
    other.coming.insert_many([{"_id": n} for n in range(30)])
    source.db.going.insert_many([{"_id": n} for n in range(30)])
    source.db.hit.insert_one({"_id": "overwritten"})
    try:
        with replicating(source, sink) as replication:
            replication.catch_up()
            rename = source.client.admin.command
            rename("renameCollection", f"{other.name}.coming", to=f"{source.name}.hit", dropTarget=True)
            rename("renameCollection", f"{source.name}.going", to=f"{other.name}.gone")
            replication.catch_up()
            assert assert_same_documents(source, sink, "hit") == 30
            assert assert_same_documents(source, sink, "going") == 0
            assert tables(sink, source) == {"hit", "going"}
    finally:
        source.client.drop_database(other.name)


def test_a_restart_in_the_middle_of_a_snapshot_goes_on_with_the_next_chunk(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"_id": n} for n in range(100)])
    replication = Replication(source, sink, limits=quick(Limits(chunk_documents=10)))
    replication.failpoints.arm(Window.AFTER_CHUNK_READ, 6)
    replication.start()
    assert isinstance(replication.join(), Crash)
    replication.failpoints.crashed.clear()
    done = snapshot_documents(sink)
    assert 20 <= done <= 50
    source.db.things.delete_many({"_id": {"$in": [1, 55, 99]}})
    source.db.things.insert_many([{"_id": -1}, {"_id": 101}, {"_id": 54.5}])
    source.db.things.update_many({}, {"$set": {"n": 1}})
    replication.failpoints.arm(Window.AFTER_CHUNK_READ, 2)
    replication.start()
    assert isinstance(replication.join(), Crash)
    assert done < snapshot_documents(sink) <= done + 20, "what was done is not done again"
    replication.failpoints.crashed.clear()
    replication.start()
    try:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 100
    finally:
        replication.stop()


class Gate(threading.Event):
    """Stops the planner after a chunk was read, once, until the test lets it go on."""

    def __init__(self, replication: Replication, chunks: int) -> None:
        super().__init__()
        self.reached = threading.Event()
        self._left = chunks
        replication.failpoints.reach = self._reach  # type: ignore[method-assign]  # counts what passes

    def _reach(self, window: Window) -> None:
        if window is not Window.AFTER_CHUNK_READ:
            return
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            self.wait(20)


def drop(source: Source) -> None:
    source.db.things.drop()


def recreate(source: Source) -> None:
    source.db.things.drop()
    source.db.things.insert_many([{"_id": n, "new": True} for n in range(40, 60)])


def rename(source: Source) -> None:
    source.db.things.rename("elsewhere")
    source.db.elsewhere.insert_one({"_id": "late"})


def overwrite(source: Source) -> None:
    source.db.another.insert_many([{"_id": n, "other": True} for n in range(5)])
    source.db.another.rename("things", dropTarget=True)


def become_a_view(source: Source) -> None:
    source.db.things.drop()
    source.db.base.insert_one({"_id": 1})
    source.db.command("create", "things", viewOn="base", pipeline=[])


def empty_and_fill(source: Source) -> None:
    source.db.things.delete_many({})
    source.db.things.insert_many([{"_id": n, "again": True} for n in range(95, 105)])


def drop_the_database(source: Source) -> None:
    source.client.drop_database(source.name)
    source.db.things.insert_one({"_id": "after"})


@pytest.mark.parametrize("event", [drop, recreate, rename, overwrite, become_a_view, empty_and_fill, drop_the_database])
def test_a_collection_that_changes_as_a_whole_while_it_is_read(
    source: Source, sink: Sink, event: Callable[[Source], None]
) -> None:
    source.db.things.insert_many([{"_id": n} for n in range(100)])
    replication = Replication(source, sink, limits=quick(Limits(chunk_documents=10)))
    gate = Gate(replication, 4)
    replication.start()
    try:
        assert gate.reached.wait(20)
        event(source)
        gate.set()
        replication.catch_up()
        for name in ("things", "elsewhere", "another"):
            if name in tables(sink, source):
                expected = 0 if event is become_a_view else source.db[name].count_documents({})
                if expected:
                    assert assert_same_documents(source, sink, name) == expected
                else:
                    with sink.connect() as connection:
                        query = sql.SQL("select from {}").format(sql.Identifier(source.name, name))
                        assert connection.execute(query).rowcount == 0
            else:
                assert source.db[name].count_documents({}) == 0
    finally:
        gate.set()
        replication.stop()


def test_a_snapshot_that_had_begun_before_the_collection_was_made_anew_elsewhere(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"_id": n} for n in range(100)])
    replication = Replication(source, sink, limits=quick(Limits(chunk_documents=10)))
    replication.failpoints.arm(Window.AFTER_CHUNK_READ, 5)
    replication.start()
    assert isinstance(replication.join(), Crash)
    replication.failpoints.crashed.clear()
    recreate(source)
    source.db.things.update_many({}, {"$set": {"n": 1}})
    replication.start()
    try:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 20
    finally:
        replication.stop()


def test_an_id_that_looks_like_an_operator_is_found_again(source: Source, sink: Sink) -> None:
    """Lookups ask for `_id`s in a filter, where some values mean something else."""
    ids: list[Any] = [DBRef("a", 1), DBRef("a", 1, "b"), {"x": Regex("^a")}, {"x": {"$ref": "a", "$id": 2}}]
    with replicating(source, sink) as replication:
        source.db.things.insert_many([{"_id": each} for each in ids])
        replication.catch_up()
        source.db.things.update_many({}, {"$set": {"n": 1}})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == len(ids)
