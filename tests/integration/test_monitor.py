"""The monitor: sees both servers, goes on when they are away, and keeps them apart."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from pymongo import MongoClient

from replicator_service.app.monitor import Monitor, SinkWatch, SourceWatch
from replicator_service.configuration.settings import Settings
from replicator_service.core.mapping.model import Mapping
from replicator_service.core.reconciliation import PartResult
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.judgement.service_view import Watch
from replicator_service.runtime.log.logging import make_logger
from replicator_service.runtime.state.health import Health
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.lease import try_lease
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.reconcile.reconciliation import finish_run, record_part, start_run
from tests.support.replication import replicating
from tests.support.servers import start_mongo, start_postgres
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source

NOWHERE = "mongodb://127.0.0.1:9/"


@pytest.fixture
def watch(source: Source) -> Watch:
    return Watch(Health(source.name, clock=time.monotonic), clock=time.monotonic)


def settings(mongo_uri: str, postgres_dsn: str, database: str = "shop") -> Settings:
    return Settings.model_validate({"mongo_uri": mongo_uri, "postgres_dsn": postgres_dsn, "mongo_database": database})


def test_mongodb_is_seen_with_its_time_and_what_it_cannot_stream(source: Source, sink: Sink, watch: Watch) -> None:
    source.db.orders.insert_one({"_id": 1})
    source.db.command("create", "recent", viewOn="orders", pipeline=[])
    watched = SourceWatch(settings(source.uri, sink.dsn, source.name), watch)
    watched.poll()
    watched.close()
    seen = watch.service_view().source
    assert seen is not None
    assert abs((seen.operation_time >> 32) - time.time()) < 60
    assert seen.oldest_time is not None
    assert seen.oldest_time <= seen.operation_time
    assert seen.unsupported == {"recent": "view"}


def test_postgresql_is_seen_before_the_first_start(source: Source, sink: Sink, watch: Watch) -> None:
    watched = SinkWatch(settings(source.uri, sink.dsn, source.name), watch)
    watched.poll()
    watched.close()
    seen = watch.service_view().database
    assert seen is not None
    assert (seen.is_installed, dict(seen.collections)) == (False, {})


def test_postgresql_is_seen_with_collections_letters_and_reconciliations(
    source: Source, sink: Sink, watch: Watch
) -> None:
    source.db.orders.insert_many([{"_id": number} for number in range(20)])
    with replicating(source, sink) as replication:
        replication.catch_up()
    with connect(sink.dsn, application_name="test") as connection:
        connection.execute(
            "insert into replicator.dead_letter (stream, collection, source_id, operation, error) "
            "values (%s, 'orders', '1', 'insert', 'refused')",
            (source.name,),
        )
        for collection, minute, differences in (("orders", 1, 9), (None, 2, 3), ("orders", 3, 1)):
            run = start_run(
                connection, source.name, None if collection is None else [collection], repair=False, deep=False
            )
            record_part(connection, run, PartResult("orders", "orders", 1, 20, differences, 0), {})
            finish_run(connection, run, error=None)
            connection.execute(
                "update replicator.reconciliation_run set "
                "finished_at = '2026-01-01 00:00+00'::timestamptz + make_interval(mins => %s) where id = %s",
                (minute, run),
            )
        connection.execute("update replicator.collection set updated_at = '2025-01-01'")
        connection.execute("analyze")
        assert try_lease(connection, source.name)
        watched = SinkWatch(settings(source.uri, sink.dsn, source.name), watch)
        watched.poll()
        watched.close()
    seen = watch.service_view().database
    assert seen is not None
    orders = seen.collections["orders"]
    assert (orders.table, orders.state, orders.rows) == ("orders", CollectionState.STREAMING, 20)
    assert (orders.documents, orders.snapshot_progress, orders.dead_letters) == (20, 1.0, 1)
    assert seen.dead_letters == 1
    assert seen.last_reconciliation is not None
    assert (seen.last_reconciliation.at.minute, seen.last_reconciliation.differences) == (3, 1)
    assert (seen.last_reconciliation.compared, seen.last_reconciliation.collections) == (1, 1)
    assert seen.leader is not None
    assert seen.leader.application == "test"


def test_what_others_hang_on_a_replicated_table_is_seen_with_the_statement_that_takes_it_away(
    source: Source, sink: Sink, watch: Watch
) -> None:
    source.db.orders.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
    with sink.connect() as analyst:
        orders = sql.Identifier(source.name, "orders")
        analyst.execute(sql.SQL("create rule loud as on insert to {} do also select 1").format(orders))
    watched = SinkWatch(settings(source.uri, sink.dsn, source.name), watch)
    watched.poll()
    watched.close()
    seen = watch.service_view().database
    assert seen is not None
    (found,) = seen.interference
    assert "rule loud" in found.cause
    assert found.fix.startswith("drop rule loud on")


def test_servers_that_are_away_are_a_problem_to_show_and_not_an_error(watch: Watch) -> None:
    chosen = settings(NOWHERE, "postgresql://u:p@127.0.0.1:9/d")
    for watched in (SourceWatch(chosen, watch), SinkWatch(chosen, watch)):
        watched.poll()
        watched.close()
    service = watch.service_view()
    assert service.source_seen.problem == "no MongoDB server can be reached, or none of them is primary"
    assert service.database_seen.problem is not None
    assert service.lag_seconds is None


def test_the_monitor_sees_servers_again_that_were_away(watch: Watch) -> None:
    with start_mongo() as mongo, start_postgres() as postgres:
        chosen = settings(mongo.uri, postgres.dsn())
        source, sink = SourceWatch(chosen, watch), SinkWatch(chosen, watch)
        for watched in (source, sink):
            watched.poll()
        mongo.kill()
        postgres.kill()
        for watched in (source, sink):
            watched.poll()
        service = watch.service_view()
        assert service.source_seen.problem is not None
        assert service.database_seen.problem is not None
        mongo.restart()
        postgres.restart()
        for watched in (source, sink):
            watched.poll()
            watched.close()
        service = watch.service_view()
        assert (service.source_seen.problem, service.database_seen.problem) == (None, None)


def test_a_client_that_is_made_while_the_monitor_stops_is_closed_again(
    source: Source, sink: Sink, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, closed = threading.Event(), threading.Event(), threading.Event()

    class Closing(MongoClient[dict[str, Any]]):
        def close(self) -> None:
            super().close()
            closed.set()

    def slow(uri: str, **_: object) -> Closing:
        begun.set()
        assert go.wait(20)
        return Closing(uri)

    monkeypatch.setattr("replicator_service.app.monitor.connect", slow)
    running = Monitor(settings(source.uri, sink.dsn, source.name), Mapping(), watch, log=make_logger())
    running.start()
    assert begun.wait(20)
    running.stop()
    go.set()
    assert closed.wait(20)


def test_the_control_tables_of_a_database_without_this_stream_say_nothing(
    source: Source, sink: Sink, watch: Watch
) -> None:
    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
    watched = SinkWatch(settings(source.uri, sink.dsn, source.name), watch)
    watched.poll()
    watched.close()
    seen = watch.service_view().database
    assert seen is not None
    assert (seen.is_installed, seen.cluster_time, seen.last_reconciliation) == (True, None, None)


def test_a_writer_that_waits_is_seen_although_the_control_tables_are_locked(
    source: Source, sink: Sink, watch: Watch
) -> None:
    with connect(sink.dsn, application_name="test") as leader, sink.connect() as other, sink.connect() as locking:
        migrate(leader)
        assert try_lease(leader, source.name)
        with locking.transaction():
            locking.execute("lock table replicator.checkpoint in access exclusive mode")
            with ThreadPoolExecutor() as pool:
                waiting = pool.submit(leader.execute, "select count(*) from replicator.checkpoint")
                query = "select from pg_locks where not granted"
                wait_until(lambda: bool(other.execute(query).fetchall()), message="the writer to wait")
                watched = SinkWatch(settings(source.uri, sink.dsn, source.name), watch)
                watched.poll()
                watched.close()
                seen = watch.service_view()
                other.execute("select pg_cancel_backend(%s)", (leader.info.backend_pid,))
                with pytest.raises(psycopg.errors.QueryCanceled):
                    waiting.result(10)
    assert seen.is_writing
    assert seen.database_seen.problem is not None
