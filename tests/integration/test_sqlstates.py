"""Each SQLSTATE, raised by a real PostgreSQL: who acts, and what the hint says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from replicator_service.core.errors import (
    ConfigurationError,
    Fatal,
    RecordRejected,
    ReplicatorError,
    Retryable,
    TableChanged,
)
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.errors import Forbidden, translated
from replicator_service.sink.sqlstates import MEANINGS, Acts

if TYPE_CHECKING:
    from tests.support.databases import Sink

SECRET_VALUE = "a-value-of-a-row"


def error_of(sink: Sink, *statements: str, step: str = "", table: str = "") -> ReplicatorError:
    """What the last of these statements becomes."""
    *before, last = statements
    with connect(sink.dsn, application_name="test") as connection:
        for each in before:
            connection.execute(each.encode())
        with pytest.raises(ReplicatorError) as caught, translated(step=step, table=table):
            connection.execute(last.encode())
    return caught.value


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", Retryable),
        ("25006", Retryable),
        ("25P03", Retryable),
        ("25P04", Fatal),
        ("40001", Retryable),
        ("40P01", Retryable),
        ("53100", Retryable),
        ("53300", Retryable),
        ("53400", Fatal),
        ("54000", RecordRejected),
        ("55000", Fatal),
        ("55006", Retryable),
        ("55P03", Retryable),
        ("57014", Retryable),
        ("57P01", Retryable),
        ("57P05", Retryable),
        ("58030", Retryable),
        ("XX001", Fatal),
        ("0A000", Fatal),
        ("22P02", RecordRejected),
        ("23505", RecordRejected),
        ("P0001", RecordRejected),
    ],
)
def test_a_code_says_who_acts(sink: Sink, state: str, kind: type[ReplicatorError]) -> None:
    error = error_of(sink, f"do $$ begin raise exception '{SECRET_VALUE}' using errcode = '{state}'; end $$")
    assert isinstance(error, kind), error
    assert not isinstance(error, Retryable) or kind is Retryable
    assert state in error.message
    assert error.hint
    assert SECRET_VALUE not in error.message + error.hint


@pytest.mark.parametrize(
    ("state", "statements"),
    [
        ("42601", ["selec 1"]),
        ("21000", ["select (select n from generate_series(1, 2) as t (n))"]),
        ("25001", ["begin", "vacuum"]),
        ("42883", ["select no_such_function()"]),
        ("26000", ["execute nothing"]),
    ],
)
def test_a_code_that_does_not_pass_is_for_a_person_whatever_its_class(
    sink: Sink, state: str, statements: list[str]
) -> None:
    error = error_of(sink, *statements)
    assert type(error) is Fatal
    assert state in error.message


TABLE = "create table t (_id text primary key, n bigint)"


@pytest.mark.parametrize(
    ("before", "statement"),
    [
        ("select 1", "insert into public.nowhere values (1)"),
        ("select 1", "insert into nowhere.t values (1)"),
        (TABLE, "insert into public.t (_id, m) values ('a', 1)"),
        (
            "create table public.t (_id text)",
            "insert into public.t values ('a') on conflict (_id) do update set _id = excluded._id",
        ),
        ("create table public.t (_id text, n timestamptz)", "insert into public.t select 'a', 1::bigint"),
        ("create view public.t as select 1 as n", "truncate public.t"),
        (
            "create table public.t (_id text, n int generated always as (1) stored)",
            "insert into public.t (_id, n) values ('a', 2)",
        ),
        (
            "create table public.t (_id text primary key deferrable)",
            "insert into public.t values ('a') on conflict (_id) do nothing",
        ),
    ],
)
def test_a_table_that_is_not_what_it_was_is_made_whole_by_the_next_start(
    sink: Sink, before: str, statement: str
) -> None:
    error = error_of(sink, before.replace("create table t ", "create table public.t "), statement)
    assert type(error) is TableChanged, error


def test_a_trigger_that_fails_refuses_the_row_and_not_the_table(sink: Sink) -> None:
    for body in (
        "insert into nowhere values (1)",
        "raise exception using errcode = 'ZX001'",
        "perform no_such_function()",
    ):
        error = error_of(
            sink,
            "drop table if exists public.t, public.audit cascade; create table public.t (_id text primary key)",
            "create table public.audit (n int)",
            "create or replace function public.f() returns trigger language plpgsql as "
            f"$$ begin {body}; return new; end $$",
            "create trigger t before insert on public.t for each row execute function public.f()",
            "insert into public.t values ('a-value-of-a-row')",
        )
        assert type(error) is RecordRejected, error
        assert SECRET_VALUE not in error.message


def test_a_statement_without_a_document_shows_step_message_and_detail(sink: Sink) -> None:
    error = error_of(
        sink,
        "create table public.t (_id text); insert into public.t values ('a'), ('a')",
        "alter table public.t add primary key (_id)",
        step="add what is missing to the table public.t",
    )
    assert isinstance(error, ConfigurationError)
    assert re.search(r"refuses to add what is missing to the table public.t: could not .*Key \(_id\)", error.message)


def test_a_refused_privilege_fills_in_the_table(sink: Sink) -> None:
    with sink.connect() as connection:
        connection.execute("create role nobody_much; create table public.t (n int)")
    try:
        error = error_of(
            sink,
            "set role nobody_much",
            "insert into public.t values (1)",
            step="write",
            table='"public"."t"',
        )
    finally:
        with sink.connect() as connection:
            connection.execute("drop role nobody_much")
    assert isinstance(error, Forbidden)
    assert 'on "public"."t" to' in error.hint


@pytest.mark.needs_postgres("17")
def test_a_limit_that_a_trigger_sets_is_named_and_not_waited_for(sink: Sink) -> None:
    error = error_of(sink, "begin; set local transaction_timeout = '20ms'", "select pg_sleep(1)")
    assert type(error) is Fatal
    assert "transaction_timeout" in error.message


def test_no_hint_destroys_anything() -> None:
    for meaning in MEANINGS.values():
        assert "cascade" not in meaning.hint
        assert "drop schema" not in meaning.hint
        assert meaning.hint, meaning.cause
    assert {meaning.acts for meaning in MEANINGS.values()} == set(Acts)
