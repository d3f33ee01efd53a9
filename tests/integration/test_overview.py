"""What PostgreSQL tells of a stream: reasons of dead letters, what a reconciliation left, the marts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from replicator_service.core.overview import Attempt, DatabaseView, DifferenceGroup
from replicator_service.core.reconciliation import Difference, DifferenceKind, PartResult
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.overview.dead_letter_groups import DEAD_LETTERS, GROUPS
from replicator_service.sink.overview.failures import FailureRecord, record_failure
from replicator_service.sink.overview.stream import read_overview
from replicator_service.sink.reconcile.reconciliation import finish_run, record_part, start_run
from replicator_service.source.connect.connection import connect as connect_source
from replicator_service.source.read.oplog import oplog_start
from tests.marts.things import set_things, things
from warehouse_jobs.marts import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.connect.connection import Connection
    from tests.support.databases import Sink, Source

DAY = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def connection(sink: Sink) -> Iterator[Connection]:
    """A database with the control tables."""
    with connect(sink.dsn, application_name="test") as opened:
        migrate(opened)
        yield opened


def overview(connection: Connection) -> DatabaseView:
    return read_overview(connection, "shop", "shop")


def add_dead_letters(connection: Connection, collection: str, errors: list[str], stream: str = "shop") -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into replicator.dead_letter (stream, collection, source_id, operation, error) "
            "values (%s, %s, %s, 'insert', %s)",
            [(stream, collection, str(number), error) for number, error in enumerate(errors)],
        )


def groups(connection: Connection) -> list[tuple[str, str, int]]:
    return [(each.collection, each.reason, each.count) for each in overview(connection).dead_letter_groups]


def test_the_number_of_rows_survives_the_loss_of_the_statistics_in_a_crash(connection: Connection) -> None:
    def rows() -> int | None:
        connection.execute("select pg_stat_force_next_flush()")
        connection.execute("select")
        return overview(connection).collections["Orders"].rows

    connection.execute(
        "insert into replicator.collection (stream, collection, table_name, state, mapping_hash) "
        "values ('shop', 'Orders', 'orders', 'streaming', '')"
    )
    connection.execute("create schema shop")
    connection.execute("create table shop.orders as select generate_series(1, 100) as _id")
    assert rows() == 100
    connection.execute("analyze shop.orders")
    connection.execute("select pg_stat_reset_single_table_counters('shop.orders'::regclass)")
    connection.execute("insert into shop.orders values (101), (102)")
    assert rows() == 100
    connection.execute("delete from shop.orders where _id > 40")
    assert rows() == 38


def test_dead_letters_are_grouped_by_what_is_wrong_and_not_by_the_numbers_in_it(connection: Connection) -> None:
    sizes = [
        f'index row size {size} exceeds maximum 2704 for index "by_2_names" (SQLSTATE 54000)' for size in (2712, 99)
    ]
    add_dead_letters(connection, "Orders", [f"PostgreSQL refuses the row: {each}" for each in sizes])
    add_dead_letters(connection, "Carts", ["x" * 1_000, *["no total (SQLSTATE 23514)"] * 3])
    add_dead_letters(connection, "Orders", ["of another stream"], stream="other")
    assert groups(connection) == [
        ("Carts", "no total (SQLSTATE 23514)", 3),
        ("Orders", 'index row size … exceeds maximum … for index "by_2_names" (SQLSTATE 54000)', 2),
        ("Carts", "x" * 200, 1),
    ]
    seen = overview(connection)
    assert seen.dead_letters == 6
    assert abs(seen.dead_letter_groups[0].latest - datetime.now(UTC)) < timedelta(minutes=1)


def test_however_many_letters_there_are_few_groups_of_the_latest_are_read(connection: Connection) -> None:
    add_dead_letters(connection, "Orders", ["old"] * 300)
    add_dead_letters(
        connection, "Orders", [f"reason {'abcdefghijklmnopqrstuvwxyz'[at % 26]}" for at in range(DEAD_LETTERS)]
    )
    found = groups(connection)
    assert len(found) == GROUPS
    assert "old" not in {reason for _, reason, _ in found}
    assert overview(connection).dead_letters == DEAD_LETTERS + 300


def reconcile(connection: Connection, name: str | None, *found: Difference, error: str | None = None) -> int:
    """Record a run as the reconciliation does."""
    run = start_run(connection, "shop", None if name is None else [name], repair=False, deep=False)
    repaired = sum(each.repaired for each in found)
    part = PartResult(name or "Orders", name or "Orders", 1, 1_000, len(found), repaired)
    record_part(connection, run, part, {name or "Orders": found})
    finish_run(connection, run, error=error)
    return run


def difference(key: str, kind: DifferenceKind, detail: str = "", *, repaired: bool = False) -> Difference:
    return Difference(key, kind, detail, repaired=repaired)


def test_what_a_reconciliation_left_is_told_by_collection_and_kind(connection: Connection) -> None:
    assert overview(connection).last_reconciliation is None
    reconcile(connection, None, difference("1", DifferenceKind.MISSING))
    reconcile(
        connection,
        None,
        difference("1", DifferenceKind.MISSING),
        difference("2", DifferenceKind.MISSING),
        difference("3", DifferenceKind.DIFFERENT, "total", repaired=True),
        difference("4", DifferenceKind.MISSING, "dead letter"),
    )
    reconcile(connection, "Carts", difference("9", DifferenceKind.UNEXPECTED))
    last = overview(connection).last_reconciliation
    assert last is not None
    assert (last.documents, last.differences, last.repaired, last.outstanding) == (2_000, 5, 1, 4)
    assert last.groups == (
        DifferenceGroup("Orders", DifferenceKind.MISSING, 2),
        DifferenceGroup("Carts", DifferenceKind.UNEXPECTED, 1),
        DifferenceGroup("Orders", DifferenceKind.MISSING, 1, are_dead_letters=True),
    )
    assert not last.are_dead_letters


def register(connection: Connection, *names: str) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into replicator.collection (stream, collection, table_name, state, mapping_hash) "
            "values ('shop', %s, %s, 'streaming', '')",
            [(name, name.lower()) for name in names],
        )


def test_a_comparison_of_one_collection_is_a_partial_one_and_proves_nothing_of_the_others(
    connection: Connection,
) -> None:
    register(connection, "Orders", "Carts", "Users")
    connection.execute("update replicator.collection set updated_at = now() - interval '3 days'")
    reconcile(connection, "Carts")
    last = overview(connection).last_reconciliation
    assert last is not None
    assert (last.compared, last.collections, last.is_partial) == (1, 3, True)
    assert datetime.now(UTC) - last.stale_since > timedelta(days=2)
    for name in ("Orders", "Users"):
        reconcile(connection, name)
    last = overview(connection).last_reconciliation
    assert last is not None
    assert (last.compared, last.is_partial) == (3, False)
    assert datetime.now(UTC) - last.stale_since < timedelta(minutes=1)


def test_what_a_whole_comparison_left_out_is_not_compared(connection: Connection) -> None:
    register(connection, "Orders", "Carts", "Users")
    run = start_run(connection, "shop", None, repair=False, deep=False)
    record_part(connection, run, PartResult("Users", "Users", skipped="paused: see there"), {})
    record_part(connection, run, PartResult("Carts to Orders", None, 1, 9, skipped="Carts: paused: see there"), {})
    finish_run(connection, run, error=None)
    last = overview(connection).last_reconciliation
    assert last is not None
    assert (last.compared, last.collections, last.documents) == (1, 3, 9)


def test_differences_of_collections_that_share_a_part_are_replaced_one_by_one(connection: Connection) -> None:
    register(connection, "Orders", "Carts")
    run = start_run(connection, "shop", None, repair=False, deep=False)
    found = {name: [difference("1", DifferenceKind.MISSING)] for name in ("Carts", "Orders")}
    record_part(connection, run, PartResult("Carts to Orders", None, 1, 9, 2), found)
    finish_run(connection, run, error=None)
    reconcile(connection, "Orders")
    last = overview(connection).last_reconciliation
    assert last is not None
    assert (last.compared, last.outstanding) == (2, 1)
    assert last.groups == (DifferenceGroup("Carts", DifferenceKind.MISSING, 1),)


def test_a_collection_that_was_compared_again_counts_once(connection: Connection) -> None:
    register(connection, "Orders")
    reconcile(connection, None, difference("1", DifferenceKind.MISSING))
    reconcile(connection, "Orders", difference("1", DifferenceKind.MISSING, repaired=True))
    last = overview(connection).last_reconciliation
    assert last is not None
    assert (last.outstanding, last.groups) == (0, ())


def test_a_failure_is_over_once_the_checkpoint_has_moved(connection: Connection) -> None:
    assert overview(connection).failure is None
    record_failure(connection, "shop", "host-1, process 7", FailureRecord("the data are damaged", "Restore it.", 5))
    failure = overview(connection).failure
    assert failure is not None
    assert (failure.instance, failure.cause, failure.exit_code) == ("host-1, process 7", "the data are damaged", 5)
    connection.execute(
        "insert into replicator.checkpoint (stream, cluster_time, updated_at) values ('shop', 1, now() - interval '1h')"
    )
    assert overview(connection).failure == failure
    connection.execute("update replicator.checkpoint set updated_at = now()")
    assert overview(connection).failure is None


def test_a_request_that_failed_is_told_until_it_was_asked_for_again(connection: Connection) -> None:
    add = (
        "insert into replicator.request (stream, kind, collection, handled_at, error) "
        "values ('shop', 'resync', 'Orders', now(), %s)"
    )
    connection.execute(add, ("there is no collection Orders",))
    assert [each.error for each in overview(connection).failed_requests] == ["there is no collection Orders"]
    connection.execute(add, (None,))
    assert overview(connection).failed_requests == ()


def test_an_attempt_after_the_last_reconciliation_is_told_until_it_ends_well(connection: Connection) -> None:
    reconcile(connection, None)
    assert overview(connection).reconciliation_attempt is None
    running = start_run(connection, "shop", None, repair=False, deep=False)
    attempt = overview(connection).reconciliation_attempt
    assert attempt == Attempt(attempt.started_at, None) if attempt else False
    finish_run(connection, running, error="a part failed")
    attempt = overview(connection).reconciliation_attempt
    assert attempt is not None
    assert attempt.error == "a part failed"
    reconcile(connection, None)
    assert overview(connection).reconciliation_attempt is None


def test_the_last_load_of_each_mart_is_told(connection: Connection, sink: Sink) -> None:
    assert overview(connection).marts == ()
    with psycopg.connect(sink.dsn, autocommit=True) as shop:
        for day, amount in ((1, 10), (2, 11)):
            set_things(shop, {"a": ("x", amount), "b": ("y", 1)})
            load(sink.dsn, things(), DAY + timedelta(days=day))
    (mart,) = overview(connection).marts
    assert (mart.name, mart.as_of, mart.rows) == ("things", DAY + timedelta(days=2), 2)
    assert (mart.inserted, mart.versioned, mart.closed) == (0, 1, 0)


def test_each_service_tells_of_the_marts_that_use_its_tables(connection: Connection, sink: Sink) -> None:
    with psycopg.connect(sink.dsn, autocommit=True) as shop:
        set_things(shop, {"a": ("x", 1)})
        load(sink.dsn, things(), DAY)
        shop.execute("update mart.load_run set streams = '{elsewhere}', source_time = '2026-01-01 00:00:00+00'")
        assert overview(connection).marts == ()
        shop.execute("update mart.load_run set streams = '{elsewhere,shop}', warnings = '{odd}'")
        (mart,) = overview(connection).marts
        assert (mart.source_time, mart.warnings) == (datetime(2026, 1, 1, tzinfo=UTC), ("odd",))
        shop.execute("alter table mart.load_run drop column streams, drop column source_time, drop column warnings")
        assert [mart.warnings for mart in overview(connection).marts] == [()]


def test_odd_or_locked_marts_hide_nothing_else(connection: Connection, sink: Sink) -> None:
    with psycopg.connect(sink.dsn, autocommit=True) as shop:
        set_things(shop, {"a": ("x", 1)})
        load(sink.dsn, things(), DAY)
        shop.execute("update mart.load_run set as_of = 'infinity'")
        assert overview(connection).marts == ()
        shop.execute("update mart.load_run set as_of = '2026-01-01', seconds = 'nan'")
        assert overview(connection).marts == ()
        with shop.transaction():
            shop.execute("lock table mart.load_run in access exclusive mode")
            connection.execute("set lock_timeout = '50ms'")
            assert overview(connection).marts == ()


@pytest.mark.parametrize(
    "statements",
    [
        ("grant select on mart.load_run to watcher",),
        ("grant usage on schema mart to watcher",),
        (
            "grant usage on schema mart to watcher",
            "drop table mart.load_run",
            "create table mart.load_run (mart text)",
            "grant select on mart.load_run to watcher",
        ),
        ("drop schema mart cascade",),
    ],
)
def test_marts_that_may_not_be_read_are_nothing_rather_than_an_error(
    connection: Connection, sink: Sink, statements: tuple[str, ...]
) -> None:
    with psycopg.connect(sink.dsn, autocommit=True) as owner:
        owner.execute("do $$ begin create role watcher; exception when duplicate_object then null; end $$")
        owner.execute("grant usage on schema replicator to watcher")
        owner.execute("grant select on all tables in schema replicator to watcher")
        set_things(owner, {"a": ("x", 1)})
        load(sink.dsn, things(), DAY)
        for each in statements:
            owner.execute(each)
    connection.execute("set role watcher")
    assert overview(connection).marts == ()
    assert overview(connection).is_installed


def test_the_oplog_of_a_new_replica_set_has_discarded_nothing(source: Source) -> None:
    client = connect_source(source.uri)
    try:
        oldest, is_whole = oplog_start(client)
    finally:
        client.close()
    assert oldest is not None
    assert is_whole
