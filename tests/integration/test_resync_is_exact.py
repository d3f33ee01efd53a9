"""A resync deletes exactly the rows whose keys do not exist at the position, and touches only rows that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from psycopg import sql

from replicator_service.core.failpoints import Window
from replicator_service.core.mapping.model import ChildTable, ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.pipeline.term import Limits
from replicator_service.sink.control.requests import add_request
from tests.support.oracle import differences
from tests.support.replication import assert_same_documents, documents_at, quick, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from tests.support.databases import Sink, Source

SMALL = quick(Limits(chunk_documents=7))
ORDERS = TypedCollection(
    "orders",
    "orders",
    (MappedColumn("n", ("n",), ColumnType.INTEGER),),
    (ChildTable("order_lines", ("lines",), (MappedColumn("x", ("x",), ColumnType.TEXT),)),),
)
ODD_IDS = [
    ObjectId(),
    "plain",
    "",
    "$tagged",
    "0123456789abcdef01234567",
    "x" * 3_000,
    1,
    Int64(2**60),
    0.1,
    -0.5,
    Decimal128("1e-6000"),
    True,
    None,
    MinKey(),
    MaxKey(),
    Binary(b"\x00\x01"),
    Timestamp(5, 6),
    {"a": 1, "b": {"c": [1, "x", None]}},
    {"$ref": "things", "$id": 1},
    {"nul": "a\0b"},
]


def resync(source: Source, sink: Sink, collection: str | None = None) -> None:
    """Ask, and wait until that was done."""
    with sink.connect() as connection:
        number = add_request(connection, source.name, "resync", collection)
        handled = "select handled_at is not null from replicator.request where id = %s"
        wait_until(lambda: connection.execute(handled, (number,)).fetchone() == (True,), message="the request")


def write(sink: Sink, source: Source, statement: str, *values: Any) -> None:
    """Do something by hand to a replicated table."""
    with sink.connect() as connection:
        connection.execute(sql.SQL(statement).format(schema=sql.Identifier(source.name)), values)


def versions(connection: psycopg.Connection[Any], source: Source, table: str) -> dict[str, str]:
    """Which transaction wrote each row last."""
    query = sql.SQL("select _id, xmin::text from {}").format(sql.Identifier(source.name, table))
    return dict(connection.execute(query).fetchall())


def test_stale_rows_of_every_kind_of_key_go_and_all_others_stay_untouched(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"_id": each, "n": n} for n, each in enumerate(ODD_IDS)])
    source.db.doomed.insert_many([{"_id": each, "n": n} for n, each in enumerate(ODD_IDS)])
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            before = versions(connection, source, "things")
            assert len(before) == len(ODD_IDS)
        resync(source, sink)
        replication.catch_up()
        with sink.connect() as connection:
            assert versions(connection, source, "things") == before
    # Deletes that no event tells of: the rows of before are all there is.
    with sink.connect() as connection:
        source.db.doomed.delete_many({})
        connection.execute("delete from replicator.checkpoint")
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "doomed") == 0
        assert assert_same_documents(source, sink, "things") == len(ODD_IDS)


@pytest.mark.parametrize("is_frozen", [False, True], ids=["dumped and restored", "frozen"])
def test_who_wrote_a_row_and_when_is_evidence_of_nothing(source: Source, sink: Sink, *, is_frozen: bool) -> None:
    """Rows that all look newly written, or very old: as after pg_dump into another cluster, or a vacuum freeze."""
    source.db.things.insert_many([{"_id": n} for n in range(100)])
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        replication.failpoints.arm(Window.AFTER_COMMIT, passes=4)
        resync(source, sink, "things")
        wait_until(lambda: not replication.is_running, message="the crash in the middle")
        source.db.things.delete_many({"_id": {"$in": [3, 97]}})
        if is_frozen:
            write(sink, source, "vacuum freeze {schema}.things")
        else:
            write(sink, source, "create table {schema}.copy as select * from {schema}.things")
            write(sink, source, "delete from {schema}.things")
            write(sink, source, "insert into {schema}.things select * from {schema}.copy")
        write(sink, source, "insert into {schema}.things values ('stale', '{{}}', null, now())")
        replication.restart_after_crash()
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 98


def test_an_analysts_rewrite_of_a_table_during_a_resync_keeps_no_stale_row(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"_id": n} for n in range(50)])
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        write(sink, source, "insert into {schema}.things values ('stale', '{{}}', null, now())")
        replication.failpoints.arm(Window.AFTER_COMMIT, passes=4)
        resync(source, sink, "things")
        wait_until(lambda: not replication.is_running, message="the crash in the middle")
        write(sink, source, "alter table {schema}.things add column mine uuid default gen_random_uuid()")
        write(sink, source, "update {schema}.things set mine = gen_random_uuid()")
        replication.restart_after_crash()
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 50


def test_children_of_a_document_that_comes_back_in_one_batch_are_whole(source: Source, sink: Sink) -> None:
    lines = [{"x": "a"}, {"x": "b"}, {"x": "c"}]
    source.db.orders.insert_many([{"_id": n, "n": n, "lines": lines} for n in range(40)])
    mapping = Mapping((ORDERS,))
    with replicating(source, sink, mapping, limits=SMALL) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            add_request(connection, source.name, "resync", "orders")
        for n in range(40):
            with source.client.start_session() as session, session.start_transaction():
                source.db.orders.delete_one({"_id": n}, session=session)
                source.db.orders.insert_one({"_id": n, "n": n, "lines": lines}, session=session)
                source.db.orders.update_one({"_id": n}, {"$set": {"n": n + 1}}, session=session)
        replication.catch_up()
        resync(source, sink, "orders")
        replication.catch_up()
    with sink.connect(autocommit=False) as connection:
        assert differences(connection, source.name, ORDERS, documents_at(source, "orders").values()) == []


def test_what_others_hang_on_rows_stays_through_a_resync(source: Source, sink: Sink) -> None:
    source.db.orders.insert_many([{"_id": n, "n": n, "lines": [{"x": "a"}]} for n in range(20)])
    with replicating(source, sink, Mapping((ORDERS,)), limits=SMALL) as replication:
        replication.catch_up()
        write(
            sink,
            source,
            "create table {schema}.notes (order_id text references {schema}.orders on delete cascade, note text)",
        )
        write(sink, source, "insert into {schema}.notes select _id, 'mine' from {schema}.orders")
        resync(source, sink, "orders")
        source.db.orders.update_one({"_id": 1}, {"$set": {"n": 100}})
        replication.catch_up()
        with sink.connect() as connection:
            query = sql.SQL("select count(*) from {}").format(sql.Identifier(source.name, "notes"))
            assert connection.execute(query).fetchone() == (20,)


def changing_type(source: Source) -> Iterator[None]:
    """Values that PostgreSQL holds equal and that are not the same."""
    source.db.things.insert_one({"_id": 1, "n": 1, "z": 0.0, "d": Decimal128("1.0")})
    yield
    source.db.things.replace_one({"_id": 1}, {"n": 1.0, "z": -0.0, "d": Decimal128("1.00")})


def test_a_row_that_is_equal_and_not_the_same_is_written(source: Source, sink: Sink) -> None:
    steps = changing_type(source)
    next(steps)
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
    next(steps, None)
    with sink.connect() as connection:
        connection.execute("delete from replicator.checkpoint")
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 1


def test_the_end_of_a_snapshot_is_read_at_the_position(source: Source, sink: Sink) -> None:
    """A queue whose tail is deleted while its end is not reached: rows alive at the position are never swept."""
    source.db.queue.insert_many([{"_id": n} for n in range(60)])
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            add_request(connection, source.name, "resync", "queue")
        for n in range(59, 20, -1):
            source.db.queue.delete_one({"_id": n})
            source.db.queue.insert_one({"_id": 1_000 - n})
        replication.catch_up()
        assert assert_same_documents(source, sink, "queue") == 60


def test_a_table_that_was_empty_is_not_swept(source: Source, sink: Sink) -> None:
    """A delete trigger of somebody's sees nothing during a first load."""
    source.db.things.insert_many([{"_id": n} for n in range(50)])
    with replicating(source, sink, limits=SMALL) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            query = "select sweeps, sweep_place from replicator.snapshot_progress where collection = 'things'"
            assert connection.execute(query).fetchone() == (False, None)
