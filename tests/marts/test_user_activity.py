"""``user_activity`` against rows computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.marts.shop import at
from warehouse_jobs.marts import load

if TYPE_CHECKING:
    from tests.marts.shop import Shop

AS_OF = at("2026-03-31 12:00")
"""A month earlier is 2026-02-28 12:00: February has no 31st."""


def activity(dsn: str, user: str) -> tuple[object, ...] | None:
    with psycopg.connect(dsn) as connection:
        return connection.execute("select * from mart.user_activity where user_id = %s", [user]).fetchone()


def days(dsn: str, user: str) -> tuple[object, ...] | None:
    with psycopg.connect(dsn) as connection:
        query = "select days_active, days_active_last_month from mart.user_activity where user_id = %s"
        return connection.execute(query, [user]).fetchone()


def test_a_shop_computed_by_hand(shop: Shop, dsn: str) -> None:
    # anna: three sessions of 3, 2 and 4 pages: 9 / 3 = 3 pages on average. The first goes over midnight and counts
    # for the day of its start alone. Days: 15 January (session and order), 30 March (two sessions and an order),
    # 31 March (login): 3, of which 2 in the last month. Two orders. One review. Books twice, toys once.
    shop.session("anna", "a1", "2026-03-30 23:50", pages=3)
    shop.session("anna", "a2", "2026-03-30 08:00", pages=2)
    shop.session("anna", "a3", "2026-01-15 10:00", pages=4)
    shop.event("anna", "2026-03-31 09:00", "login")
    shop.event("anna", "2026-03-30 10:00", "order_placed")
    shop.event("anna", "2026-01-15 11:00", "order_placed")
    shop.add("moderation_queue", user_id="anna", review_id="r1")
    shop.search("anna", "books", "2026-01-15 10:01")
    shop.search("anna", "toys", "2026-03-30 08:01")
    shop.search("anna", "books", "2026-01-15 10:02")

    # boris: events only, so there is no average. An event exactly a month before the load is outside. Toys and books
    # are searched for twice each, books last.
    shop.event("boris", "2026-02-28 12:00", "login")
    shop.event("boris", "2026-02-27 12:00", "logout")
    shop.search("boris", "books", "2026-03-01 10:00")
    shop.search("boris", "toys", "2026-03-02 10:00")
    shop.search("boris", "toys", "2026-03-03 10:00")
    shop.search("boris", "books", "2026-03-04 10:00")

    # clara: a microsecond later is inside. Toys and books are equal in number and in time: the alphabet decides.
    shop.event("clara", "2026-02-28 12:00:00.000001", "login")
    shop.search("clara", "toys", "2026-03-01 10:00")
    shop.search("clara", "books", "2026-03-01 10:00")

    # dmitri, elena, fedor and galina have no sessions and no events: one table each knows them.
    shop.ticket("t1", user_id="dmitri")
    shop.add("user_recommendations", user_id="elena", recommended_products=["p1"])
    shop.add("moderation_queue", user_id="fedor", review_id="r2")
    shop.add("moderation_queue", user_id="fedor", review_id="r3")
    # galina: three queries without a category do not make null her favourite; a search is not a visit.
    for minute in range(3):
        shop.search("galina", None, f"2026-03-05 10:0{minute}")
    shop.search("galina", "sport", "2026-03-05 09:00")

    # ivan: two documents of session i1 are one session, with the 4 pages of the fuller one; i2 has no pages:
    # (4 + 0) / 2 = 2. The later document of i1 was started on another day: 5 and 6 March, both in the last month.
    shop.session("ivan", "i1", "2026-03-05 10:00", pages=2)
    shop.session("ivan", "i1", "2026-03-06 10:00", pages=4)
    shop.session("ivan", "i2", "2026-03-06 12:00", pages=0)

    # kira was here after as_of: a day, but none of the month before the load.
    shop.event("kira", "2026-03-31 12:00:01", "login")

    # lev has a session without the array of pages: a session of 0 pages.
    shop.session("lev", "l1", "2026-01-01 00:00", pages=None)

    # Nobody: rows without a user make no user.
    shop.session(None, "n1", "2026-03-30 10:00")
    shop.event(None, "2026-03-30 10:00", "order_placed")
    shop.search(None, "books", "2026-03-30 10:00")
    shop.ticket("t2", user_id=None)
    shop.add("moderation_queue", user_id=None, review_id="r4")
    shop.add("user_recommendations", user_id=None)

    result = load(dsn, "user_activity", AS_OF)

    rows = shop.connection.execute("select * from mart.user_activity order by user_id").fetchall()
    assert rows == [
        # user, sessions, pages, days, in the last month, orders, reviews, category, valid from
        ("anna", 3, Decimal(3), 3, 2, 2, 1, "books", AS_OF),
        ("boris", 0, None, 2, 0, 0, 0, "books", AS_OF),
        ("clara", 0, None, 1, 1, 0, 0, "books", AS_OF),
        ("dmitri", 0, None, 0, 0, 0, 0, None, AS_OF),
        ("elena", 0, None, 0, 0, 0, 0, None, AS_OF),
        ("fedor", 0, None, 0, 0, 0, 2, None, AS_OF),
        ("galina", 0, None, 0, 0, 0, 0, "sport", AS_OF),
        ("ivan", 2, Decimal(2), 2, 2, 0, 0, None, AS_OF),
        ("kira", 0, None, 1, 0, 0, 0, None, AS_OF),
        ("lev", 1, Decimal(0), 1, 0, 0, 0, None, AS_OF),
    ]
    assert (result.rows, result.inserted) == (10, 10)


def test_the_columns_are_those_that_were_asked_for_in_their_order(shop: Shop, dsn: str) -> None:
    load(dsn, "user_activity", AS_OF)
    cursor = shop.connection.execute("select * from mart.user_activity")
    assert [column.name for column in cursor.description or ()] == [
        "user_id",
        "sessions_cnt",
        "avg_pages_visited",
        "days_active",
        "days_active_last_month",
        "orders_cnt",
        "reviews_cnt",
        "preferred_category",
        "etl_valid_from",
    ]


def test_an_average_of_pages_is_not_cut_to_a_whole_number(shop: Shop, dsn: str) -> None:
    shop.session("anna", "a1", "2026-03-30 10:00", pages=1)
    shop.session("anna", "a2", "2026-03-30 11:00", pages=2)
    load(dsn, "user_activity", AS_OF)
    row = activity(dsn, "anna")
    assert row is not None
    assert row[2] == Decimal("1.5")


@pytest.mark.parametrize(
    ("as_of", "month_before"),
    [
        ("2026-03-31 12:00", "2026-02-28 12:00"),
        ("2024-03-31 12:00", "2024-02-29 12:00"),
        ("2026-03-28 12:00", "2026-02-28 12:00"),
        ("2026-05-31 12:00", "2026-04-30 12:00"),
        ("2026-01-15 00:00", "2025-12-15 00:00"),
    ],
)
def test_the_last_month_begins_just_after_the_same_time_a_month_before(
    shop: Shop, dsn: str, as_of: str, month_before: str
) -> None:
    shop.event("outside", month_before)
    shop.event("inside", f"{month_before}:00.000001")
    shop.event("now", as_of)
    shop.event("later", f"{as_of}:00.000001")
    load(dsn, "user_activity", at(as_of))
    assert [days(dsn, user) for user in ("outside", "inside", "now", "later")] == [(1, 0), (1, 1), (1, 1), (1, 0)]


def test_one_day_may_count_for_all_time_but_only_in_part_for_the_month(shop: Shop, dsn: str) -> None:
    # 28 February lies half in the last month; the morning's event and the afternoon's are one day of each count.
    shop.event("anna", "2026-02-28 09:00")
    shop.event("anna", "2026-02-28 15:00")
    load(dsn, "user_activity", AS_OF)
    assert days(dsn, "anna") == (1, 1)


def test_days_are_counted_in_the_zone_that_was_asked_for(shop: Shop, dsn: str) -> None:
    # Moscow is three hours ahead: 22:00 on the 30th is already the 31st there.
    shop.session("anna", "a1", "2026-03-30 22:00")
    shop.event("anna", "2026-03-30 20:00")
    load(dsn, "user_activity", AS_OF)
    assert days(dsn, "anna") == (1, 1)
    load(dsn, "user_activity", at("2026-03-31 12:00:01"), timezone="Europe/Moscow")
    assert days(dsn, "anna") == (2, 2)


def test_the_last_month_follows_the_calendar_of_the_zone(shop: Shop, dsn: str) -> None:
    # The load is on 30 March in UTC, so the month begins on 28 February 22:00 UTC (February has no 30th). In Moscow
    # it is 1:00 on 31 March already, and the month begins on 28 February 1:00, which is 27 February 22:00 UTC.
    shop.event("anna", "2026-02-28 10:00")
    load(dsn, "user_activity", at("2026-03-30 22:00"))
    assert days(dsn, "anna") == (1, 0)
    load(dsn, "user_activity", at("2026-03-30 22:00:01"), timezone="Europe/Moscow")
    assert days(dsn, "anna") == (1, 1)


def test_the_time_zone_of_the_database_does_not_matter(shop: Shop, dsn: str) -> None:
    shop.session("anna", "a1", "2026-03-30 22:00")
    shop.event("anna", "2026-03-30 01:00")
    shop.event("boris", "2026-02-28 10:00")
    database = shop.connection.info.dbname
    shop.connection.execute(f"alter database {database} set timezone = 'Asia/Tokyo'")
    load(dsn, "user_activity", at("2026-03-30 22:00"))
    assert days(dsn, "anna") == (1, 1)
    assert days(dsn, "boris") == (1, 0)


def test_days_before_the_epoch_and_at_the_ends_of_time_are_days_too(shop: Shop, dsn: str) -> None:
    for time in ("0001-01-01 00:00", "1969-12-31 23:59", "1970-01-01 00:00", "1970-03-05 00:00", "9999-12-31 00:00"):
        shop.event("anna", time)
    shop.connection.execute("insert into origin.event_logs (_id, user_id, timestamp) values ('x', 'anna', 'infinity')")
    shop.connection.execute("insert into origin.event_logs (_id, user_id) values ('y', 'anna')")
    load(dsn, "user_activity", AS_OF)
    assert days(dsn, "anna") == (5, 0)


def test_a_category_with_a_known_time_is_more_recent_than_one_without(shop: Shop, dsn: str) -> None:
    shop.add("search_queries", user_id="anna", category="books", timestamp=None)
    shop.search("anna", "toys", "2020-01-01 00:00")
    load(dsn, "user_activity", AS_OF)
    row = activity(dsn, "anna")
    assert row is not None
    assert row[7] == "toys"
