"""The rules of the history, and the bugs of famous engines that it must not have."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING

import pytest

from tests.marts.shop import at
from tests.marts.things import current, set_things, things, versions, with_column
from warehouse_jobs.marts import AsOfRefusedError, ValidRows, as_of, load

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from warehouse_jobs.marts import LoadResult

    Connection = psycopg.Connection[tuple[object, ...]]


def january(day: int) -> datetime:
    return at(f"2026-01-{day:02}")


def counts(result: LoadResult) -> tuple[int, int, int, int]:
    return result.inserted, result.versioned, result.closed, result.unchanged


def test_the_first_load_opens_a_version_of_every_row(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": (None, None)})
    result = load(dsn, things(), january(1))
    assert counts(result) == (2, 0, 0, 0)
    assert versions(connection) == [("a", "x", 1, 1, None), ("b", None, None, 1, None)]


def test_only_a_row_that_changed_gets_a_new_version(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2)})
    load(dsn, things(), january(1))
    set_things(connection, {"a": ("x", 1), "b": ("y", 3)})
    result = load(dsn, things(), january(2))
    assert counts(result) == (0, 1, 0, 1)
    assert versions(connection) == [("a", "x", 1, 1, None), ("b", "y", 2, 1, 2), ("b", "y", 3, 2, None)]
    assert current(connection) == [("a", "x", 1), ("b", "y", 3)]


def test_null_to_null_is_no_change(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": (None, None), "b": (None, 1)})
    load(dsn, things(), january(1))
    assert counts(load(dsn, things(), january(2))) == (0, 0, 0, 2)
    assert len(versions(connection)) == 2


def test_null_to_a_value_and_back_are_changes(connection: Connection, dsn: str) -> None:
    for day, label in enumerate((None, "x", None), start=1):
        set_things(connection, {"a": (label, 1)})
        load(dsn, things(), january(day))
    assert versions(connection) == [("a", None, 1, 1, 2), ("a", "x", 1, 2, 3), ("a", None, 1, 3, None)]


def test_the_number_of_decimals_is_no_change(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    columns = with_column("price", "numeric")
    load(dsn, things("select id, label, amount, 2.50 as price from things", columns=columns), january(1))
    again = load(dsn, things("select id, label, amount, 2.5 as price from things", columns=columns), january(2))
    assert counts(again) == (0, 0, 0, 1)


def test_a_key_that_is_gone_is_closed_once(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2)})
    load(dsn, things(), january(1))
    set_things(connection, {"a": ("x", 1)})
    assert counts(load(dsn, things(), january(2))) == (0, 0, 1, 1)
    # A famous engine records the same deletion at every run.
    for day in (3, 4):
        assert counts(load(dsn, things(), january(day))) == (0, 0, 0, 1)
    assert versions(connection) == [("a", "x", 1, 1, None), ("b", "y", 2, 1, 2)]


@pytest.mark.parametrize("amount", [2, 5], ids=["as it was", "changed"])
def test_a_key_that_returns_opens_a_new_version_after_a_gap(connection: Connection, dsn: str, amount: int) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2)})
    load(dsn, things(), january(1))
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), january(2))
    set_things(connection, {"a": ("x", 1), "b": ("y", amount)})
    assert counts(load(dsn, things(), january(5))) == (1, 0, 0, 1)
    assert versions(connection)[1:] == [("b", "y", 2, 1, 2), ("b", "y", amount, 5, None)]


def test_a_source_that_became_empty_closes_everything(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2)})
    load(dsn, things(), january(1))
    set_things(connection, {})
    assert counts(load(dsn, things(), january(2))) == (0, 0, 2, 0)
    assert current(connection) == []


def test_the_same_as_of_twice_changes_nothing(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), january(1))
    # Even where the source has moved on: a version of no duration would come out.
    set_things(connection, {"a": ("x", 2), "b": ("y", 2)})
    result = load(dsn, things(), january(1))
    assert result.already_loaded
    assert counts(result) == (0, 0, 0, 1)
    assert versions(connection) == [("a", "x", 1, 1, None)]
    assert counts(load(dsn, things(), january(2))) == (1, 1, 0, 0)


def test_the_same_as_of_in_another_time_zone_is_the_same(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), at("2026-01-01 00:00+00:00"))
    assert load(dsn, things(), at("2026-01-01 03:00+03:00")).already_loaded


def test_an_older_as_of_than_the_last_load_is_refused(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), january(1))
    # The load of the 3rd changed nothing, and still the 2nd is past.
    load(dsn, things(), january(3))
    set_things(connection, {"a": ("x", 2)})
    with pytest.raises(AsOfRefusedError, match=r"things was already loaded as of 2026-01-03.* later than 2026-01-02"):
        load(dsn, things(), january(2))
    assert versions(connection) == [("a", "x", 1, 1, None)]


def test_marts_have_their_own_as_of(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), january(5))
    assert counts(load(dsn, replace(things(), name="other_things"), january(1))) == (1, 0, 0, 0)


def test_a_new_column_keeps_the_history_and_is_null_in_it(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2)})
    load(dsn, things(), january(1))
    set_things(connection, {"a": ("x", 5), "b": ("y", 2)})
    load(dsn, things(), january(2))
    # Only a has something to say in the new column, so b gets no new version.
    connection.execute("update things set extra = 'new' where id = 'a'")
    wider = things("select id, label, extra, amount from things", columns=_with_extra_in_the_middle())
    assert counts(load(dsn, wider, january(3))) == (0, 1, 0, 1)
    assert versions(connection) == [
        ("a", "x", 1, 1, 2),
        ("a", "x", 5, 2, 3),
        ("a", "x", 5, 3, None),
        ("b", "y", 2, 1, None),
    ]
    extra = connection.execute("select id, extra from mart.things_history order by id, etl_valid_from").fetchall()
    assert extra == [("a", None), ("a", None), ("a", "new"), ("b", None)]
    cursor = connection.execute("select * from mart.things order by id")
    assert [column.name for column in cursor.description or ()] == ["id", "label", "extra", "amount", "etl_valid_from"]
    assert cursor.fetchall() == [("a", "x", "new", 5, january(3)), ("b", "y", None, 2, january(1))]


def test_a_dropped_column_leaves_the_mart_and_stays_in_the_history(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), january(1))
    columns = with_column("amount", "integer")
    assert isinstance(columns, list)
    narrower = things("select id, amount from things", columns=[columns[0], columns[2]])
    assert counts(load(dsn, narrower, january(2))) == (0, 0, 0, 1)
    set_things(connection, {"a": ("x", 2)})
    assert counts(load(dsn, narrower, january(3))) == (0, 1, 0, 0)
    assert versions(connection) == [("a", "x", 1, 1, 3), ("a", None, 2, 3, None)]
    assert connection.execute("select * from mart.things").fetchall() == [("a", 2, january(3))]


def test_an_untracked_column_is_overwritten_without_a_version(connection: Connection, dsn: str) -> None:
    columns = with_column("extra", "text", tracked=False)
    mart = things("select id, label, amount, extra from things", columns=columns)
    set_things(connection, {"a": ("x", 1), "b": ("y", 1)})
    load(dsn, mart, january(1))
    connection.execute("update things set extra = 'seen'")
    connection.execute("update things set label = 'z' where id = 'b'")
    result = load(dsn, mart, january(2))
    assert (result.overwritten, result.versioned, result.unchanged) == (1, 1, 0)
    assert versions(connection) == [("a", "x", 1, 1, None), ("b", "y", 1, 1, 2), ("b", "z", 1, 2, None)]
    rows = connection.execute("select id, extra, etl_valid_from from mart.things order by id").fetchall()
    assert rows == [("a", "seen", january(1)), ("b", "seen", january(2))]


def test_a_key_of_several_columns(connection: Connection, dsn: str) -> None:
    mart = things(key=["id", "label"])
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    load(dsn, mart, january(1))
    set_things(connection, {"a": ("x", 2), "b": ("y", 1)})
    assert counts(load(dsn, mart, january(2))) == (1, 1, 1, 0)
    assert versions(connection) == [
        ("a", "x", 1, 1, 2),
        ("a", "x", 2, 2, None),
        ("b", "x", 1, 1, 2),
        ("b", "y", 1, 2, None),
    ]


def test_a_mart_of_keys_alone(connection: Connection, dsn: str) -> None:
    mart = things("select id from things", columns=with_column("unused", "text")[:1])
    set_things(connection, {"a": ("x", 1)})
    assert counts(load(dsn, mart, january(1))) == (1, 0, 0, 0)
    set_things(connection, {"b": ("x", 1)})
    assert counts(load(dsn, mart, january(2))) == (1, 0, 1, 0)


def test_rows_valid_at_a_time_take_the_beginning_and_not_the_end(connection: Connection, dsn: str) -> None:
    for day, amount in ((1, 10), (3, 30)):
        set_things(connection, {"a": ("x", amount)})
        load(dsn, things(), january(day))
    set_things(connection, {})
    load(dsn, things(), january(5))
    amounts = {
        time: [row[2] for row in as_of(dsn, things(), at(time)).rows]
        for time in (
            "2025-12-31 23:59:59.999999",
            "2026-01-01 00:00",
            "2026-01-02 23:59:59.999999",
            "2026-01-03 00:00",
            "2026-01-05 00:00",
        )
    }
    assert list(amounts.values()) == [[], [10], [10], [30], []]
    assert as_of(dsn, things(), january(1)) == ValidRows(
        mart="things",
        at=january(1),
        columns=("id", "label", "amount", "etl_valid_from", "etl_valid_to"),
        rows=(("a", "x", 10, january(1), january(3)),),
    )


def test_every_load_is_recorded(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    results = [load(dsn, things(), january(day)) for day in (1, 2, 2)]
    query = """
        select mart, as_of, rows, inserted, versioned, closed, overwritten, unchanged
        from mart.load_run
        order by as_of
    """
    assert connection.execute(query).fetchall() == [astuple(result)[:8] for result in results[:2]]


def _with_extra_in_the_middle() -> list[object]:
    columns = with_column("extra", "text")
    return [*columns[:2], columns[3], columns[2]]
