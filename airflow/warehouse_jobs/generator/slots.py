"""Time cut into slots: the unit in which the shop's history is decided.

What begins in a slot depends on the seed, the parameters and the slot's number alone, so any interval can be produced
without what came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(milliseconds: int) -> datetime:
    """The time that many milliseconds after the Unix epoch."""
    return EPOCH + timedelta(0, 0, 0, milliseconds)


def milliseconds(time: datetime) -> int:
    """Whole milliseconds since the Unix epoch."""
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
        return (self.number + 1) * self.seconds * 1000

    def instant(self, rng: Random) -> int:
        """Any millisecond of it."""
        return self.start + int(rng.random() * self.seconds * 1000)
