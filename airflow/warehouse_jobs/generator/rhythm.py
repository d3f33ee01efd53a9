"""How busy the shop is at each hour of the week, and how much happened until any moment.

Weights are whole numbers and sums are exact, so that a volume spread over an interval adds up to itself however the
interval is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

HOUR = 3600
WEEK = 7 * 24 * HOUR

# The Unix epoch was a Thursday: this moves the beginning of a week to Monday, 00:00 UTC.
_EPOCH_TO_MONDAY = 3 * 24 * HOUR

# Visitors per hour of the day, UTC: a quiet night, a bump at lunch, a peak in the evening.
_DAY = (14, 9, 6, 5, 6, 9, 18, 32, 46, 54, 60, 66, 74, 70, 62, 60, 64, 74, 88, 100, 98, 80, 52, 28)

# Percent of an average day, Monday to Sunday.
_DAYS_OF_WEEK = (94, 92, 95, 98, 108, 112, 101)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Weights per second for each of the 168 hours of a week that begins on Monday in UTC."""

    weights: tuple[int, ...]
    sums: tuple[int, ...]

    @classmethod
    def of(cls, weights: tuple[int, ...]) -> Rhythm:
        """A rhythm with these 168 weights, each at least 0."""
        return cls(weights, tuple(accumulate((weight * HOUR for weight in weights), initial=0)))

    @property
    def week(self) -> int:
        """The weight of a whole week."""
        return self.sums[-1]

    def until(self, second: int) -> int:
        """The weight of all time before a Unix second, counted from the week of the epoch."""
        weeks, rest = divmod(second + _EPOCH_TO_MONDAY, WEEK)
        hour, seconds = divmod(rest, HOUR)
        return weeks * self.week + self.sums[hour] + self.weights[hour] * seconds


WEEKLY = Rhythm.of(tuple(day * hour for day in _DAYS_OF_WEEK for hour in _DAY))
STEADY = Rhythm.of((1,) * 168)
