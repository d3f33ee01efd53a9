"""``support_efficiency`` against rows computed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.marts.shop import at
from warehouse_jobs.marts import load

if TYPE_CHECKING:
    from tests.marts.shop import Shop

AS_OF = at("2026-03-31 12:00")


def responses(shop: Shop) -> dict[object, object]:
    query = "select ticket_id, avg_response_time_min from mart.support_efficiency"
    return {row[0]: row[1] for row in shop.connection.execute(query).fetchall()}


def test_a_help_desk_computed_by_hand(shop: Shop, dsn: str) -> None:
    # runs: the user asks at 10:00 and again at 10:05, support answers at 10:20: 20 minutes from the first of them.
    # Support's second message answers nothing. 11:00 is answered at 11:10:30: 10.5 minutes. 12:00 is never
    # answered. (20 + 10.5) / 2 = 15.25.
    shop.ticket(
        "runs",
        ("user", "2026-03-01 10:00"),
        ("user", "2026-03-01 10:05"),
        ("support", "2026-03-01 10:20"),
        ("support", "2026-03-01 10:25"),
        ("user", "2026-03-01 11:00"),
        ("support", "2026-03-01 11:10:30"),
        ("user", "2026-03-01 12:00"),
        user_id="anna",
        status="closed",
    )
    # silent has no messages; ignored was never answered; monologue had nobody to answer.
    shop.ticket("silent", user_id="boris", issue_type=None)
    shop.ticket("ignored", ("user", "2026-03-02 10:00"), ("user", "2026-03-02 11:00"))
    shop.ticket("monologue", ("support", "2026-03-03 10:00"))
    # greeted: support speaks first, which answers nothing; then 90 seconds.
    shop.ticket(
        "greeted",
        ("support", "2026-03-04 10:00"),
        ("user", "2026-03-04 10:30"),
        ("support", "2026-03-04 10:31:30"),
        user_id=None,
    )
    # shuffled: the array is not in the order of time; 10:00 is answered at 10:30.
    shop.ticket("shuffled", ("support", "2026-03-05 10:30"), ("user", "2026-03-05 10:00"))

    load(dsn, "support_efficiency", AS_OF)

    rows = shop.connection.execute("select * from mart.support_efficiency order by ticket_id").fetchall()
    assert rows == [
        # ticket, user, status, issue, first, last, by support, by the user, minutes, valid from
        (
            "greeted",
            None,
            "open",
            "payment",
            at("2026-03-04 10:00"),
            at("2026-03-04 10:31:30"),
            2,
            1,
            Decimal("1.5"),
            AS_OF,
        ),
        ("ignored", "u1", "open", "payment", at("2026-03-02 10:00"), at("2026-03-02 11:00"), 0, 2, None, AS_OF),
        ("monologue", "u1", "open", "payment", at("2026-03-03 10:00"), at("2026-03-03 10:00"), 1, 0, None, AS_OF),
        (
            "runs",
            "anna",
            "closed",
            "payment",
            at("2026-03-01 10:00"),
            at("2026-03-01 12:00"),
            3,
            4,
            Decimal("15.25"),
            AS_OF,
        ),
        ("shuffled", "u1", "open", "payment", at("2026-03-05 10:00"), at("2026-03-05 10:30"), 1, 1, Decimal(30), AS_OF),
        ("silent", "boris", "open", None, None, None, 0, 0, None, AS_OF),
    ]


def test_the_columns_are_those_that_were_asked_for_in_their_order(shop: Shop, dsn: str) -> None:
    load(dsn, "support_efficiency", AS_OF)
    cursor = shop.connection.execute("select * from mart.support_efficiency")
    assert [column.name for column in cursor.description or ()] == [
        "ticket_id",
        "user_id",
        "status",
        "issue_type",
        "first_message_dt",
        "last_message_dt",
        "support_messages",
        "user_messages",
        "avg_response_time_min",
        "etl_valid_from",
    ]


def test_a_response_time_is_not_cut_to_minutes_or_hours(shop: Shop, dsn: str) -> None:
    shop.ticket("seconds", ("user", "2026-03-01 10:00:00"), ("support", "2026-03-01 10:00:03"))
    shop.ticket("days", ("user", "2026-03-01 10:00"), ("support", "2026-03-02 11:01"))
    load(dsn, "support_efficiency", AS_OF)
    # 3 seconds are 0.05 minutes; a day, an hour and a minute are 1440 + 60 + 1.
    assert responses(shop) == {"seconds": Decimal("0.05"), "days": Decimal(1501)}


def test_messages_of_one_time_follow_the_order_of_the_array(shop: Shop, dsn: str) -> None:
    time = "2026-03-01 10:00"
    shop.ticket("asked_first", ("user", time), ("support", time))
    shop.ticket("answered_first", ("support", time), ("user", time))
    load(dsn, "support_efficiency", AS_OF)
    assert responses(shop) == {"asked_first": Decimal(0), "answered_first": None}


def test_the_order_of_the_array_is_numeric(shop: Shop, dsn: str) -> None:
    # At 10:01 support answers (place 2) and then the user asks again (place 10), which is answered at 10:05:
    # (1 + 4) / 2 = 2.5. Were place 10 before place 2, it would be 1.
    others = [("bot", "2026-03-01 10:01")] * 7
    shop.ticket(
        "long",
        ("user", "2026-03-01 10:00"),
        ("bot", "2026-03-01 10:01"),
        ("support", "2026-03-01 10:01"),
        *others,
        ("user", "2026-03-01 10:01"),
        ("support", "2026-03-01 10:05"),
    )
    load(dsn, "support_efficiency", AS_OF)
    assert responses(shop) == {"long": Decimal("2.5")}


def test_a_message_at_the_end_of_time_is_no_answer(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", ("user", "2026-03-01 10:00"), ("support", "2026-03-01 10:30"))
    shop.connection.execute("update origin.support_ticket_messages set timestamp = 'infinity' where sender = 'support'")
    load(dsn, "support_efficiency", AS_OF)
    assert responses(shop) == {"t1": None}


def test_other_senders_and_messages_without_a_time_neither_ask_nor_answer(shop: Shop, dsn: str) -> None:
    shop.ticket(
        "t1",
        ("user", "2026-03-01 10:00"),
        ("bot", "2026-03-01 10:01"),
        (None, "2026-03-01 10:02"),
        ("user", "2026-03-01 10:05"),
        ("support", None),
        ("support", "2026-03-01 10:10"),
        ("bot", "2026-03-01 10:20"),
    )
    load(dsn, "support_efficiency", AS_OF)
    row = shop.connection.execute(
        "select first_message_dt, last_message_dt, support_messages, user_messages, avg_response_time_min "
        "from mart.support_efficiency"
    ).fetchone()
    # The bot's message is the last of the ticket, but of neither side; support's message without a time counts.
    assert row == (at("2026-03-01 10:00"), at("2026-03-01 10:20"), 2, 2, Decimal(10))


def test_several_documents_of_a_ticket_are_one_ticket_as_it_was_updated_last(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", ("user", "2026-03-01 10:00"), status="closed", updated_at=at("2026-03-02 10:00"))
    shop.ticket("t1", ("user", "2026-03-01 09:00"), status="open", updated_at=at("2026-03-01 10:00"))
    shop.ticket("t1", status="unknown", updated_at=None)
    shop.ticket(None, ("user", "2026-03-01 10:00"))
    load(dsn, "support_efficiency", AS_OF)
    query = "select ticket_id, status, first_message_dt, user_messages from mart.support_efficiency"
    assert shop.connection.execute(query).fetchall() == [("t1", "closed", at("2026-03-01 10:00"), 1)]
