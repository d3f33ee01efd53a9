"""Parameters and intervals refuse what makes no shop, and say what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from warehouse_jobs.generator.errors import ParametersError
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.rhythm import STEADY, WEEKLY, Rhythm

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DAY = Interval.of_days(NOW, 1)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (NOW, NOW, "is empty"),
        (NOW, NOW - timedelta(seconds=1), "is empty"),
        (NOW.replace(tzinfo=None), NOW, "no time zone"),
        (NOW, NOW.replace(tzinfo=None), "no time zone"),
        (datetime(1969, 12, 31, tzinfo=UTC), NOW, "before 1970"),
    ],
)
def test_an_interval_that_is_none_is_refused(start: datetime, end: datetime, told: str) -> None:
    with pytest.raises(ParametersError, match=told) as caught:
        Interval(start, end)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"users": 0}, "at least one"),
        ({"products": 0}, "at least one"),
        ({"update_share": -0.1}, "leave nothing to insert"),
        ({"delete_share": -0.1}, "leave nothing to insert"),
        ({"update_share": 0.7, "delete_share": 0.3}, "leave nothing to insert"),
        ({"delete_share": 0.51}, "more than the 0.29 that is inserted"),
        ({"documents": 0}, "without documents"),
        ({"documents": 1e14}, "too many"),
    ],
)
def test_a_shop_that_cannot_be_is_refused(changes: dict[str, float], told: str) -> None:
    asked = {"documents": 1_000.0, "users": 10, "products": 10} | changes
    with pytest.raises(ParametersError, match=told) as caught:
        Parameters.per_day(
            asked["documents"],
            users=int(asked["users"]),
            products=int(asked["products"]),
            update_share=asked.get("update_share", 0.2),
            delete_share=asked.get("delete_share", 0.05),
        )
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_catalogue_that_leaves_no_room_for_visitors_is_refused() -> None:
    with pytest.raises(ParametersError, match="no room beside 100 products"):
        Parameters.in_total(100, DAY, products=100)


def test_the_population_suits_the_volume_unless_it_is_given() -> None:
    assert Parameters.in_total(100_000, DAY).users == 5_000
    assert Parameters.in_total(100, DAY).users == 5
    assert Parameters.in_total(100_000, DAY, users=7, products=9).users == 7


def test_documents_per_day_are_those_of_an_average_day() -> None:
    assert Parameters.per_day(1_234).documents_per_day == 1_234


def test_a_live_shop_has_its_rate_as_operations_per_second() -> None:
    parameters = Parameters.live(500, NOW, update_share=0.2, delete_share=0.1)
    operations_per_day = parameters.documents_per_day / parameters.insert_share
    assert float(operations_per_day) == pytest.approx(500 * 86_400)


@pytest.mark.parametrize("rhythm", [WEEKLY, STEADY])
def test_the_weight_of_a_time_is_the_sum_of_the_weights_of_its_parts(rhythm: Rhythm) -> None:
    start = int(NOW.timestamp())
    parts = [rhythm.until(start + second + 601) - rhythm.until(start + second) for second in range(0, 601 * 2_000, 601)]
    assert sum(parts) == rhythm.until(start + 601 * 2_000) - rhythm.until(start)
    assert rhythm.until(start + 7 * 86_400) - rhythm.until(start) == rhythm.week


def test_a_week_begins_on_monday_at_midnight() -> None:
    monday = int(NOW.timestamp())
    assert NOW.weekday() == 0
    assert Fraction(WEEKLY.until(monday), WEEKLY.week).denominator == 1
