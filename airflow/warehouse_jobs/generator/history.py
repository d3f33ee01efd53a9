"""The history of a shop as operations: pure, endless in both directions, read through an interval.

1. The catalogue as of the interval's start.
2. Slot by slot, what begins in the slot and everything that follows from it later (an answer to a ticket, the end of
   a session, a deletion). What falls outside the interval is left to the interval that it falls into.
3. The operations of the slot in order of time, with those that earlier slots left for it.

Hence two intervals that meet give the same operations as one interval over both, apart from the catalogue at the start
of the second, which is there already.

A repetition has to tell a document that was deleted from one that was never written: both are absent. But a collection
is written in order of time: where a later document of it is there, the earlier one was, too. So a document that will be
deleted gets a *witness*, a document of its collection that begins after it, by the time of the deletion, and is never
deleted. Both follow from the seed and the time, so nothing has to be stored.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

from warehouse_jobs.generator.events import EVENTS
from warehouse_jobs.generator.operations import Delete, Insert, Operation
from warehouse_jobs.generator.prices import COLLECTION as PRICES
from warehouse_jobs.generator.prices import first_prices, price_changes
from warehouse_jobs.generator.recommendations import COLLECTION as RECOMMENDATIONS
from warehouse_jobs.generator.recommendations import first_recommendations, replacements
from warehouse_jobs.generator.reviews import REVIEWS
from warehouse_jobs.generator.searches import SEARCHES
from warehouse_jobs.generator.sessions import SESSIONS
from warehouse_jobs.generator.shop import Kind, Shop
from warehouse_jobs.generator.tickets import TICKETS
from warehouse_jobs.generator.times import Slot, datetime_of, milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bson import ObjectId

    from warehouse_jobs.generator.parameters import Interval, Parameters

KINDS = (SESSIONS, EVENTS, TICKETS, REVIEWS, SEARCHES)
COLLECTIONS = (*(kind.collection for kind in KINDS), PRICES, RECOMMENDATIONS)

# Slots after its own in which a document may still change: two days at life size.
_LONGEST_LIFE = 192

# Most deletions follow within an hour or two (a person's mistake, a test order), a few after days (retention).
_SOON = 4.0
_LATE_SHARE = 0.05


def produce(parameters: Parameters, interval: Interval) -> Iterator[Operation]:
    """Yield the operations of the interval, in order of time.

    They depend on the arguments alone. Applying any beginning of them, and then all of them, leaves the same documents
    as applying them once; so does applying them again after those of later intervals.
    """
    history = _History(Shop(parameters, KINDS))
    length = parameters.slot_seconds * 1000
    start, end = milliseconds(interval.start), milliseconds(interval.end)
    begins, finishes = datetime_of(start), datetime_of(end)
    first = start // length
    earliest = max(first - _LONGEST_LIFE, 0)
    if parameters.opening is not None:
        earliest = max(earliest, milliseconds(parameters.opening) // length)

    yield from first_prices(history.shop, begins)
    yield from first_recommendations(history.shop, begins)
    waiting: defaultdict[int, list[Operation]] = defaultdict(list)
    for number in range(earliest, -(-end // length)):
        for operation in history.beginning_in(Slot(number, parameters.slot_seconds), first - number):
            if begins <= operation.at < finishes:
                waiting[milliseconds(operation.at) // length].append(operation)
        yield from sorted(waiting.pop(number, ()), key=attrgetter("at"))


class _History:
    """What begins in each slot of a shop."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._lasting = cache(self._first_lasting)

    def beginning_in(self, slot: Slot, slots_before: int) -> Iterator[Operation]:
        """Yield everything that begins in a slot; of one before the interval, what still matters so many slots later.

        A deletion needs no more than a document's place in its slot, so it may come long after all else.
        """
        for kind in KINDS:
            ordinals = self.shop.ordinals(kind, slot)
            if not ordinals:
                continue
            deletions = self._deletions(kind, slot, ordinals)
            if slots_before <= kind.reach:
                for index, life in enumerate(kind.lives(self.shop, slot, self.shop.updates(kind, ordinals))):
                    yield from life if index not in deletions else self._shortened(life, kind, slot, deletions[index])
            for index, time in deletions.items():
                yield Delete(kind.collection, datetime_of(time), self.shop.key(kind.collection, slot, index))
        if slots_before <= 0:
            yield from price_changes(self.shop, slot)
            yield from replacements(self.shop, slot)

    def _deletions(self, kind: Kind, slot: Slot, ordinals: range) -> dict[int, int]:
        """Return index → millisecond of deletion; that comes after the slot's end, and so after the document."""
        doomed = [index for index, ordinal in enumerate(ordinals) if self.shop.is_deleted(ordinal)]
        if not doomed:
            return {}
        rng = self.shop.random_in(slot, f"{kind.collection} deletions")
        times = {}
        for index in doomed:
            is_late = rng.random() < _LATE_SHARE
            slots = rng.uniform(_SOON, _LONGEST_LIFE - 1) if is_late else rng.expovariate(1 / _SOON)
            times[index] = slot.end + int(min(slots, _LONGEST_LIFE - 1) * slot.seconds * 1000)
        return times

    def _shortened(self, life: list[Operation], kind: Kind, slot: Slot, time: int) -> Iterator[Operation]:
        """Yield what happens to a document before its deletion; its insert names the witness."""
        for operation in life:
            if isinstance(operation, Insert):
                yield replace(operation, witness=self._witness(kind, slot, time // (slot.seconds * 1000)))
            elif operation.at < datetime_of(time):
                yield operation

    def _witness(self, kind: Kind, slot: Slot, end: int) -> ObjectId | None:
        """Return the witness nearest to the slot ``end`` of the deletion: before it, or else soon after."""
        for number in (*range(end, slot.number, -1), *range(end + 1, end + _LONGEST_LIFE)):
            if key := self._lasting(kind, Slot(number, slot.seconds)):
                return key
        return None

    def _first_lasting(self, kind: Kind, slot: Slot) -> ObjectId | None:
        """Return the first document of a slot that is never deleted."""
        for index, ordinal in enumerate(self.shop.ordinals(kind, slot)):
            if not self.shop.is_deleted(ordinal):
                return self.shop.key(kind.collection, slot, index)
        return None
