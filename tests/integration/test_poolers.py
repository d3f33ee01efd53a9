"""A PgBouncer between the service and PostgreSQL: session mode works, others are refused before anything is set."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest

from replicator_service.core.errors import ConfigurationError, SinkUnavailable
from replicator_service.sink.connect.connection import connect
from tests.support.load import Load
from tests.support.poolers import pgbouncer, through
from tests.support.processes import Operator, errors_of
from tests.support.replication import assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink, Source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session_pooler(postgres_server: PostgresServer) -> Iterator[int]:
    with pgbouncer(postgres_server, mode="session") as port:
        yield port


@pytest.fixture(scope="module", params=["transaction", "statement"])
def sharing_pooler(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[int]:
    with pgbouncer(postgres_server, mode=request.param) as port:
        yield port


def test_rows_arrive_through_a_pooler_in_session_mode(source: Source, sink: Sink, session_pooler: int) -> None:
    source.db.things.insert_many({"_id": number, "n": 0} for number in range(200))
    with replicating(source, sink, postgres_dsn=through(sink.dsn, session_pooler)) as replication:
        replication.catch_up()
        for turn in range(5):
            source.db.things.update_many({"_id": {"$lt": 100}}, {"$inc": {"n": 1}})
            source.db.things.delete_one({"_id": 100 + turn})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 195


def test_one_of_two_services_leads_through_a_pooler_and_the_other_follows(
    source: Source, sink: Sink, session_pooler: int
) -> None:
    dsn = through(sink.dsn, session_pooler)
    with replicating(source, sink, postgres_dsn=dsn) as first:
        first.catch_up()
        with replicating(source, sink, postgres_dsn=dsn) as second:
            wait_until(lambda: second.health.report().role == "standby", message="the second to stand by")
            first.stop()
            source.db.things.insert_one({"_id": 1})
            second.catch_up()
            assert assert_same_documents(source, sink, "things") == 1


def test_a_pooler_that_dies_and_comes_back_costs_nothing_but_time(
    source: Source, sink: Sink, postgres_server: PostgresServer
) -> None:
    with ExitStack() as lives:
        port = lives.enter_context(pgbouncer(postgres_server, mode="session"))
        dsn = through(sink.dsn, port)
        with Load(source.uri, source.name) as load, replicating(source, sink, postgres_dsn=dsn) as replication:
            load.go_on()
            replication.catch_up()
            lives.close()
            load.go_on()
            lives.enter_context(pgbouncer(postgres_server, mode="session", at=port))
            load.go_on()
            load.stop()
            replication.catch_up()
            assert assert_same_documents(source, sink, "busy") > 0


def test_all_checks_pass_through_a_pooler_in_session_mode(
    source: Source, sink: Sink, session_pooler: int, tmp_path: Path
) -> None:
    findings = operator_of(source, through(sink.dsn, session_pooler), tmp_path).answer("check")["checks"]
    (found,) = [each for each in findings if each["name"] == "session of our own"]
    assert found["level"] == "ok"
    assert "a pooler in between that keeps our session" in found["cause"]


def test_a_pooler_that_shares_sessions_is_refused_by_the_check_and_at_the_start(
    source: Source, sink: Sink, sharing_pooler: int, tmp_path: Path
) -> None:
    operator = operator_of(source, through(sink.dsn, sharing_pooler), tmp_path)
    checked = operator.replicator("check", "--json")
    (found,) = [each for each in json.loads(checked.stdout)["checks"] if each["level"] == "fail"]
    assert checked.exit_code == ConfigurationError.exit_code
    assert found["name"] == "session of our own"
    ended = operator.run_to_its_end()
    (error,) = errors_of(ended.stdout + ended.stderr)
    assert ended.returncode == ConfigurationError.exit_code
    for told in (found["cause"] + found["fix"], error["message"] + error["hint"]):
        assert "shares server sessions" in told
        assert "pool_mode=session" in told
    with sink.connect() as connection:
        assert connection.execute("select to_regnamespace('replicator')").fetchone() == (None,)


def test_the_sessions_of_others_behind_a_pooler_keep_their_settings(
    source: Source, sink: Sink, sharing_pooler: int, tmp_path: Path
) -> None:
    dsn = through(sink.dsn, sharing_pooler)
    # PgBouncer carries the application's name over by itself.
    settings = "select array_agg(name) from pg_settings where source = 'session' and name <> 'application_name'"
    with psycopg.connect(dsn, autocommit=True) as connection:
        before = connection.execute(settings).fetchone()
        operator_of(source, dsn, tmp_path).replicator("check")
        operator_of(source, dsn, tmp_path).run_to_its_end()
        assert connection.execute(settings).fetchone() == before


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_shared_session_is_found_out_however_many_there_are(
    postgres_server: PostgresServer, sink: Sink, size: int
) -> None:
    sizes = {"default_pool_size": str(size), "server_round_robin": "1"}
    with (
        pgbouncer(postgres_server, mode="transaction", options=sizes) as port,
        pytest.raises(ConfigurationError, match="shares server sessions"),
    ):
        connect(through(sink.dsn, port), application_name="test").close()


def test_a_pool_that_is_too_small_is_told_within_seconds(postgres_server: PostgresServer, sink: Sink) -> None:
    with pgbouncer(postgres_server, mode="session", options={"default_pool_size": "1"}) as port:
        dsn = through(sink.dsn, port)
        with psycopg.connect(dsn), pytest.raises(SinkUnavailable, match="does not answer on them") as caught:
            connect(dsn, application_name="test").close()
    assert "default_pool_size" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("?", "?options=-cjit%3Doff&"), "does not take an option"),
        (("postgres:", "nobody:"), "refuses the user name or password"),
    ],
)
def test_what_a_pooler_refuses_is_told(sink: Sink, session_pooler: int, change: tuple[str, str], told: str) -> None:
    dsn = f"{through(sink.dsn, session_pooler)}?connect_timeout=5".replace(*change, 1)
    with pytest.raises(ConfigurationError, match=told):
        connect(dsn, application_name="test").close()


def operator_of(source: Source, dsn: str, directory: Path) -> Operator:
    environ = {
        "REPLICATOR_MONGO_URI": source.uri,
        "REPLICATOR_MONGO_DATABASE": source.name,
        "REPLICATOR_POSTGRES_DSN": dsn,
    }
    return Operator(environ, directory)
