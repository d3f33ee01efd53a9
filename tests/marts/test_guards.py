"""Checks of what a load would change: masses that go or turn null, at every size, and how they are let through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.marts.shop import at
from tests.marts.things import current, set_things, things
from warehouse_jobs.marts import ChecksFailedError, SettingsError, load, read_mart, require_known

if TYPE_CHECKING:
    import psycopg

    from tests.marts.shop import Shop

    Connection = psycopg.Connection[tuple[object, ...]]

FIRST, SECOND, THIRD = at("2026-03-31 12:00"), at("2026-04-01 12:00"), at("2026-04-02 12:00")


@pytest.mark.parametrize("size", [1, 3, 40, 1001])
def test_a_mass_that_goes_is_refused_at_every_size_and_let_through_once(
    connection: Connection, dsn: str, size: int
) -> None:
    guarded = things(checks=[{"mass_close": {"max_share": 0.5}}])
    set_things(connection, {f"{number}": ("x", 1) for number in range(size)})
    load(dsn, guarded, FIRST)
    left = max(0, (size - 1) // 2)
    set_things(connection, {f"{number}": ("x", 1) for number in range(left)})
    message = rf"mass_close\(0.5\): {size - left} of {size} keys are gone"
    with pytest.raises(ChecksFailedError, match=message) as caught:
        load(dsn, guarded, SECOND)
    assert "--accept" in caught.value.hint
    assert len(current(connection)) == size
    assert load(dsn, guarded, SECOND, accept=["mass_close"]).closed == size - left
    assert connection.execute("select accepted from mart.load_run where as_of = %s", [SECOND]).fetchone() == (
        ["mass_close(0.5)"],
    )
    # Once: the next mass is asked about again.
    set_things(connection, {})
    if left:
        with pytest.raises(ChecksFailedError, match="mass_close"):
            load(dsn, guarded, THIRD)


def test_half_of_the_keys_may_go(connection: Connection, dsn: str) -> None:
    guarded = things(checks=[{"mass_close": {"max_share": 0.5}}])
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    load(dsn, guarded, FIRST)
    set_things(connection, {"a": ("x", 1)})
    assert load(dsn, guarded, SECOND).closed == 1


def test_a_column_that_turns_null_is_refused_by_name(connection: Connection, dsn: str) -> None:
    guarded = things(checks=[{"turned_null": {"max_share": 0.5, "columns": ["label", "amount"]}}])
    set_things(connection, {"a": ("x", 1), "b": ("x", 1), "c": ("x", None), "d": (None, None), "e": ("x", 1)})
    load(dsn, guarded, FIRST)
    # b goes, which is another matter: of a, c and e, who had a label and stay, two have none now.
    set_things(connection, {"a": (None, 1), "c": (None, None), "d": (None, None), "e": ("x", 1)})
    with pytest.raises(ChecksFailedError, match=r"1 of 4 data .*turned_null\(label\): 2 of 3 values turned null"):
        load(dsn, guarded, SECOND)
    with pytest.raises(ChecksFailedError, match=r"turned_null\(label\)"):
        load(dsn, guarded, SECOND, accept=["turned_null(amount)", "mass_close"])
    assert load(dsn, guarded, SECOND, accept=["turned_null(label)"]).versioned == 2


def test_a_soundness_of_the_key_is_never_let_through(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    with pytest.raises(ChecksFailedError, match=r"unique\(id\)"):
        load(dsn, things("select 'a' as id, label, amount from things"), FIRST, accept=["unique", "unique(id)"])


def test_a_warning_publishes_and_says_how_many(connection: Connection, dsn: str) -> None:
    mart = things(checks=[{"warning": {"name": "amounts are known", "sql": "amount is not null"}}])
    set_things(connection, {"a": ("x", None), "b": ("x", 1)})
    assert load(dsn, mart, FIRST).warnings == ("warning(amounts are known): 1 row",)
    assert connection.execute("select warnings from mart.load_run").fetchone() == (
        ["warning(amounts are known): 1 row"],
    )


def test_a_name_that_is_no_check_is_refused_with_the_one_that_was_meant() -> None:
    mart = read_mart("user_activity")
    require_known(["mass_close", "turned_null(avg_pages_visited)"], [mart])
    with pytest.raises(SettingsError, match="'mass_closed' is no check") as caught:
        require_known(["mass_closed"], [mart])
    assert "Did you mean mass_close?" in caught.value.hint


def test_a_field_that_is_renamed_at_the_source_is_refused(shop: Shop, dsn: str) -> None:
    for number in range(30):
        shop.event(f"user{number}", "2026-03-30 10:00", "order_placed")
    for number in range(20, 30):
        shop.session(f"user{number}", f"s{number}", "2026-03-30 10:00")
    load(dsn, "user_activity", FIRST)
    # $rename of details.user_id: 20 users are seen nowhere else any more.
    shop.connection.execute('update origin.event_logs set user_id = null, _extra = \'{"details": {"uid": 1}}\'')
    with pytest.raises(ChecksFailedError, match=r"mass_close\(0.5\): 20 of 30 keys are gone"):
        load(dsn, "user_activity", SECOND)
    accepted = load(dsn, "user_activity", SECOND, accept=["mass_close"])
    assert accepted.warnings == ("turned_zero(orders_cnt): 10 of 10 values fell to 0",)
