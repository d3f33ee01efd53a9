"""The servers that the demo and all other tests stand on."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from devstack.errors import DevstackError
from devstack.mongo import MongoReplicaSet, StandaloneMongo
from devstack.ports import LOOPBACK, PortTakenError, free_port, on_free_port
from devstack.postgres import FAST_SETTINGS, PostgresServer
from devstack.process import remove_directory, temporary_directory
from tests.support.servers import POSTGRES_VERSION
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Sink, Source


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that PostgreSQL may enter whoever runs it; pytest's own is closed to others."""
    path = temporary_directory()
    yield path
    remove_directory(path)


@pytest.fixture(scope="module")
def own_mongo() -> Iterator[MongoReplicaSet]:
    """A server that the tests of this module may kill, and start again."""
    with MongoReplicaSet.start() as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """A server that the tests of this module may kill, and start again."""
    with PostgresServer.start(settings={"work_mem": "1MB"}) as server:
        yield server


def _client(uri: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(uri, serverSelectionTimeoutMS=10_000)


def _value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_every_test_gets_an_empty_source_that_takes_documents(source: Source) -> None:
    assert source.db.list_collection_names() == []
    source.db.things.insert_one({"_id": 1})
    assert source.db.things.find_one() == {"_id": 1}


def test_every_test_gets_an_empty_sink_that_takes_tables(sink: Sink) -> None:
    with sink.connect() as connection:
        connection.execute("create table thing (id int)")
        assert connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (1,)


def test_the_shared_mongod_takes_fault_points(source: Source) -> None:
    off = source.client.admin.command("configureFailPoint", "failCommand", mode="off", data={"failCommands": []})
    assert off["ok"] == 1


def test_a_single_node_keeps_acknowledged_documents_and_its_port_through_a_kill(own_mongo: MongoReplicaSet) -> None:
    server = own_mongo
    with _client(server.uri) as client:
        client.shop.orders.insert_one({"_id": 1})
        before = server.uri, server.pid
        server.kill()
        assert not server.members[0].running
        server.restart()
        assert server.uri == before[0]
        assert server.pid != before[1]
        assert client.shop.orders.find_one() == {"_id": 1}


def test_a_primary_that_steps_down_is_primary_again_later(own_mongo: MongoReplicaSet) -> None:
    with _client(own_mongo.uri) as client:
        term = client.admin.command("replSetGetStatus")["term"]
        own_mongo.step_down(seconds=1)
        assert own_mongo.primary() == 0
        assert client.admin.command("replSetGetStatus")["term"] > term
        client.shop.dead_letters.insert_one({"_id": 1})


def test_three_nodes_elect_a_new_primary_after_a_kill_and_take_the_old_one_back() -> None:
    with MongoReplicaSet.start(members=3) as server, _client(server.uri) as client:
        client.shop.orders.insert_one({"_id": 1})
        first = server.primary()
        server.kill(first)
        second = server.primary()
        assert second != first
        client.shop.orders.insert_one({"_id": 2})
        server.restart(first)
        assert client.shop.orders.count_documents({}) == 2


def test_with_auth_strangers_are_refused_and_the_uri_opens_the_door() -> None:
    with MongoReplicaSet.start(auth=True) as server:
        with _client(server.uri) as client:
            client.shop.orders.insert_one({"_id": 1})
        anonymous = f"mongodb://{LOOPBACK}:{server.port}/?replicaSet=rs0"
        with _client(anonymous) as stranger, pytest.raises(OperationFailure, match="requires authentication"):
            stranger.shop.orders.find_one()


def test_a_standalone_server_belongs_to_no_replica_set() -> None:
    with StandaloneMongo.start() as server, _client(server.uri) as client:
        assert "setName" not in client.admin.command("hello")
        server.kill()
        server.restart()
        assert client.admin.command("ping")["ok"] == 1


def test_mongodb_files_are_used_again_on_another_port(directory: Path) -> None:
    with MongoReplicaSet.start(directory, auth=True, password="s3cret/") as server, _client(server.uri) as client:
        client.shop.orders.insert_one({"_id": 1})
        port = server.port
    with MongoReplicaSet.start(directory, auth=True, password="s3cret/") as server, _client(server.uri) as client:
        assert server.port != port
        assert client.shop.orders.find_one() == {"_id": 1}


def test_postgresql_files_are_used_again_with_their_password_on_another_port(directory: Path) -> None:
    with PostgresServer.start(directory) as server:
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("create table thing as select 7 as id")
        dsn = server.dsn()
    with PostgresServer.start(directory) as server:
        assert server.dsn() != dsn
        assert _value(server.dsn(), "select id from thing") == 7


def test_postgresql_with_the_settings_for_tests_keeps_committed_rows_through_a_kill() -> None:
    with PostgresServer.start(settings=FAST_SETTINGS) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("create table thing as select 7 as id")
            server.kill()
        server.restart()
        assert _value(server.dsn(), "select id from thing") == 7


def test_clients_notice_the_kill_of_postgresql(own_postgres: PostgresServer) -> None:
    with psycopg.connect(own_postgres.dsn(), autocommit=True) as connection:
        own_postgres.kill()
        assert not own_postgres.running
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    own_postgres.restart()
    assert _value(own_postgres.dsn(), "select 1") == 1


def test_a_restart_may_change_settings(own_postgres: PostgresServer) -> None:
    assert _value(own_postgres.dsn(), "show work_mem") == "1MB"
    own_postgres.restart({"work_mem": "3MB"})
    assert _value(own_postgres.dsn(), "show work_mem") == "3MB"


def test_durable_settings_are_the_default(own_postgres: PostgresServer) -> None:
    assert (
        _value(own_postgres.dsn(), "select current_setting('fsync') || current_setting('full_page_writes')") == "onon"
    )


def test_postgresql_refuses_a_wrong_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.dsn(password="wrong"))


@pytest.mark.parametrize(
    ("fixture", "major"),
    [("postgres_server", POSTGRES_VERSION), ("postgres16_server", 16), ("postgres15_server", 15)],
)
def test_postgresql_is_of_the_version_asked_for(fixture: str, major: int, request: pytest.FixtureRequest) -> None:
    server: PostgresServer = request.getfixturevalue(fixture)
    assert str(_value(server.dsn(), "show server_version")).startswith(server.version)
    assert server.version.startswith(f"{major}.")


def test_a_server_on_a_port_of_somebody_else_says_so_and_leaves_nothing() -> None:
    with socket.create_server((LOOPBACK, free_port())) as somebody:
        port = somebody.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"mongod on port {port} did not start"):
            MongoReplicaSet.start(port=port)
        with pytest.raises(PortTakenError, match=f"on port {port} did not start"):
            PostgresServer.start(port=port)


def test_a_lost_race_for_a_free_port_is_run_again() -> None:
    tried: list[int] = []

    def start(port: int) -> str:
        tried.append(port)
        if len(tried) < 3:
            raise PortTakenError("taken")
        return "started"

    assert on_free_port(start) == (tried[2], "started")


def test_a_setting_that_postgresql_refuses_is_told_with_its_log() -> None:
    with pytest.raises(DevstackError, match=r"unrecognized configuration parameter .no_such_thing."):
        PostgresServer.start(settings={"no_such_thing": "1"})


def test_waiting_in_vain_says_what_for() -> None:
    with pytest.raises(AssertionError, match=r"Waited 0.0 s in vain for the moon \(last result: 0\)"):
        wait_until(lambda: 0, timeout=0.0, message="the moon")
