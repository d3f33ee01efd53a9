"""A line that stays open and passes nothing on: no error ever comes, so the service has to find out by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.proxy import TcpProxy
from replicator_service.core.errors import Server
from replicator_service.runtime.state.health import Role, State
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.connect.dead_peer import Listener, Unheard
from tests.support.databases import Sink, fresh_sink, fresh_source
from tests.support.load import Load
from tests.support.replication import assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

NOTICED_SECONDS = 15.0


def test_a_deaf_line_to_either_server_is_noticed_and_costs_nothing(
    mongo_server: MongoReplicaSet, postgres_server: PostgresServer
) -> None:
    """Both at once, for the time it takes: one service loses MongoDB, the other one PostgreSQL."""
    with (
        TcpProxy(mongo_server.port) as to_mongo,
        TcpProxy(postgres_server.port) as to_postgres,
        fresh_source(mongo_server) as one_source,
        fresh_source(mongo_server) as other_source,
        fresh_sink(postgres_server) as one_sink,
        fresh_sink(postgres_server) as other_sink,
        replicating(
            one_source, one_sink, mongo_uri=f"mongodb://127.0.0.1:{to_mongo.port}/?directConnection=true"
        ) as without_mongo,
        replicating(
            other_source,
            other_sink,
            postgres_dsn=psycopg.conninfo.make_conninfo(other_sink.dsn, port=to_postgres.port),
        ) as without_postgres,
        Load(one_source.uri, one_source.name) as one_load,
        Load(other_source.uri, other_source.name) as other_load,
    ):
        both = (
            (without_mongo, one_load, one_source, one_sink),
            (without_postgres, other_load, other_source, other_sink),
        )
        for replication, load, _, _ in both:
            load.go_on()
            replication.catch_up()
        to_mongo.deaf()
        to_postgres.deaf()
        wait_until(
            lambda: all(replication.health.report().error for replication, _, _, _ in both),
            timeout=NOTICED_SECONDS,
            message=lambda: f"both to notice ({[replication.health.report().error for replication, _, _, _ in both]})",
        )
        for (replication, *_), server in zip(both, (Server.MONGODB, Server.POSTGRESQL), strict=True):
            report = replication.health.report()
            assert report.wait is not None
            assert (report.state, report.role, report.wait.server) == (State.WAITING, Role.STANDBY, server)
        to_mongo.restore()
        to_postgres.restore()
        for replication, load, source, sink in both:
            load.stop()
            replication.catch_up()
            assert assert_same_documents(source, sink, "busy") > 50


def test_a_change_stream_whose_connection_alone_goes_silent_costs_seconds_and_is_told(
    mongo_server: MongoReplicaSet, postgres_server: PostgresServer
) -> None:
    """A firewall that forgets one connection: the driver's monitor lives on, and no error ever comes."""
    with (
        TcpProxy(mongo_server.port) as to_mongo,
        fresh_source(mongo_server) as source,
        fresh_sink(postgres_server) as sink,
        replicating(
            source, sink, mongo_uri=f"mongodb://127.0.0.1:{to_mongo.port}/?directConnection=true"
        ) as replication,
    ):
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        to_mongo.swallow(b"$cmd.aggregate")
        source.db.things.insert_one({"_id": 2})
        wait_until(
            lambda: found if (found := replication.health.report().last_error) and "getMore" in found.message else None,
            timeout=NOTICED_SECONDS,
            message="the silence to be told",
        )
        replication.catch_up(timeout=NOTICED_SECONDS)
        assert assert_same_documents(source, sink, "things") == 2
        assert replication.health.report().error is None
        assert replication.log.lines[0][0] == "leading"
        assert len([line for line, _ in replication.log.lines if line == "leading"]) == 1, "the pipeline ran on"


def test_a_long_statement_is_heard_although_nothing_comes(sink: Sink) -> None:
    with connect(sink.dsn, application_name="patient") as connection:
        row = connection.execute("select pg_backend_pid()").fetchone()
        assert row is not None
        connection.listen(Listener(sink.dsn, row[0]), idle_seconds=0.1)
        assert connection.execute("select pg_sleep(1), 1").fetchall()


def test_a_server_that_works_on_nothing_of_ours_cannot_be_heard(sink: Sink) -> None:
    with (
        connect(sink.dsn, application_name="deaf") as connection,
        connect(sink.dsn, application_name="idle") as idle,
    ):
        row = idle.execute("select pg_backend_pid()").fetchone()
        assert row is not None
        connection.listen(Listener(sink.dsn, row[0]), idle_seconds=0.1)
        with pytest.raises(Unheard):
            connection.execute("select pg_sleep(20)")
        assert connection.closed


def test_a_copy_that_arrives_slowly_is_heard_as_work(sink: Sink) -> None:
    with sink.connect() as connection:
        pid = connection.info.backend_pid
        listener = Listener(sink.dsn, pid)
        connection.execute("create temporary table arrived (text text)")
        assert not listener()
        with connection.cursor() as cursor, cursor.copy("copy arrived from stdin") as copy:
            for _ in range(3):
                copy.write(b"x" * 200_000 + b"\n")
                wait_until(listener, message="the bytes")
            wait_until(lambda: not listener(), message="silence")
