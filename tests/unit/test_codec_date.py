"""Dates as text, over PostgreSQL's whole range."""

from __future__ import annotations

import datetime as dt

import pytest
from bson.datetime_ms import DatetimeMS

from replicator_service.core.bson.dates import iso_text, milliseconds, timestamptz_text
from tests.support.bson_values import utc

FIRST, LAST = -210866803200000, 9224318015999999


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (utc(2024, 2, 29, 23, 59, 59, 999000), "2024-02-29T23:59:59.999Z"),
        (utc(1, 1, 1), "0001-01-01T00:00:00Z"),
        (DatetimeMS(0), "1970-01-01T00:00:00Z"),
        (DatetimeMS(253402300800000), "10000-01-01T00:00:00.000Z"),
        (DatetimeMS(LAST), "294276-12-31T23:59:59.999Z"),
        (DatetimeMS(LAST + 1), None),
        (DatetimeMS(-62135596800001), "0001-12-31T23:59:59.999Z BC"),
        (DatetimeMS(FIRST), "4714-11-24T00:00:00.000Z BC"),
        (DatetimeMS(FIRST - 1), None),
        (DatetimeMS(2**63 - 1), None),
        (DatetimeMS(-(2**63)), None),
    ],
)
def test_dates_that_postgres_holds_have_a_text(value: dt.datetime | DatetimeMS, text: str | None) -> None:
    assert timestamptz_text(value) == text


def test_more_days_than_are_remembered_are_all_written() -> None:
    day = dt.timedelta(days=1)
    start = utc(1, 1, 1)
    for number in (0, 1, 60_000, 60_001, 0):
        moment = start + number * day
        assert iso_text(moment) == moment.isoformat() + "Z"


def test_milliseconds_before_1970_are_negative() -> None:
    assert milliseconds(utc(1969, 12, 31, 23, 59, 59, 999000)) == -1
