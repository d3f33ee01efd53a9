"""PostgreSQL dies, hangs, refuses and is changed by hand: nothing is lost, and what needs a person says so."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql

from devstack.proxy import TcpProxy
from replicator_service.core.errors import Fatal
from replicator_service.core.mapping.model import ChildTable, ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.sink.control.requests import add_request
from tests.support.databases import Sink, Source, fresh_sink
from tests.support.load import Load
from tests.support.oracle import differences
from tests.support.replication import Replication, assert_same_documents, documents_at, replicating, rows_of
from tests.support.servers import start_postgres
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import PostgresServer

WRITER = "replicator writer"


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that may be killed."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def own_sink(own_postgres: PostgresServer) -> Iterator[Sink]:
    with fresh_sink(own_postgres) as sink:
        yield sink


def signal_writer(sink: Sink, function: str) -> bool:
    """Call `pg_cancel_backend` or `pg_terminate_backend` for the writer, if it is at work."""
    with sink.connect() as connection:
        query = sql.SQL(
            "select {}(pid) from pg_stat_activity where datname = current_database() and application_name = %s "
            "and state <> 'idle'"
        ).format(sql.Identifier(function))
        return bool(connection.execute(query, (WRITER,)).fetchall())


def epoch(sink: Sink) -> int:
    with sink.connect() as connection:
        row = connection.execute("select epoch from replicator.checkpoint").fetchone()
    return int(row[0]) if row else 0


def through(proxy: TcpProxy, sink: Sink) -> str:
    """The address of the sink by way of a proxy."""
    return psycopg.conninfo.make_conninfo(sink.dsn, port=proxy.port)


def table(source: Source, name: str) -> sql.Identifier:
    return sql.Identifier(source.name, name)


def noticed(replication: Replication, timeout: float = 15.0) -> None:
    """Wait until the service says that a server is away."""
    wait_until(
        lambda: replication.health.report().error is not None,
        timeout=timeout,
        message="the service to notice",
    )


def test_a_killed_postgresql_comes_back_to_the_exact_state(
    source: Source, own_postgres: PostgresServer, own_sink: Sink
) -> None:
    with replicating(source, own_sink) as replication, Load(source.uri, source.name) as load:
        load.go_on()
        replication.catch_up()
        load.go_on()
        own_postgres.kill()
        noticed(replication)
        load.go_on()
        own_postgres.restart()
        load.go_on()
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, own_sink, "busy") > 100
        assert replication.health.report().error is None


def test_a_standby_outlives_a_restart_of_postgresql_and_still_one_of_two_leads(
    source: Source, own_postgres: PostgresServer, own_sink: Sink
) -> None:
    with replicating(source, own_sink) as one:
        one.catch_up()
        two = Replication(source, own_sink)
        two.start()
        try:
            wait_until(lambda: two.health.report().state.value == "standby")
            own_postgres.restart()
            source.db.things.insert_one({"_id": 1})

            def arrived() -> bool:
                with own_sink.connect() as connection:
                    try:
                        query = sql.SQL("select from {}").format(table(source, "things"))
                        return len(connection.execute(query).fetchall()) == 1
                    except psycopg.errors.UndefinedTable:
                        return False

            wait_until(arrived, timeout=30, message="the document")

            def roles() -> list[str]:
                return sorted(each.health.report().role.value for each in (one, two))

            wait_until(lambda: roles() == ["leader", "standby"], timeout=30, message="one leader")
        finally:
            two.stop()


def test_a_cut_line_to_postgresql_is_opened_again(source: Source, sink: Sink, postgres_server: PostgresServer) -> None:
    with (
        TcpProxy(postgres_server.port) as proxy,
        replicating(source, sink, postgres_dsn=through(proxy, sink)) as replication,
        Load(source.uri, source.name) as load,
    ):
        for _ in range(3):
            load.go_on()
            proxy.reset()
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_a_cancelled_statement_is_only_a_pause(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication, Load(source.uri, source.name) as load:
        load.go_on()
        replication.catch_up()
        for _ in range(3):
            wait_until(lambda: signal_writer(sink, "pg_cancel_backend"), message="the writer at work")
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_a_terminated_writer_begins_its_transaction_anew(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication, Load(source.uri, source.name) as load:
        load.go_on()
        replication.catch_up()
        for _ in range(3):
            before = epoch(sink)
            wait_until(lambda: signal_writer(sink, "pg_terminate_backend"), message="the writer at work")
            wait_until(lambda before=before: epoch(sink) > before, message="the lease to be taken again")  # type: ignore[misc]  # mypy infers no default of a lambda
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_a_table_that_an_analyst_locks_holds_the_stream_and_breaks_nothing(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        first = epoch(sink)
        with sink.connect(autocommit=False) as analyst:
            analyst.execute(sql.SQL("lock table {} in access exclusive mode").format(table(source, "things")))
            source.db.things.insert_many([{"_id": n} for n in range(2, 500)])

            def waits() -> bool:
                with sink.connect() as connection:
                    query = "select from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
                    return bool(connection.execute(query, (WRITER,)).fetchall())

            wait_until(waits, message="the writer to wait for the lock")
            assert replication.health.report().error is None
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 499
        assert epoch(sink) == first, "waiting for a lock costs no lease"


@contextmanager
def refusing(sink: Sink, source: Source, name: str, state: str) -> Iterator[None]:
    """Every row that is written to a table fails with this SQLSTATE."""
    with sink.connect() as connection:
        connection.execute(
            sql.SQL(
                "create function refuse() returns trigger language plpgsql as "
                "$$ begin raise exception 'refused' using errcode = {}; end $$"
            ).format(sql.Literal(state))
        )
        connection.execute(
            sql.SQL("create trigger refuse before insert on {} execute function refuse()").format(table(source, name))
        )
        yield
        connection.execute("drop function refuse cascade")


def test_a_full_disk_is_waited_for_and_makes_no_dead_letters(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        with refusing(sink, source, "things", "53100"):
            source.db.things.insert_one({"_id": 2})
            noticed(replication)
            first = epoch(sink)
            wait_until(lambda: epoch(sink) > first + 1, message="more attempts")
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 2
        assert replication.health.report().dead_letters == 0


def test_no_free_connection_is_waited_for(source: Source, own_postgres: PostgresServer, own_sink: Sink) -> None:
    with own_sink.connect() as connection:
        connection.execute("drop role if exists modest")
        connection.execute("create role modest login password 'modest' connection limit 1")
        connection.execute(sql.SQL("alter database {} owner to modest").format(sql.Identifier(own_sink.name)))
    dsn = own_postgres.dsn(own_sink.name, user="modest", password="modest")
    replication = Replication(source, own_sink, postgres_dsn=dsn)
    replication.start()
    try:
        noticed(replication)
        with own_sink.connect() as connection:
            connection.execute("alter role modest connection limit 10")
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        assert assert_same_documents(source, own_sink, "things") == 1
    finally:
        replication.stop()


def rows(sink: Sink, source: Source) -> list[tuple[str, str]]:
    with sink.connect() as connection:
        return [(key, n) for key, n in rows_of(connection, source, "things", ("_id", "n"))]


def ended_with(replication: Replication) -> Fatal:
    error = replication.join()
    assert isinstance(error, Fatal), error
    return error


PARTS = ChildTable("parts", ("parts",), (MappedColumn("x", ("x",), ColumnType.INTEGER),))
TYPED = Mapping((TypedCollection("things", "things", (MappedColumn("n", ("n",), ColumnType.BIGINT),), (PARTS,)),))


def assert_rows(source: Source, sink: Sink) -> None:
    assert rows(sink, source) == sorted((f"$number:{d['_id']}", str(d["n"])) for d in source.db.things.find())


DAMAGES: dict[str, LiteralString] = {
    "a table": "drop table {table}",
    "a child table": "drop table {child}",
    "a column": "alter table {table} drop column n",
    "a column of a child table": "alter table {child} drop column x",
    "the rest": "alter table {table} drop column _extra",
    "the originals": "alter table {table} drop column _bson",
    "the times": "alter table {table} drop column etl_valid_from",
    "the key": "alter table {table} drop constraint things_pkey",
    "the key of a child table": "alter table {child} drop constraint parts_pkey",
    "the schema": "drop schema {schema} cascade",
    "a name": "alter table {table} rename to somewhere_else",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("is_running", [True, False], ids=["while running", "before a start"])
def test_what_somebody_dropped_is_made_again_and_read_again(
    source: Source, sink: Sink, damage: LiteralString, *, is_running: bool
) -> None:
    source.db.things.insert_many([{"_id": n, "n": n, "parts": [{"x": n}, {"x": -n}], "y": n} for n in range(10)])
    replication = Replication(source, sink, TYPED)
    replication.start()
    try:
        replication.catch_up()
        if not is_running:
            replication.stop()
        names = {
            "schema": sql.Identifier(source.name),
            "table": table(source, "things"),
            "child": table(source, "parts"),
        }
        with sink.connect() as connection:
            connection.execute(sql.SQL(damage).format(**names))
        source.db.things.update_one({"_id": 1}, {"$set": {"n": 100}})
        source.db.things.insert_one({"_id": 10, "n": 10, "parts": [{"x": 5}]})
        if not is_running:
            replication.start()
        replication.catch_up()
        source.db.things.delete_one({"_id": 2})
        source.db.things.update_one({"_id": 3}, {"$set": {"n": 100, "parts": []}})
        replication.catch_up()
        with sink.connect(autocommit=False) as connection:
            (mapping,) = TYPED.collections
            documents = documents_at(source, "things").values()
            assert differences(connection, source.name, mapping, documents) == []
        assert replication.health.report().dead_letters == 0
    finally:
        replication.stop()


def test_a_lost_key_that_rows_do_not_allow_again_is_told_and_a_resync_solves_it(source: Source, sink: Sink) -> None:
    source.db.things.insert_many([{"_id": n, "n": n} for n in range(10)])
    replication = Replication(source, sink, TYPED)
    replication.start()
    try:
        replication.catch_up()
        replication.stop()
        with sink.connect() as connection:
            things = table(source, "things")
            connection.execute(sql.SQL("alter table {} drop constraint things_pkey").format(things))
            connection.execute(sql.SQL("insert into {0} select * from {0} where n < 3").format(things))
        replication.start()
        error = ended_with(replication)
        assert "has lost its primary key (_id)" in error.message
        assert "replicator resync COLLECTION" in error.hint
        with sink.connect() as connection:
            add_request(connection, source.name, "resync", "things")
        replication.start()
        replication.catch_up()
        assert_rows(source, sink)
    finally:
        replication.stop()


@pytest.mark.parametrize(
    "change",
    [
        "alter table {} alter column n type timestamptz using null",
        "alter table {} drop column n, add column n bigint generated always as (1) stored",
        "alter table {0} drop constraint things_pkey, add constraint things_pkey primary key (_id, etl_valid_from)",
        "alter table {0} drop constraint things_pkey, add constraint things_pkey primary key (_id) deferrable",
    ],
)
def test_a_table_changed_by_hand_stops_the_service_with_a_clear_error_and_a_resync_repairs_it(
    source: Source, sink: Sink, change: LiteralString
) -> None:
    source.db.things.insert_many([{"_id": n, "n": n} for n in range(10)])
    replication = Replication(source, sink, TYPED)
    replication.start()
    try:
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute(sql.SQL(change).format(table(source, "things")))
        source.db.things.insert_one({"_id": 10, "n": 10})
        source.db.things.update_one({"_id": 1}, {"$set": {"n": 100}})
        error = ended_with(replication)
        assert "replicator resync" in error.message + error.hint
        source.db.things.delete_one({"_id": 2})
        with sink.connect() as connection:
            add_request(connection, source.name, "resync", "things")
        replication.start()
        replication.catch_up()
        assert_rows(source, sink)
    finally:
        replication.stop()
