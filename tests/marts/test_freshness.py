"""``mart.freshness``: what an analyst is told of tables and marts, without rights on those of the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from replicator_service.core.events import Operation
from tests.marts.shop import at, login_as
from tests.support.shop_sink import ShopSink, shop_sink
from warehouse_jobs.marts import install, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink

    Connection = psycopg.Connection[tuple[object, ...]]

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


replicated = pytest.mark.usefixtures("written")


@pytest.fixture
def written(sink: Sink) -> Iterator[ShopSink]:
    with shop_sink(sink) as opened:
        opened.commit(opened.put("EventLogs", {"_id": 1, "details": {"user_id": "a"}}, Operation.INSERT))
        with sink.connect() as connection:
            connection.execute("update replicator.checkpoint set cluster_time = %s", [int(AT.timestamp()) << 32])
        yield opened


def fresh(connection: Connection, table: str, *columns: str) -> tuple[Any, ...]:
    connection.execute("set timezone = 'UTC'")
    (row,) = connection.execute("select * from mart.freshness where table_name = %s", [table]).fetchall()
    names = ("kind", "stream", "table_name", "state", "as_of", "lag", "last_proof", "refused_documents")
    found = dict(zip(names, row, strict=True))
    return tuple(found[name] for name in columns)


@replicated
def test_a_replicated_table_says_what_it_shows(connection: Connection, dsn: str) -> None:
    install(dsn)

    told = fresh(connection, "event_logs", "kind", "stream", "state", "as_of", "last_proof", "refused_documents")
    assert told == ("replicated", "origin", "streaming", AT, None, 0)
    (lag,) = fresh(connection, "support_ticket_messages", "lag")
    assert abs(datetime.now(UTC) - AT - lag) < timedelta(minutes=1)


@replicated
@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("insert into replicator.pause (stream) values ('origin')", "paused"),
        ("update replicator.collection set state = 'snapshotting'", "snapshotting"),
        ("update replicator.checkpoint set converging_until = cluster_time + 1", "converging"),
    ],
)
def test_what_keeps_it_from_being_exact_is_its_state(
    connection: Connection, dsn: str, statement: str, state: str
) -> None:
    install(dsn)
    connection.execute(statement.encode())

    assert fresh(connection, "event_logs", "state") == (state,)


RUN = "insert into replicator.reconciliation_run (stream, state, finished_at, collection, parts) "


@replicated
@pytest.mark.parametrize(
    ("collection", "parts", "is_proof"),
    [
        (None, "{}", True),
        ("UserSessions, EventLogs", "{}", True),
        ("UserSessions", "{}", False),
        (None, '{"EventLogs": {"collection": "EventLogs", "skipped": "it is paused"}}', False),
        (None, '{"small": {"collection": null, "skipped": "EventLogs: it is paused"}}', False),
        (None, '{"small": {"collection": null, "skipped": "UserSessions: it is paused"}}', True),
    ],
)
def test_a_proof_is_a_comparison_of_this_table_after_which_nothing_differs(
    connection: Connection, dsn: str, collection: str | None, parts: str, *, is_proof: bool
) -> None:
    install(dsn)
    connection.execute(RUN + "values ('origin', 'finished', %s, %s, %s)", [AT, collection, parts])

    assert fresh(connection, "event_logs", "last_proof") == (AT if is_proof else None,)


@replicated
def test_a_difference_that_remains_is_no_proof(connection: Connection, dsn: str) -> None:
    install(dsn)
    connection.execute(RUN + "values ('origin', 'finished', %s, null, '{}')", [AT])
    connection.execute(
        "insert into replicator.reconciliation_difference (run_id, collection, source_id, kind) "
        "select id, 'EventLogs', 'x', 'missing' from replicator.reconciliation_run"
    )
    assert fresh(connection, "event_logs", "last_proof") == (None,)
    assert fresh(connection, "user_sessions", "last_proof") == (AT,)


@replicated
def test_refused_documents_are_counted(connection: Connection, dsn: str) -> None:
    install(dsn)
    connection.execute(
        "insert into replicator.dead_letter (stream, collection, source_id, operation, error) "
        "values ('origin', 'EventLogs', '1', 'insert', 'x'), ('origin', 'EventLogs', '1', 'insert', 'y')"
    )
    assert fresh(connection, "event_logs", "refused_documents") == (1,)


@replicated
def test_a_mart_says_of_when_its_source_was_and_when_all_of_it_was_computed(connection: Connection, dsn: str) -> None:
    install(dsn)
    load(dsn, "user_activity", at("2026-06-01"), max_lag=None)

    kind, state, as_of, proof = fresh(connection, "user_activity", "kind", "state", "as_of", "last_proof")
    assert (kind, state, as_of) == ("mart", "loaded", AT)
    assert proof is not None


@replicated
def test_an_analyst_reads_it_without_rights_on_the_replicator(connection: Connection, dsn: str) -> None:
    install(dsn)
    connection.execute("drop role if exists reading; create role reading login password 'reading'")
    try:
        connection.execute("grant usage on schema mart to reading; grant select on mart.freshness to reading")
        with psycopg.connect(login_as(dsn, "reading"), autocommit=True) as analyst:
            assert fresh(analyst, "event_logs", "state") == ("streaming",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                analyst.execute("select from replicator.checkpoint")
    finally:
        connection.execute("drop owned by reading; drop role reading")


@replicated
def test_a_release_that_says_more_replaces_it_and_no_migration_is_in_its_way(connection: Connection, dsn: str) -> None:
    install(dsn)
    connection.execute(
        "create or replace function mart.freshness_now() returns table (kind text, stream text, table_name text, "
        "state text, as_of timestamptz, lag interval, last_proof timestamptz, refused_documents bigint) "
        "language sql as 'select null, null, null, null, null::timestamptz, null::interval, null::timestamptz, 0'"
    )
    install(dsn)
    assert fresh(connection, "event_logs", "state") == ("streaming",)
    connection.execute("alter table replicator.dead_letter alter source_id type varchar")
    connection.execute("alter schema replicator rename to replicator_before")


def test_without_a_replicator_there_is_none(connection: Connection, dsn: str) -> None:
    assert install(dsn).warning == ""
    assert connection.execute("select to_regclass('mart.freshness')").fetchall() == [(None,)]
