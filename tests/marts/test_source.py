"""What a load says of its source: as of when, whether it is whole, and which values did not fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.marts.shop import at, login_as
from tests.support.waiting import wait_until
from warehouse_jobs.marts import DefinitionError, LoadResult, SourceNotReadyError, diff, load, mart_names, read_mart

if TYPE_CHECKING:
    import psycopg

    from tests.marts.shop import Shop

    Connection = psycopg.Connection[tuple[object, ...]]

CONTROL_TABLES = Path(__file__).parents[2] / "sql" / "replicator" / "0001_control_tables.sql"
FINDINGS = CONTROL_TABLES.with_name("0003_schema_findings.sql")
COLLECTIONS = {
    "UserSessions": "user_sessions",
    "EventLogs": "event_logs",
    "SupportTickets": "support_tickets",
    "UserRecommendations": "user_recommendations",
    "ModerationQueue": "moderation_queue",
    "SearchQueries": "search_queries",
    "ProductPriceHistory": "product",
}


@pytest.fixture
def replicated(shop: Shop) -> Shop:
    """The shop with the replicator's own tables, as they are while everything is well."""
    shop.connection.execute("create schema replicator")
    shop.connection.execute(CONTROL_TABLES.read_text().encode())
    for collection, table in COLLECTIONS.items():
        shop.connection.execute(
            "insert into replicator.collection (stream, collection, table_name, state, mapping_hash) "
            "values ('origin', %s, %s, 'streaming', '')",
            [collection, table],
        )
    shop.connection.execute("insert into replicator.checkpoint (stream) values ('origin')")
    checkpoint_at(shop.connection, datetime.now(UTC))
    shop.session("anna", "a1", "2026-03-30 10:00")
    shop.ticket("t1", ("user", "2026-03-30 10:00"))
    return shop


def checkpoint_at(connection: Connection, time: datetime) -> None:
    connection.execute("update replicator.checkpoint set cluster_time = %s", [int(time.timestamp()) << 32])


def loaded(shop: Shop, name: str = "user_activity", *, allow_stale: bool = False) -> LoadResult:
    return load(shop.connection, name, allow_stale=allow_stale)


def test_a_load_knows_the_time_of_its_source(replicated: Shop) -> None:
    time = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    checkpoint_at(replicated.connection, time)
    result = loaded(replicated)
    assert (result.source_time, result.warnings) == (time, ())
    row = replicated.connection.execute("select source_time, streams, warnings, accepted from mart.load_run").fetchone()
    assert row == (time, ["origin"], [], [])


OBSTACLES = [
    (
        "update replicator.collection set state = 'snapshotting' where collection = 'EventLogs'",
        "EventLogs is being read",
    ),
    ("update replicator.collection set state = 'paused' where collection = 'SearchQueries'", "SearchQueries is paused"),
    ("insert into replicator.pause (stream) values ('origin')", "the replication of origin is paused"),
    ("update replicator.checkpoint set converging_until = cluster_time + 1", "origin is converging"),
    ("update replicator.checkpoint set cluster_time = null", "the replication of origin has not begun"),
    ("update replicator.checkpoint set cluster_time = cluster_time - (3700::bigint << 32)", "MART_MAX_LAG is 1:00:00"),
]


@pytest.mark.parametrize(("statement", "told"), OBSTACLES, ids=[told for _, told in OBSTACLES])
def test_half_a_source_is_refused_or_when_asked_warned_about(replicated: Shop, statement: str, told: str) -> None:
    replicated.connection.execute(statement.encode())
    with pytest.raises(SourceNotReadyError, match=told) as caught:
        loaded(replicated)
    assert "--allow-stale" in caught.value.hint
    assert replicated.connection.execute("select count(*) from mart.load_run").fetchone() == (0,)
    assert [warning for warning in loaded(replicated, allow_stale=True).warnings if told in warning]
    assert replicated.connection.execute("select warnings::text from mart.load_run where warnings <> '{}'").fetchone()


