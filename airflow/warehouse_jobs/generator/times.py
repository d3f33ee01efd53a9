"""Time as the shop has it: cut into slots, and busier at some hours than at others.

What begins in a slot depends on the seed, the parameters and the slot's number alone, so any interval can be produced
without what came before it. Weights are whole numbers and sums are exact, so that a volume spread over an interval adds
up to itself however the interval is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEK = 7 * 24 * 3600

# The Unix epoch was a Thursday: this moves the beginning of a week to Monday, 00:00 UTC.
_EPOCH_TO_MONDAY = 3 * 24 * 3600

# Visitors per hour of the day, UTC: a quiet night, a bump at lunch, a peak in the evening.
_DAY = (14, 9, 6, 5, 6, 9, 18, 32, 46, 54, 60, 66, 74, 70, 62, 60, 64, 74, 88, 100, 98, 80, 52, 28)

# Percent of an average day, Monday to Sunday.
_DAYS_OF_WEEK = (94, 92, 95, 98, 108, 112, 101)


def datetime_of(milliseconds: int) -> datetime:
    """Return the time that many milliseconds after the Unix epoch."""
    return EPOCH + timedelta(0, 0, 0, milliseconds)


def milliseconds(time: datetime) -> int:
    """Return the whole milliseconds from the Unix epoch to a time."""
    return (time - EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """The half-open stretch of ``seconds`` that begins at ``number * seconds`` after the Unix epoch."""

    number: int
    seconds: int

    @property
    def start(self) -> int:
        """Its first millisecond."""
        return self.number * self.seconds * 1000

    @property
    def end(self) -> int:
        """The first millisecond after it."""
        return self.start + self.seconds * 1000

    def instant(self, rng: Random) -> int:
        """Return any millisecond of it."""
        return self.start + int(rng.random() * self.seconds * 1000)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Weights per second, each at least 0, for the 168 hours of a week that begins on Monday in UTC."""

    weights: tuple[int, ...]
    sums: tuple[int, ...]

    @classmethod
    def of(cls, *weights: int) -> Rhythm:
        """Return the rhythm of these 168 weights."""
        return cls(weights, tuple(accumulate((weight * 3600 for weight in weights), initial=0)))

    @property
    def week(self) -> int:
        """The weight of a whole week."""
        return self.sums[-1]

    def until(self, second: int) -> int:
        """Return the weight of all time before a Unix second, counted from the week of the epoch."""
        weeks, rest = divmod(second + _EPOCH_TO_MONDAY, WEEK)
        hour, seconds = divmod(rest, 3600)
        return weeks * self.week + self.sums[hour] + self.weights[hour] * seconds


WEEKLY = Rhythm.of(*(day * hour for day in _DAYS_OF_WEEK for hour in _DAY))
STEADY = Rhythm.of(*(1,) * 168)
