"""Indexes of the mapping are made beside the commits, after their tables were filled, and survive being broken off."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from replicator_service.core.errors import Retryable
from replicator_service.core.mapping.model import ColumnType, MappedColumn, Mapping, TypedCollection, tables_of
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.requests import add_request
from replicator_service.sink.indexes.builder import IndexBuilder
from replicator_service.sink.indexes.ending import APPLICATION
from replicator_service.sink.write.tables import ensure_tables
from tests.support.limits import LIVELY
from tests.support.replication import replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink, Source

A = MappedColumn("a", ("a",), ColumnType.TEXT)
N = MappedColumn("n", ("n",), ColumnType.INTEGER)
THINGS = TypedCollection("Things", "things", (A, N), indexes=(("a",), ("n", "a")))
MAPPING = Mapping((THINGS,))

_INDEXES = """
select k.relname::text, i.indisvalid
from pg_index as i
inner join pg_class as k on k.oid = i.indexrelid
where i.indrelid = %s::regclass and not i.indisprimary
order by 1
"""


def indexes(source: Source, sink: Sink) -> list[tuple[str, bool]]:
    with sink.connect() as connection:
        return [(row[0], row[1]) for row in connection.execute(_INDEXES, (f"{source.name}.things",)).fetchall()]


def states(sink: Sink) -> dict[str, str]:
    with sink.connect() as connection:
        return dict(connection.execute("select index_name, state from replicator.index_build").fetchall())


@contextmanager
def building(source: Source, sink: Sink) -> Iterator[IndexBuilder]:
    builder = IndexBuilder(connect(sink.dsn, application_name=APPLICATION), source.name, MAPPING, clock=time.monotonic)
    try:
        yield builder
    finally:
        builder.close()


@contextmanager
def an_old_snapshot(source: Source, sink: Sink) -> Iterator[None]:
    """A transaction that has written the table: a build waits for it before it begins to read."""
    with sink.connect(autocommit=False) as connection:
        connection.execute(sql.SQL("delete from {} where false").format(sql.Identifier(source.name, "things")))
        yield


@contextmanager
def a_build_that_waits(source: Source, sink: Sink) -> Iterator[tuple[threading.Thread, list[BaseException]]]:
    """A builder in a thread, in the middle of its first index for as long as the block lasts."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with building(source, sink) as builder:
                builder.turn()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    with an_old_snapshot(source, sink):
        thread.start()
        wait_until(lambda: indexes(source, sink) == [("things__a_idx", False)])
        yield thread, errors
    thread.join(20)
    assert not thread.is_alive()


def fill(source: Source, sink: Sink) -> None:
    source.db.Things.insert_many([{"_id": n, "a": f"text {n}", "n": n} for n in range(100)])
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        replication.catch_up()


def build_all(source: Source, sink: Sink) -> None:
    with building(source, sink) as builder:
        while builder.turn() is not None:
            pass


ALL = [("things__a_idx", True), ("things__n__a_idx", True)]


def test_a_table_is_filled_without_indexes_and_gets_them_afterwards(source: Source, sink: Sink) -> None:
    fill(source, sink)
    assert indexes(source, sink) == []
    build_all(source, sink)
    assert indexes(source, sink) == ALL
    assert states(sink) == {}
    build_all(source, sink)
    assert indexes(source, sink) == ALL


def test_a_table_that_is_being_filled_waits_for_its_indexes(source: Source, sink: Sink) -> None:
    fill(source, sink)
    with sink.connect() as connection:
        connection.execute("update replicator.collection set state = 'snapshotting'")
    build_all(source, sink)
    assert indexes(source, sink) == []
    assert states(sink) == {"things__a_idx": "waiting", "things__n__a_idx": "waiting"}


def test_an_index_of_a_build_that_was_broken_off_is_dropped_and_made_again(source: Source, sink: Sink) -> None:
    fill(source, sink)
    with a_build_that_waits(source, sink) as (thread, errors), sink.connect() as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s", (APPLICATION,)
        )
        thread.join(20)
        assert errors
        assert indexes(source, sink) == [("things__a_idx", False)]
    build_all(source, sink)
    assert indexes(source, sink) == ALL


