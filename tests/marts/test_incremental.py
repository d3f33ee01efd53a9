"""Incremental loads: they compute what changed, publish what a full load would, and are full where they must be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from replicator_service.core.events import Operation
from tests.marts.shop import at, login_as
from tests.support.shop_sink import ShopSink, shop_sink
from warehouse_jobs.marts import ChecksFailedError, LoadResult, load, read_mart, staging, undo
from warehouse_jobs.marts.checks import Unique
from warehouse_jobs.marts.results import CheckOutcome, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink

    Connection = psycopg.Connection[tuple[object, ...]]

TICK = timedelta(seconds=1)


class Loads:
    """Loads of one mart after each other, each compared with the whole select."""

    def __init__(self, dsn: str, mart: str = "user_activity", start: str = "2026-05-01") -> None:
        self._dsn = dsn
        self.mart = read_mart(mart)
        self.as_of = at(start)

    def load(self, *, later: timedelta = TICK, is_compared: bool = True, **options: Any) -> LoadResult:
        self.as_of += later
        result = load(self._dsn, self.mart, self.as_of, **{"max_lag": None} | options)
        if is_compared:
            assert self.published() == self.whole()
        return result

    def published(self) -> list[tuple[object, ...]]:
        names = sql.SQL(", ").join(map(sql.Identifier, self.mart.column_names))
        with psycopg.connect(self._dsn) as connection:
            connection.execute("set timezone = 'UTC'")
            query = sql.SQL("select {} from {} order by 1").format(names, sql.Identifier("mart", self.mart.name))
            return connection.execute(query).fetchall()

    def whole(self) -> list[tuple[object, ...]]:
        with psycopg.connect(self._dsn) as connection:
            cursor = connection.cursor()
            cursor.execute("set local timezone = 'UTC'")
            staging.prepare_select(cursor, self.mart, self.mart.sql, self.as_of, "UTC")
            return cursor.execute("select * from pg_temp.mart_select order by 1").fetchall()


@pytest.fixture
def written(sink: Sink) -> Iterator[ShopSink]:
    with shop_sink(sink) as opened:
        yield opened


@pytest.fixture
def loads(written: ShopSink, dsn: str) -> Loads:
    """Users a, b and c with an event each, and a mart of which the journal is kept."""
    written.commit(*(written.put("EventLogs", event(n, user), Operation.INSERT) for n, user in enumerate("abc")))
    loads = Loads(dsn)
    assert loads.load().reason == "the first load"
    written.keep_watches()
    assert loads.load().reason == "the journal of changed keys does not begin at the last load"
    return loads


def event(number: int, user: str | None, time: str = "2026-04-20", kind: str = "login") -> dict[str, Any]:
    return {"_id": number, "timestamp": at(time), "event_type": kind, "details": {"user_id": user}}


def ticket(number: int, name: str, *messages: tuple[str, str], user: str = "a") -> dict[str, Any]:
    told = [{"sender": sender, "timestamp": at(time), "message": ""} for sender, time in messages]
    return {"_id": number, "ticket_id": name, "user_id": user, "status": "open", "messages": told}


def test_only_keys_that_changed_are_computed(loads: Loads, written: ShopSink) -> None:
    written.commit(written.put("EventLogs", event(1, "b", kind="order_placed")))

    result = loads.load()

    assert (result.mode, result.computed, result.versioned, result.unchanged) == (Mode.INCREMENTAL, 1, 1, 2)


def test_a_load_without_changes_computes_nothing(loads: Loads) -> None:
    result = loads.load()

    assert (result.mode, result.computed, result.changed, result.rows) == (Mode.INCREMENTAL, 0, 0, 3)


def test_a_row_that_moves_changes_both_users(loads: Loads, written: ShopSink) -> None:
    written.commit(written.put("EventLogs", event(1, "new")))

    result = loads.load()

    assert (result.computed, result.inserted, result.closed) == (2, 1, 1)


def test_a_user_whose_last_row_is_deleted_is_closed_and_returns(loads: Loads, written: ShopSink) -> None:
    written.commit(written.delete("EventLogs", 1))
    assert loads.load().closed == 1

    written.commit(written.put("EventLogs", event(1, "b"), Operation.INSERT))
    assert loads.load().inserted == 1


def test_days_leave_the_last_month_by_time_alone(loads: Loads, written: ShopSink) -> None:
    written.commit(written.put("EventLogs", event(1, "b", "2026-04-21")))
    loads.load()

    result = loads.load(later=timedelta(days=19, hours=12), proved_every=None)

    assert result.mode is Mode.INCREMENTAL
    assert (result.computed, result.versioned) == (2, 2), "a and c, whose only day has left"


def test_days_that_were_in_the_future_enter_the_last_month(loads: Loads, written: ShopSink) -> None:
    written.commit(written.put("EventLogs", event(1, "b", "2026-05-03")))
    loads.load()

    assert loads.load(later=timedelta(days=4)).versioned == 1


def test_every_table_of_a_user_counts(loads: Loads, written: ShopSink) -> None:
    documents = {
        "UserSessions": {"_id": 1, "session_id": "s", "user_id": "a", "start_time": at("2026-04-01")},
        "ModerationQueue": {"_id": 1, "user_id": "a"},
        "SearchQueries": {"_id": 1, "user_id": "b", "category": "books", "timestamp": at("2026-04-01")},
        "SupportTickets": ticket(1, "t", user="d"),
        "UserRecommendations": {"_id": 1, "user_id": "e"},
    }
    for number, (collection, document) in enumerate(documents.items()):
        written.commit(written.put(collection, document, Operation.INSERT))
        assert loads.load().changed == 1, (number, collection)


def test_messages_change_their_ticket(written: ShopSink, dsn: str) -> None:
    tickets = Loads(dsn, "support_efficiency")
    written.commit(written.put("SupportTickets", ticket(1, "t", ("user", "2026-04-01 10:00"))))
    written.commit(written.put("SupportTickets", ticket(2, "u", ("user", "2026-04-01 10:00"))))
    tickets.load()
    written.keep_watches()
    tickets.load()
    answered = ticket(1, "t", ("user", "2026-04-01 10:00"), ("support", "2026-04-01 10:30"))
    written.commit(written.put("SupportTickets", answered))

    result = tickets.load()

    assert (result.mode, result.computed, result.versioned) == (Mode.INCREMENTAL, 1, 1)


def test_a_dropped_collection_makes_the_next_load_full(loads: Loads, written: ShopSink) -> None:
    written.drop("EventLogs")

    result = loads.load(accept=["mass_close"])
    assert (result.mode, result.reason) == (Mode.FULL, "a table was read again, emptied or renamed")

    written.commit(written.put("EventLogs", event(1, "b")))
    assert loads.load().mode is Mode.INCREMENTAL


def test_an_undone_load_is_done_again_in_full(loads: Loads, written: ShopSink, dsn: str) -> None:
    written.commit(written.put("EventLogs", event(1, "b", kind="order_placed")))
    assert loads.load().versioned == 1
    undo(dsn, loads.mart)

    result = loads.load()

    assert (result.mode, result.versioned) == (Mode.FULL, 1)


def test_a_load_that_fails_leaves_the_journal_to_the_next(loads: Loads, written: ShopSink) -> None:
    for number in range(3):
        written.commit(written.delete("EventLogs", number))
    with pytest.raises(ChecksFailedError):
        loads.load()

    result = loads.load(accept=["mass_close"])
    assert (result.mode, result.computed, result.closed) == (Mode.INCREMENTAL, 3, 3)


def test_a_journal_that_was_lost_makes_the_next_load_full(loads: Loads, connection: Connection) -> None:
    connection.execute("delete from replicator.key_watch where table_name = 'event_logs'")

    assert loads.load().mode is Mode.FULL


def test_another_definition_makes_the_next_load_full(loads: Loads) -> None:
    assert loads.load(timezone="Europe/Moscow", is_compared=False).mode is Mode.FULL


def test_what_was_asked_for_in_full_is_full(loads: Loads) -> None:
    result = loads.load(full=True)

    assert (result.mode, result.reason) == (Mode.FULL, "asked for")
    assert loads.load().mode is Mode.INCREMENTAL


def test_a_week_after_the_last_full_load_everything_is_proved(loads: Loads, written: ShopSink) -> None:
    written.commit(written.put("EventLogs", event(1, "b", kind="order_placed")))

    result = loads.load(later=timedelta(days=7))

    assert (result.mode, result.computed, result.changed) == (Mode.PROOF, 1, 1)
    assert "incremental" in {check.name for check in result.checks}
    assert loads.load(later=timedelta(days=6)).mode is Mode.INCREMENTAL


def test_a_proof_names_the_keys_that_would_have_been_wrong(
    loads: Loads, written: ShopSink, connection: Connection
) -> None:
    written.commit(written.put("EventLogs", event(1, "b", kind="order_placed")))
    connection.execute("update origin.event_logs set event_type = 'order_placed' where user_id = 'c'")

    with pytest.raises(ChecksFailedError, match="incremental: 1 key would have been left wrong: c"):
        loads.load(later=timedelta(days=7))
    result = loads.load(later=timedelta(days=7), accept=["incremental"])

    assert [check.outcome for check in result.checks if check.name == "incremental"] == [CheckOutcome.ACCEPTED]
    assert result.versioned == 2


def test_checks_of_rows_see_the_whole_mart(loads: Loads, written: ShopSink) -> None:
    unknown = event(1, "b") | {"timestamp": "yesterday"}
    written.commit(written.put("EventLogs", unknown))
    loads.load()

    result = loads.load()

    assert result.computed == 0
    assert any("days_active is known" in each for each in result.warnings)


def test_a_check_that_was_let_through_once_sees_the_whole_mart_again(loads: Loads) -> None:
    loads.mart = replace(loads.mart, checks=(*loads.mart.checks, Unique(("orders_cnt",))))
    loads.load(accept=["unique"])

    with pytest.raises(ChecksFailedError, match=r"unique\(orders_cnt\): 1") as caught:
        loads.load()

    assert caught.value.result.computed == 0


def test_a_select_that_gives_keys_which_nobody_asked_for_is_refused(loads: Loads, written: ShopSink) -> None:
    total = "union all select 'total', 0, null, 0, 0, 0, count(*), null from origin.event_logs"
    loads.mart = replace(loads.mart, sql=f"{loads.mart.sql}\n{total}")
    loads.load()
    written.commit(written.put("EventLogs", event(1, "b", kind="order_placed")))

    with pytest.raises(ChecksFailedError, match=r"unique\(user_id\): 1"):
        loads.load()

    assert loads.load(full=True).versioned == 1


def test_a_role_that_may_not_read_the_journal_loads_in_full(loads: Loads, connection: Connection, dsn: str) -> None:
    connection.execute("drop role if exists loader")
    connection.execute("create role loader login password 'loader'")
    connection.execute("grant usage on schema origin, replicator to loader")
    connection.execute("grant select on all tables in schema origin, replicator to loader")
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("grant create on database {} to loader").format(database))
    connection.execute("drop schema mart cascade")
    try:
        result = load(login_as(dsn, "loader"), loads.mart, at("2026-06-01"), max_lag=None)
        assert result.reason == "the replicator keeps no journal of keys that this role may read"
    finally:
        connection.execute("drop owned by loader cascade; drop role loader")
