"""A diff tells what a load would do, and does nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.marts.shop import at
from tests.marts.things import set_things, things, versions, with_column
from warehouse_jobs.marts import AsOfRefusedError, Change, ChangeKind, diff, load

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

FIRST, SECOND = at("2026-01-01"), at("2026-01-02")


def test_a_diff_before_the_first_load_creates_nothing(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    result = diff(dsn, things(), FIRST)
    assert result.summary.inserted == 1
    assert result.changes == (Change(ChangeKind.INSERTED, ("a",), (("label", None, "x"), ("amount", None, 1))),)
    assert connection.execute("select to_regnamespace('mart')").fetchone() == (None,)


def test_a_diff_names_every_change_and_the_load_after_it_makes_them(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2), "c": ("z", 3)})
    load(dsn, things(), FIRST)
    before = versions(connection)
    set_things(connection, {"b": ("y", 5), "c": ("z", 3), "d": (None, 4)})
    result = diff(dsn, things(), SECOND)
    assert result.changes == (
        Change(ChangeKind.CLOSED, ("a",), (("label", "x", None), ("amount", 1, None))),
        Change(ChangeKind.VERSIONED, ("b",), (("amount", 2, 5),)),
        Change(ChangeKind.INSERTED, ("d",), (("amount", None, 4),)),
    )
    assert versions(connection) == before
    assert replace(load(dsn, things(), SECOND), seconds=0) == replace(result.summary, seconds=0)


def test_only_so_many_changes_are_shown_as_were_asked_for(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("y", 2)})
    result = diff(dsn, things(), FIRST, limit=1)
    assert (result.summary.inserted, [change.key for change in result.changes]) == (2, [("a",)])


def test_a_diff_takes_a_column_that_is_not_there_yet_for_null(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    load(dsn, things(), FIRST)
    connection.execute("update things set extra = 'new' where id = 'b'")
    wider = things("select id, label, amount, extra from things", columns=with_column("extra", "text"))
    assert diff(dsn, wider, SECOND).changes == (Change(ChangeKind.VERSIONED, ("b",), (("extra", None, "new"),)),)


def test_failed_checks_are_shown_beside_the_changes(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": (None, 1)})
    result = diff(dsn, things(checks=[{"not_null": ["label"]}]), FIRST)
    assert [check.name for check in result.summary.failed_checks] == ["not_null(label)"]
    assert result.summary.inserted == 1


def test_without_a_sound_key_there_is_nothing_to_compare(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    result = diff(dsn, things("select 'a' as id, label, amount from things"), FIRST)
    assert [check.name for check in result.summary.failed_checks] == ["unique(id)"]
    assert result.changes == ()


def test_a_diff_follows_the_rules_of_as_of(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), SECOND)
    set_things(connection, {"a": ("x", 2)})
    assert diff(dsn, things(), SECOND).summary.already_loaded
    with pytest.raises(AsOfRefusedError):
        diff(dsn, things(), FIRST)
