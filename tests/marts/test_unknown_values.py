"""A figure is right or null: values that did not fit their columns, and times that no calendar has."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.marts.shop import at
from warehouse_jobs.marts import load

if TYPE_CHECKING:
    from tests.marts.shop import Shop

AS_OF = at("2026-03-31 12:00")

EDGES = [
    "4714-11-24 00:00:00+00 BC",
    "0001-12-31 12:00:00+00 BC",
    "10000-01-01 00:00:00+00",
    "294276-12-31 23:59:59+00",
]


def activity(shop: Shop, columns: str) -> tuple[object, ...] | None:
    query = sql.SQL("select {} from mart.user_activity where user_id = 'anna'")
    return shop.connection.execute(query.format(sql.SQL(columns))).fetchone()


def support(shop: Shop, columns: str) -> tuple[object, ...] | None:
    query = sql.SQL("select {} from mart.support_efficiency where ticket_id = 't1'")
    return shop.connection.execute(query.format(sql.SQL(columns))).fetchone()


def message_at(shop: Shop, ordinal: int, time: str) -> None:
    shop.connection.execute(
        "update origin.support_ticket_messages set timestamp = %s::timestamptz where _ordinal = %s", [time, ordinal]
    )


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Moscow", "America/St_Johns", "Pacific/Kiritimati"])
def test_a_day_at_an_end_of_time_is_unknown_and_stops_nobody(shop: Shop, dsn: str, edge: str, zone: str) -> None:
    for user in ("anna", "boris"):
        shop.session(user, user, "2026-03-30 10:00")
    shop.connection.execute(
        "insert into origin.event_logs (_id, user_id, timestamp) values ('x', 'anna', %s::timestamptz)", [edge]
    )
    load(dsn, "user_activity", AS_OF, timezone=zone)
    assert activity(shop, "sessions_cnt, days_active, days_active_last_month, orders_cnt") == (1, None, 1, 0)
    boris = "select days_active, days_active_last_month from mart.user_activity where user_id = 'boris'"
    assert shop.connection.execute(boris).fetchone() == (1, 1)


def test_messages_at_both_ends_of_time_stop_nobody(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", ("user", "2026-03-01 10:00"), ("support", "2026-03-01 10:30"))
    message_at(shop, 0, EDGES[0])
    message_at(shop, 1, EDGES[-1])
    shop.ticket("t2", ("user", "2026-03-01 10:00"), ("support", "2026-03-01 10:30"))
    load(dsn, "support_efficiency", AS_OF)
    assert support(shop, "support_messages, user_messages, avg_response_time_min") == (1, 1, None)
    assert support(shop, "first_message_dt::text, last_message_dt::text") == (
        "4714-11-24 00:00:00+00 BC",
        "294276-12-31 23:59:59+00",
    )
    rest = "select avg_response_time_min from mart.support_efficiency where ticket_id = 't2'"
    assert shop.connection.execute(rest).fetchone() == (Decimal(30),)


def test_an_end_of_time_of_somebody_else_does_not_matter(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", ("user", "2026-03-01 10:00"), ("support", "2026-03-01 10:30"), ("bot", "2026-03-01 11:00"))
    message_at(shop, 2, EDGES[-1])
    load(dsn, "support_efficiency", AS_OF)
    assert support(shop, "avg_response_time_min") == (Decimal(30),)


def unfit(shop: Shop, table: str, column: str, value: object, where: str = "true") -> None:
    """Make a value one that did not fit: the column is null and _extra has it, as the replicator writes it."""
    statement = sql.SQL("update {} set {} = null, _extra = %s where {}").format(
        sql.Identifier("origin", table),
        sql.Identifier(column),
        sql.SQL(where),
    )
    shop.connection.execute(statement, [Jsonb({column: value})])


def test_an_answer_whose_time_is_a_text_makes_the_response_time_unknown(shop: Shop, dsn: str) -> None:
    shop.ticket(
        "t1",
        ("user", "2026-03-01 10:00"),
        ("support", "2026-03-01 10:05"),
        ("user", "2026-03-01 11:00"),
        ("support", "2026-03-01 11:10"),
    )
    unfit(shop, "support_ticket_messages", "timestamp", "2026-03-01T10:05:00Z", "_ordinal = 1")
    load(dsn, "support_efficiency", AS_OF)
    columns = "first_message_dt, last_message_dt, support_messages, user_messages, avg_response_time_min"
    assert support(shop, columns) == (None, None, 2, 2, None)


def test_a_sender_that_did_not_fit_makes_numbers_and_response_time_unknown(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", ("user", "2026-03-01 10:00"), ("support", "2026-03-01 10:05"), ("user", "2026-03-01 11:00"))
    unfit(shop, "support_ticket_messages", "sender", ["support"], "_ordinal = 1")
    load(dsn, "support_efficiency", AS_OF)
    columns = "first_message_dt, last_message_dt, support_messages, user_messages, avg_response_time_min"
    assert support(shop, columns) == (at("2026-03-01 10:00"), at("2026-03-01 11:00"), None, None, None)


def test_messages_that_are_no_list_are_unknown_and_not_none(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", _extra=Jsonb({"messages": "see the archive"}))
    load(dsn, "support_efficiency", AS_OF)
    columns = "status, first_message_dt, support_messages, user_messages, avg_response_time_min"
    assert support(shop, columns) == ("open", None, None, None, None)


def test_which_document_of_a_ticket_is_the_last_may_be_unknown(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", ("user", "2026-03-01 10:00"), status="open", updated_at=at("2026-03-01 10:00"))
    shop.ticket("t1", status="closed", _extra=Jsonb({"updated_at": "2026-03-02T10:00:00Z"}))
    load(dsn, "support_efficiency", AS_OF)
    assert support(shop, "user_id, status, issue_type, first_message_dt, user_messages") == (None,) * 5


def test_a_single_document_of_a_ticket_is_the_last_whatever_its_time(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", status="closed", _extra=Jsonb({"updated_at": "2026-03-02T10:00:00Z"}))
    load(dsn, "support_efficiency", AS_OF)
    assert support(shop, "status, user_messages") == ("closed", 0)


def test_pages_of_a_list_of_numbers_are_counted_and_those_of_no_list_unknown(shop: Shop, dsn: str) -> None:
    shop.session("anna", "a1", "2026-03-30 10:00")
    unfit(shop, "user_sessions", "pages_visited", [1, 2, 3])
    shop.session("anna", "a2", "2026-03-30 11:00", pages=2)
    load(dsn, "user_activity", AS_OF)
    assert activity(shop, "sessions_cnt, avg_pages_visited") == (2, Decimal("2.5"))
    unfit(shop, "user_sessions", "pages_visited", "/home", "session_id = 'a1'")
    load(dsn, "user_activity", at("2026-03-31 13:00"), accept={"turned_null"})
    assert activity(shop, "sessions_cnt, avg_pages_visited") == (2, None)


def test_a_start_that_did_not_fit_makes_the_days_unknown(shop: Shop, dsn: str) -> None:
    shop.session("anna", "a1", "2026-03-30 10:00")
    shop.event("anna", "2026-03-29 10:00", "order_placed")
    unfit(shop, "user_sessions", "start_time", "30.03.2026")
    load(dsn, "user_activity", AS_OF)
    columns = "sessions_cnt, avg_pages_visited, days_active, days_active_last_month, orders_cnt"
    assert activity(shop, columns) == (1, Decimal(1), None, None, 1)


def test_a_session_id_that_did_not_fit_makes_the_sessions_unknown(shop: Shop, dsn: str) -> None:
    shop.session("anna", "a1", "2026-03-30 10:00")
    shop.session("anna", "a2", "2026-03-30 10:00")
    unfit(shop, "user_sessions", "session_id", {"a": 1}, "session_id = 'a2'")
    load(dsn, "user_activity", AS_OF)
    assert activity(shop, "sessions_cnt, avg_pages_visited, days_active") == (None, None, 1)


def test_a_category_that_did_not_fit_makes_the_preferred_one_unknown(shop: Shop, dsn: str) -> None:
    shop.search("anna", "books", "2026-03-30 10:00")
    shop.search("anna", "toys", "2026-03-30 11:00")
    unfit(shop, "search_queries", "category", ["toys"], "category = 'toys'")
    load(dsn, "user_activity", AS_OF)
    assert activity(shop, "preferred_category") == (None,)


@pytest.mark.parametrize(("searches", "preferred"), [(("books", "toys"), None), (("books", "toys", "books"), "books")])
def test_an_unknown_time_of_a_search_matters_only_among_equals(
    shop: Shop, dsn: str, searches: tuple[str, ...], preferred: str | None
) -> None:
    for category in searches:
        shop.search("anna", category, "2026-03-30 10:00")
    unfit(shop, "search_queries", "timestamp", "yesterday", "category = 'toys'")
    load(dsn, "user_activity", AS_OF)
    assert activity(shop, "preferred_category") == (preferred,)