def test_what_a_mart_does_not_use_does_not_matter(replicated: Shop) -> None:
    replicated.connection.execute("update replicator.collection set state = 'paused' where table_name = 'product'")
    assert loaded(replicated).warnings == ()
    replicated.connection.execute("update replicator.collection set state = 'paused' where table_name = 'event_logs'")
    assert loaded(replicated, "support_efficiency").warnings == ()


def test_a_child_table_belongs_to_its_collection_and_a_view_to_what_is_behind_it(
    replicated: Shop, tmp_path: Path
) -> None:
    (tmp_path / "counted.yml").write_text(
        "{description: Messages., key: [sender], columns: [{name: sender, type: text, description: Who.}],"
        " children: {support_ticket_messages: support_tickets}}"
    )
    (tmp_path / "counted.sql").write_text("select distinct sender from said where sender is not null")
    replicated.connection.execute("create view public.said as select sender from origin.support_ticket_messages")
    replicated.connection.execute(
        "update replicator.collection set state = 'paused' where table_name <> 'support_tickets'"
    )
    assert load(replicated.connection, "counted", directory=tmp_path).warnings == ()
    replicated.connection.execute("update replicator.collection set state = 'paused'")
    with pytest.raises(SourceNotReadyError, match=r"not ready: SupportTickets is paused$"):
        load(replicated.connection, "counted", directory=tmp_path)


def test_the_source_is_that_of_the_rows_and_not_of_a_moment_later(replicated: Shop, dsn: str, tmp_path: Path) -> None:
    """A commit of the replicator between looking at the source and running the select is in neither."""
    (tmp_path / "users.yml").write_text(
        "{description: Users., key: [user_id], columns: [{name: user_id, type: text, description: Who.}]}"
    )
    # The select waits at the gate while it runs, when the source has been looked at.
    (tmp_path / "users.sql").write_text(
        "select distinct user_id from origin.user_sessions where pg_advisory_lock(42) is not null"
    )
    connection = replicated.connection
    time = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    checkpoint_at(connection, time)
    with ThreadPoolExecutor(1) as pool:
        connection.execute("select pg_advisory_lock(42)")
        loading = pool.submit(load, dsn, "users", directory=tmp_path)
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        wait_until(lambda: connection.execute(waiting).fetchone() == (1,), timeout=20, message="a load at the gate")
        replicated.session("boris", "b1", "2026-03-30 10:00")
        checkpoint_at(connection, time + timedelta(minutes=1))
        connection.execute("select pg_advisory_unlock(42)")
        result = loading.result(timeout=30)
    assert (result.source_time, result.rows) == (time, 1)


def test_a_role_that_cannot_see_the_state_hears_what_to_grant(replicated: Shop, dsn: str) -> None:
    connection = replicated.connection
    role = f"loader_of_{connection.info.dbname}"
    connection.execute(f"create role {role} login password '{role}'")
    try:
        connection.execute(f"grant create, temporary on database {connection.info.dbname} to {role}")
        connection.execute(f"grant usage on schema origin to {role}")
        connection.execute(f"grant select on all tables in schema origin to {role}")
        with pytest.raises(SourceNotReadyError, match="grant usage on schema replicator, select on "):
            load(login_as(dsn, role), "user_activity")
        assert load(login_as(dsn, role), "user_activity", allow_stale=True).source_time is None
    finally:
        connection.execute(f"drop owned by {role} cascade")
        connection.execute(f"drop role {role}")


def finding(shop: Shop, collection: str, path: str, count: int, kind: str = "misfit") -> None:
    if shop.connection.execute("select to_regclass('replicator.schema_finding') is null").fetchone() == (True,):
        shop.connection.execute(FINDINGS.read_text().encode())
    shop.connection.execute(
        "insert into replicator.schema_finding values ('origin', %s, %s, %s, now(), '2026-03-30', %s)",
        [collection, path, kind, count],
    )