def test_a_build_that_is_in_the_way_of_the_writer_is_ended_and_begun_again(source: Source, sink: Sink) -> None:
    fill(source, sink)
    more = TypedCollection("Things", "things", (A, N, MappedColumn("x", ("x",), ColumnType.TEXT)))
    with a_build_that_waits(source, sink) as (thread, errors):
        with connect(sink.dsn, application_name="writer") as writer, writer.transaction():
            # What the open transaction of the test keeps would hold up the table's alteration itself.
            writer.execute("set local lock_timeout = '1s'")
            with pytest.raises(Retryable):
                ensure_tables(writer, source.name, tables_of(more))
        thread.join(20)
        assert not errors
        assert not thread.is_alive()
    build_all(source, sink)
    assert indexes(source, sink) == ALL


def test_an_index_that_postgresql_refuses_is_told_and_leaves_nothing_behind(source: Source, sink: Sink) -> None:
    noise = "".join(sha256(bytes([number])).hexdigest() for number in range(200))
    source.db.Things.insert_one({"_id": "long", "a": noise, "n": 1})
    fill(source, sink)
    build_all(source, sink)
    assert indexes(source, sink) == []
    assert states(sink) == {"things__a_idx": "failed", "things__n__a_idx": "failed"}
    with sink.connect() as connection:
        row = connection.execute("select error from replicator.index_build order by index_name").fetchone()
    assert row is not None
    assert "take the index on a of the table things out of the mapping file" in row[0]
    assert noise[:20] not in row[0]
    source.db.Things.delete_one({"_id": "long"})
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        replication.catch_up()
    build_all(source, sink)
    assert indexes(source, sink) == ALL
    assert states(sink) == {}


def test_two_instances_never_build_at_a_time(source: Source, sink: Sink) -> None:
    fill(source, sink)
    with building(source, sink) as first, building(source, sink) as second:
        assert first.turn() is not None
        assert second.turn() is None
        first.close()
        wait_until(lambda: second.turn() is not None)
    assert indexes(source, sink) == ALL


def test_a_name_that_another_table_has_taken_is_replaced(source: Source, sink: Sink) -> None:
    fill(source, sink)
    with sink.connect() as connection:
        connection.execute(sql.SQL("create table {} (a text)").format(sql.Identifier(source.name, "things__a_idx")))
    build_all(source, sink)
    assert indexes(source, sink) == [("things__a_idx_2", True), ("things__n__a_idx", True)]


def resync(source: Source, sink: Sink) -> None:
    """Have the collection read again, and wait until it was."""
    open_requests = "select count(*) from replicator.request where handled_at is null"
    with sink.connect() as connection, replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        add_request(connection, source.name, "resync", "Things")
        wait_until(lambda: connection.execute(open_requests).fetchone() == (0,))
        replication.catch_up()


def test_an_empty_table_that_is_read_again_is_filled_without_its_indexes(source: Source, sink: Sink) -> None:
    fill(source, sink)
    build_all(source, sink)
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        source.db.Things.delete_many({})
        replication.catch_up()
    resync(source, sink)
    assert indexes(source, sink) == []
    build_all(source, sink)
    assert indexes(source, sink) == ALL


def test_a_table_with_rows_that_is_read_again_keeps_its_indexes(source: Source, sink: Sink) -> None:
    fill(source, sink)
    build_all(source, sink)
    resync(source, sink)
    assert indexes(source, sink) == ALL


def test_nobody_who_reads_an_empty_table_is_waited_for(source: Source, sink: Sink) -> None:
    fill(source, sink)
    build_all(source, sink)
    with replicating(source, sink, MAPPING, limits=LIVELY) as replication:
        source.db.Things.delete_many({})
        replication.catch_up()
    with sink.connect(autocommit=False) as reading:
        reading.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(source.name, "things")))
        resync(source, sink)
        assert indexes(source, sink) == ALL
