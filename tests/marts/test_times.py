"""Which time a load gets: what nobody asked for is never an error, what somebody asked for is never changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.marts.shop import at
from tests.marts.test_readers import wait_until_blocked
from tests.marts.things import current, set_things, things, versions
from warehouse_jobs.marts import AsOfRefusedError, LoadResult, load, undo

if TYPE_CHECKING:
    Connection = psycopg.Connection[tuple[object, ...]]


def test_four_loads_at_once_without_a_time_all_work(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    with psycopg.connect(dsn) as gate, ThreadPoolExecutor(4) as pool:
        gate.execute("lock table mart.load_run in share mode")
        loads = [pool.submit(load, dsn, things()) for _ in range(4)]
        wait_until_blocked(connection, sessions=4)
        set_things(connection, {"a": ("x", 2)})
        gate.rollback()
        results = [future.result(timeout=60) for future in loads]
    assert not any(result.already_loaded for result in results)
    # The first had begun before the change, and the others see it, and what the first has published.
    assert sorted(result.versioned for result in results) == [0, 0, 0, 1]
    assert len({result.as_of for result in results}) == 4
    assert current(connection) == [("a", "x", 2)]


def test_a_load_that_waited_sees_what_the_one_before_has_published(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    set_things(connection, {"a": ("x", 2)})
    with psycopg.connect(dsn) as gate, ThreadPoolExecutor(2) as pool:
        gate.execute("lock table mart.load_run in share mode")
        loads = [pool.submit(load, dsn, things(), default_as_of=at(f"2026-01-0{day}")) for day in (2, 3)]
        wait_until_blocked(connection, sessions=2)
        gate.rollback()
        results = [future.result(timeout=60) for future in loads]
    assert sum(result.versioned for result in results) == 1
    assert len(versions(connection)) == 2


def test_a_run_that_nobody_gave_a_time_and_that_was_overtaken_is_done(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-05"))
    set_things(connection, {"a": ("x", 2)})
    result: LoadResult = load(dsn, things(), default_as_of=at("2026-01-03"))
    assert (result.already_loaded, result.as_of, result.changed) == (True, at("2026-01-05"), 0)
    assert current(connection) == [("a", "x", 1)]
    with pytest.raises(AsOfRefusedError, match="later than 2026-01-03"):
        load(dsn, things(), at("2026-01-03"))


def test_the_default_is_never_later_than_now(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    result = load(dsn, things(), default_as_of=datetime.now(UTC) + timedelta(days=1))
    assert connection.execute("select %s <= clock_timestamp()", [result.as_of]).fetchone() == (True,)


@pytest.mark.parametrize("seconds", [30, 36 * 365 * 86_400])
def test_a_future_as_of_is_refused_and_blocks_nothing(connection: Connection, dsn: str, seconds: int) -> None:
    set_things(connection, {"a": ("x", 1)})
    with pytest.raises(AsOfRefusedError, match="is in the future") as caught:
        load(dsn, things(), datetime.now(UTC) + timedelta(seconds=seconds))
    assert caught.value.hint
    assert load(dsn, things()).inserted == 1


def test_a_future_load_of_an_earlier_release_is_named_and_can_be_taken_back(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01"))
    set_things(connection, {"a": ("x", 2)})
    load(dsn, things(), at("2026-01-02"))
    for statement in (
        "update mart.things_history set etl_valid_from = '2062-06-04' where etl_valid_from = '2026-01-02'",
        "update mart.things_history set etl_valid_to = '2062-06-04' where etl_valid_to = '2026-01-02'",
        "update mart.load_run set as_of = '2062-06-04' where as_of = '2026-01-02'",
    ):
        connection.execute(statement.encode())
    for as_of in (None, at("2026-01-03")):
        with pytest.raises(AsOfRefusedError, match=r"2062-06-04.* which is still in the future") as caught:
            load(dsn, things(), as_of)
        assert "warehouse marts undo things" in caught.value.hint
    assert undo(dsn, things()).as_of == at("2062-06-04")
    assert load(dsn, things(), at("2026-01-03")).versioned == 1
    assert versions(connection) == [("a", "x", 1, 1, 3), ("a", "x", 2, 3, None)]