def test_misfits_of_columns_that_the_mart_uses_are_warned_about_by_column(replicated: Shop) -> None:
    finding(replicated, "EventLogs", "details.user_id", 12)
    finding(replicated, "EventLogs", "details.ip_address", 5)
    finding(replicated, "SupportTickets", "messages.timestamp", 3)
    (warning,) = loaded(replicated).warnings
    assert warning.startswith(
        "12 values of EventLogs.details.user_id (event_logs.user_id; concerns user_id, days_active"
    )
    assert "orders_cnt" in warning
    assert "sessions_cnt" not in warning
    finding(replicated, "SupportTickets", "messages", 2)
    lines = loaded(replicated, "support_efficiency").warnings
    assert [line.partition(" did not")[0] for line in lines] == [
        "2 values of SupportTickets.messages",
        (
            "3 values of SupportTickets.messages.timestamp (support_ticket_messages.timestamp; "
            "concerns first_message_dt, last_message_dt, avg_response_time_min)"
        ),
    ]


def test_a_column_that_has_no_value_any_more_is_warned_about(replicated: Shop) -> None:
    finding(replicated, "EventLogs", "details.user_id", 900, kind="gone")
    finding(replicated, "EventLogs", "details.nickname", 900, kind="new_field")
    (warning,) = loaded(replicated).warnings
    assert warning.startswith("EventLogs.details.user_id (event_logs.user_id; concerns user_id")
    assert warning.endswith("has no value in any of 900 rows")


def test_dead_letters_of_collections_that_the_mart_uses_are_warned_about(replicated: Shop) -> None:
    for collection in ("EventLogs", "EventLogs", "ProductPriceHistory"):
        replicated.connection.execute(
            "insert into replicator.dead_letter (stream, collection, source_id, operation, error) "
            "values ('origin', %s, gen_random_uuid()::text, 'insert', '')",
            [collection],
        )
    assert loaded(replicated).warnings == (
        "2 documents of EventLogs missing or old: PostgreSQL refused what came last (dead letters)",
    )


def test_a_diff_shows_what_a_load_would_refuse(replicated: Shop) -> None:
    replicated.connection.execute("update replicator.collection set state = 'snapshotting'")
    assert any("is being read" in warning for warning in diff(replicated.connection, "user_activity").summary.warnings)


def test_a_database_without_the_replicator_has_no_source_time(shop: Shop) -> None:
    shop.session("anna", "a1", "2026-03-30 10:00")
    result = load(shop.connection, "user_activity", at("2026-03-31"))
    assert (result.source_time, result.warnings) == (None, ())


@pytest.mark.parametrize("name", mart_names())
def test_the_lineage_names_exactly_the_columns_that_the_select_reads(replicated: Shop, name: str) -> None:
    mart = read_mart(name)
    declared = {source for column in mart.columns for source in column.sources}
    assert all(column.sources for column in mart.columns)
    statement = (
        b"create temporary view probe as "
        + mart.sql.replace("%(as_of)s", "now()").replace("%(timezone)s", "'UTC'").encode()
    )
    replicated.connection.execute(statement)
    read = replicated.connection.execute("""
        select distinct relation.relname || '.' || attribute.attname
        from pg_rewrite as rule
        join pg_depend as depends on depends.objid = rule.oid and depends.refobjid <> rule.ev_class
        join pg_class as relation on relation.oid = depends.refobjid
        join pg_attribute as attribute on attribute.attrelid = relation.oid and attribute.attnum = depends.refobjsubid
        where rule.ev_class = 'pg_temp.probe'::regclass and depends.refclassid = 'pg_class'::regclass
            and attribute.attnum > 0
    """).fetchall()
    assert declared == {str(row[0]) for row in read}


def test_a_select_of_a_missing_table_is_named_before_its_source_is_looked_at(shop: Shop) -> None:
    shop.connection.execute("drop table origin.search_queries")
    with pytest.raises(DefinitionError, match=r"line \d+ of user_activity.sql: relation"):
        load(shop.connection, "user_activity")
