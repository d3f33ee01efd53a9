"""Two PostgreSQL 15 under streaming replication behind a HAProxy, and a promotion under traffic."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.binaries import find_postgres
from devstack.proxy import TcpProxy
from devstack.standby import promote, standby_of
from replicator_service.core.naming import schema_name
from tests.support.databases import Sink, Source, fresh_source
from tests.support.load import Load
from tests.support.poolers import haproxy, is_primary, through
from tests.support.processes import Operator
from tests.support.replication import assert_same_documents, decoded, document_of_row, documents_at, replicating
from tests.support.servers import start_postgres
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

pytestmark = pytest.mark.slow

VERSION = 15
LOST = "postgresql has lost its last commits"


@dataclass
class Pair:
    """A primary, its standby that follows through a line which can be cut, and the port that leads to the primary."""

    primary: PostgresServer
    standby: PostgresServer
    line: TcpProxy
    port: int

    @property
    def sink(self) -> Sink:
        """The database, at whichever is the primary."""
        return Sink(through(self.primary.dsn(), self.port), "postgres")

    def fail_over(self) -> None:
        """The primary dies and the standby takes its place."""
        self.primary.kill()
        promote(self.standby)

    def follow(self) -> None:
        """Wait until the standby has everything that the primary has written."""
        with psycopg.connect(self.primary.dsn(), autocommit=True) as connection:
            wait_until(
                lambda: (
                    connection.execute(
                        "select bool_and(replay_lsn >= pg_current_wal_lsn()) from pg_stat_replication"
                    ).fetchone()
                    == (True,)
                ),
                message="the standby to follow",
            )


@pytest.fixture
def pair() -> Iterator[Pair]:
    with running_pair() as servers:
        yield servers


@contextmanager
def running_pair() -> Iterator[Pair]:
    settings = {"fsync": "off", "max_connections": "200"}
    with (
        start_postgres(version=VERSION) as primary,
        TcpProxy(primary.port) as line,
        standby_of(primary, find_postgres(VERSION), settings=settings, through_port=line.port) as standby,
        haproxy([primary, standby]) as port,
    ):
        wait_until(lambda: answers(through(primary.dsn(), port)), message="the primary behind HAProxy")
        yield Pair(primary, standby, line, port)


def answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


@pytest.fixture
def source(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    with fresh_source(mongo_server) as database:
        yield database


def assert_exact_cut(source: Source, sink: Sink, collection: str) -> None:
    """What PostgreSQL shows in one snapshot is MongoDB at the checkpoint that it shows."""
    with sink.connect(autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        row = connection.execute(
            "select cluster_time from replicator.checkpoint where stream = %s", (source.name,)
        ).fetchone()
        assert row is not None
        rows = connection.execute(f"select _id, doc::text, _bson from {schema_name(source.name)}.{collection}")  # noqa: S608 - names of this test
        found = {key: document_of_row(doc, original) for key, doc, original in rows}
    expected = {key: decoded(each) for key, each in documents_at(source, collection, row[0]).items()}
    assert found == expected


def test_the_service_follows_to_the_promoted_server_and_every_cut_is_exact(pair: Pair, source: Source) -> None:
    with (
        Load(source.uri, source.name) as load,
        replicating(source, pair.sink, postgres_dsn=pair.sink.dsn) as replication,
    ):
        load.go_on()
        replication.catch_up()
        assert_exact_cut(source, pair.sink, "busy")
        pair.fail_over()
        load.go_on()
        wait_until(lambda: answers(pair.sink.dsn), message="the promoted server behind HAProxy")
        replication.catch_up()
        for _ in range(5):
            load.go_on(5)
            assert_exact_cut(source, pair.sink, "busy")
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, pair.sink, "busy") > 0


def test_a_promoted_server_that_lacks_the_last_commits_gets_them_again(pair: Pair, source: Source) -> None:
    source.db.things.insert_many({"_id": number, "n": 0} for number in range(100))
    with replicating(source, pair.sink, postgres_dsn=pair.sink.dsn) as replication:
        replication.catch_up()
        pair.follow()
        pair.line.refuse()
        source.db.things.update_many({}, {"$set": {"n": 1}})
        source.db.things.delete_many({"_id": {"$lt": 10}})
        source.db.later.insert_one({"_id": 1})
        replication.catch_up()
        with psycopg.connect(pair.primary.dsn()) as connection:
            assert row_count(connection, source) == 90
        pair.fail_over()
        with psycopg.connect(pair.standby.dsn()) as connection:
            assert row_count(connection, source) == 100
        source.db.things.insert_one({"_id": "after"})
        replication.catch_up()
        told = [fields for event, fields in replication.log.lines if event == LOST]
        assert_exact_cut(source, pair.sink, "things")
        assert assert_same_documents(source, pair.sink, "things") == 91
        assert assert_same_documents(source, pair.sink, "later") == 1
    assert len(told) == 1
    assert str(told[0]["checkpoint"]) <= str(told[0]["reached"])


def row_count(connection: psycopg.Connection[tuple[int]], source: Source) -> int:
    row = connection.execute(f"select count(*) from {schema_name(source.name)}.things").fetchone()  # noqa: S608 - names of this test
    return row[0] if row else 0


def test_a_standby_is_refused_by_the_check_and_waited_for_by_the_service(
    pair: Pair, source: Source, tmp_path: Path
) -> None:
    operator = Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": pair.standby.dsn(),
        },
        tmp_path,
    )
    source.db.things.insert_one({"_id": 1})
    checked = operator.replicator("check", "--json")
    (found,) = [each for each in json.loads(checked.stdout)["checks"] if each["level"] == "fail"]
    assert checked.exit_code == 2
    assert "standby of another one" in found["cause"]
    assert "target_session_attrs=read-write" in found["fix"]
    with operator.running() as service:
        waiting = service.wait_for_state("waiting")
        assert "standby" in json.dumps(waiting)
        pair.fail_over()
        service.wait_for_state("streaming")
    assert is_primary(pair.standby)
    assert assert_same_documents(source, Sink(pair.standby.dsn(), "postgres"), "things") == 1


def test_libpq_alone_finds_the_primary_among_several_hosts(pair: Pair, source: Source) -> None:
    both = f"127.0.0.1:{pair.primary.port},127.0.0.1:{pair.standby.port}"
    dsn = f"postgresql://postgres:{pair.primary.password}@{both}/postgres?target_session_attrs=read-write"
    source.db.things.insert_one({"_id": 1})
    with replicating(source, pair.sink, postgres_dsn=dsn) as replication:
        replication.catch_up()
        pair.follow()
        pair.fail_over()
        source.db.things.insert_one({"_id": 2})
        replication.catch_up()
    assert assert_same_documents(source, Sink(pair.standby.dsn(), "postgres"), "things") == 2
