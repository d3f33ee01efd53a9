"""How many documents of each kind begin in a slot, and which of them are updated or deleted.

All of it is whole-number arithmetic on *ordinals*: the n-th document since the epoch, and the n-th of its kind. So
volumes and shares come out exactly, over any stretch of time and at any volume, without a counter that would have to be
stored between two runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Self

from warehouse_jobs.generator.documents import (
    EVENT_LOGS,
    MODERATION_QUEUE,
    SEARCH_QUERIES,
    SUPPORT_TICKETS,
    USER_SESSIONS,
)
from warehouse_jobs.generator.randomness import random_source

if TYPE_CHECKING:
    from warehouse_jobs.generator.parameters import Parameters
    from warehouse_jobs.generator.slots import Slot

# Of a hundred documents that visitors leave.
_SHARES = {USER_SESSIONS: 20, EVENT_LOGS: 42, SUPPORT_TICKETS: 5, MODERATION_QUEUE: 8, SEARCH_QUERIES: 25}

KINDS = tuple(_SHARES)

# Of a hundred updates; what a kind cannot take goes to the recommendations, which can be replaced without end.
_UPDATES = {USER_SESSIONS: 40, SUPPORT_TICKETS: 20, MODERATION_QUEUE: 12}
_PRICE_UPDATES = 8

# The most updates that one document of a kind takes in its life, and a product in a slot: four in a day at life size.
_MOST_UPDATES = {USER_SESSIONS: 5, SUPPORT_TICKETS: 12, MODERATION_QUEUE: 1}
_MOST_PRICE_CHANGES = Fraction(4, 96)

_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Ratio:
    """So many of one thing for so many of another, spread evenly over the ordinals of the other."""

    numerator: int
    denominator: int

    @classmethod
    def of(cls, value: Fraction) -> Self:
        """The ratio equal to a fraction."""
        return cls(value.numerator, value.denominator)

    def before(self, ordinal: int) -> int:
        """How many are due before the ordinal."""
        return ordinal * self.numerator // self.denominator

    def at(self, ordinal: int) -> int:
        """How many are due at the ordinal."""
        return (ordinal + 1) * self.numerator // self.denominator - ordinal * self.numerator // self.denominator


@dataclass(frozen=True, slots=True)
class Ordinals:
    """The documents of one kind that begin in a slot: ``count`` from the ``first`` on."""

    first: int
    count: int


class Mix:
    """The arithmetic of one shop."""

    def __init__(self, parameters: Parameters) -> None:
        self._rhythm = parameters.rhythm
        self._documents = Ratio.of(parameters.density)
        pattern = [kind for kind, share in _SHARES.items() for _ in range(share)]
        random_source("mix").shuffle(pattern)
        self._prefixes = {kind: tuple(accumulate((other == kind for other in pattern), initial=0)) for kind in KINDS}

        per_document = parameters.update_share / parameters.insert_share
        rates = {
            kind: min(per_document * share / _SHARES[kind], Fraction(_MOST_UPDATES[kind]))
            for kind, share in _UPDATES.items()
        }
        self._updates = {kind: Ratio.of(rate) for kind, rate in rates.items()}
        documents_per_slot = parameters.documents_per_day * parameters.slot_seconds / _DAY
        price_rate = min(
            per_document * _PRICE_UPDATES / 100,
            parameters.products * _MOST_PRICE_CHANGES / documents_per_slot,
        )
        taken = sum((rate * _SHARES[kind] / 100 for kind, rate in rates.items()), start=price_rate)
        self._price_changes = Ratio.of(price_rate)
        self._replacements = Ratio.of(per_document - taken)
        self._deletes = Ratio.of(parameters.delete_share / parameters.insert_share)

    def of_kind(self, kind: str, slot: Slot) -> Ordinals:
        """The documents of a kind that begin in the slot."""
        first, end = (self._kind_before(kind, total) for total in self._totals(slot))
        return Ordinals(first, end - first)

    def updates(self, kind: str, ordinal: int) -> int:
        """How many updates the n-th document of a kind gets in its life; 0 for kinds that never change."""
        ratio = self._updates.get(kind)
        return 0 if ratio is None else ratio.at(ordinal)

    def deleted(self, ordinal: int) -> bool:
        """Whether the n-th document of a kind is deleted some day."""
        return self._deletes.at(ordinal) > 0

    def price_changes(self, slot: Slot) -> int:
        """How many prices change in the slot."""
        first, end = self._totals(slot)
        return self._price_changes.before(end) - self._price_changes.before(first)

    def replacements(self, slot: Slot) -> int:
        """How many recommendations are replaced in the slot."""
        first, end = self._totals(slot)
        return self._replacements.before(end) - self._replacements.before(first)

    def _totals(self, slot: Slot) -> tuple[int, int]:
        seconds = slot.number * slot.seconds
        until = self._rhythm.until
        return self._documents.before(until(seconds)), self._documents.before(until(seconds + slot.seconds))

    def _kind_before(self, kind: str, total: int) -> int:
        hundreds, rest = divmod(total, 100)
        prefix = self._prefixes[kind]
        return hundreds * prefix[100] + prefix[rest]
