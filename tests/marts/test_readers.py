"""What readers see while a mart is loaded: the state before or the state after, always whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.marts.shop import at
from tests.marts.things import current, set_things, things, with_column
from tests.support.waiting import wait_until
from warehouse_jobs.marts import ServerError, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[tuple[object, ...]]

BEFORE = [("a", "x", 1), ("b", "x", 1), ("c", "x", 1)]
AFTER = [("a", "x", 2), ("b", "x", 2), ("d", "x", 2)]


@pytest.fixture
def reader(connection: Connection, dsn: str) -> Iterator[Connection]:
    """A reader whose repeatable-read snapshot is taken after the first load, and the source has moved on since."""
    set_things(connection, {"a": ("x", 1), "b": ("x", 1), "c": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    with psycopg.connect(dsn) as opened:
        opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        opened.execute("select 1")
        set_things(connection, {"a": ("x", 2), "b": ("x", 2), "d": ("x", 2)})
        yield opened


@pytest.mark.parametrize("reads_before", [True, False])
def test_a_repeatable_reader_keeps_the_mart_of_its_snapshot(
    connection: Connection, reader: Connection, dsn: str, *, reads_before: bool
) -> None:
    if reads_before:
        assert current(reader) == BEFORE
    load(dsn, things(), at("2026-01-02"))
    assert current(reader) == BEFORE
    assert reader.execute("select count(*), count(etl_valid_to) from mart.things_history").fetchone() == (3, 0)
    assert current(connection) == AFTER


def test_a_repeatable_reader_keeps_its_rows_when_the_mart_gets_a_column(
    connection: Connection, reader: Connection, dsn: str
) -> None:
    connection.execute("update things set extra = 'new'")
    wider = things("select id, extra, label, amount from things", columns=_with_extra())
    load(dsn, wider, at("2026-01-02"))
    assert current(reader) == BEFORE
    assert current(connection) == AFTER


def test_nothing_is_seen_before_the_commit_and_everything_after_it(
    connection: Connection, reader: Connection, dsn: str
) -> None:
    reader.rollback()
    with psycopg.connect(dsn) as gate, ThreadPoolExecutor(1) as pool:
        # The record of the load is its last statement: the gate holds it between publishing and committing.
        gate.execute("lock table mart.load_run in share mode")
        loading = pool.submit(load, dsn, things(), at("2026-01-02"))
        wait_until_blocked(connection)
        assert current(connection) == BEFORE
        gate.rollback()
        assert loading.result(timeout=30).inserted == 1
    assert current(connection) == AFTER


def test_two_loads_at_once_queue_up(connection: Connection, reader: Connection, dsn: str) -> None:
    reader.rollback()
    with psycopg.connect(dsn) as gate, ThreadPoolExecutor(2) as pool:
        gate.execute("lock table mart.load_run in share mode")
        loads = [pool.submit(load, dsn, things(), at("2026-01-02")) for _ in range(2)]
        wait_until_blocked(connection, sessions=2)
        gate.rollback()
        results = [future.result(timeout=30) for future in loads]
    assert sorted(result.already_loaded for result in results) == [False, True]
    assert connection.execute("select count(*) from mart.things_history").fetchone() == (6,)


def test_first_loads_of_two_marts_at_once_share_the_new_schema(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    marts = [replace(things(), name=name) for name in ("things", "other_things")]
    with psycopg.connect(dsn) as gate, ThreadPoolExecutor(2) as pool:
        gate.execute("select pg_advisory_xact_lock(hashtextextended('mart schema', 0))")
        loads = [pool.submit(load, dsn, mart, at("2026-01-01")) for mart in marts]
        wait_until_blocked(connection, sessions=2)
        gate.rollback()
        assert [future.result(timeout=30).inserted for future in loads] == [1, 1]


def test_a_new_column_does_not_wait_for_a_reader_for_ever(
    reader: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse_jobs.marts.loader._DDL_LOCK_TIMEOUT", "50ms")
    assert current(reader) == BEFORE
    wider = things("select id, extra, label, amount from things", columns=_with_extra())
    with pytest.raises(ServerError, match="lock timeout"):
        load(dsn, wider, at("2026-01-02"))
    assert current(reader) == BEFORE


def wait_until_blocked(connection: Connection, *, sessions: int = 1) -> None:
    """Wait until so many sessions of this database wait for a lock."""
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    wait_until(lambda: connection.execute(query).fetchone() == (sessions,), timeout=20, message="a load at the gate")


def _with_extra() -> list[object]:
    columns = with_column("extra", "text")
    return [columns[0], columns[3], *columns[1:3]]
