"""The history of a shop as operations: pure, endless in both directions, read through an interval.

1. The catalogue as of the interval's start.
2. Slot by slot, what begins in the slot and everything that follows from it later (an answer to a ticket, the end of
   a session, a deletion). What falls outside the interval is left to the interval that it falls into.
3. The operations of the slot in order of time, with those that earlier slots left for it.

Hence two intervals that meet give the same operations as one interval over both, apart from the catalogue at the start
of the second, which is there already.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

from warehouse_jobs.generator.catalogue import catalogue, price_changes, replacements
from warehouse_jobs.generator.deletions import LONGEST_LIFE, delete_operations, deletions
from warehouse_jobs.generator.documents import (
    EVENT_LOGS,
    MODERATION_QUEUE,
    SEARCH_QUERIES,
    SUPPORT_TICKETS,
    USER_SESSIONS,
)
from warehouse_jobs.generator.events import events
from warehouse_jobs.generator.reviews import reviews
from warehouse_jobs.generator.searches import searches
from warehouse_jobs.generator.sessions import LONGEST_SESSION, sessions
from warehouse_jobs.generator.shop import Shop
from warehouse_jobs.generator.slots import Slot, milliseconds, moment
from warehouse_jobs.generator.tickets import tickets
from warehouse_jobs.generator.witnesses import Witnesses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.operations import Operation
    from warehouse_jobs.generator.parameters import Interval, Parameters

_Beginning: TypeAlias = "Callable[[Shop, Slot, Ordinals, Mapping[int, int]], Iterator[Operation]]"

_IN_ORDER_OF_TIME = attrgetter("at")

# For how many slots each kind of document goes on after its own, and what begins in a slot. Deletions may come later
# than that: they need no more than a document's place in its slot.
_BEGINNINGS: dict[str, tuple[int, _Beginning]] = {
    USER_SESSIONS: (LONGEST_SESSION, sessions),
    EVENT_LOGS: (0, lambda shop, slot, ordinals, _: events(shop, slot, ordinals)),
    SUPPORT_TICKETS: (LONGEST_LIFE, tickets),
    MODERATION_QUEUE: (LONGEST_LIFE, reviews),
    SEARCH_QUERIES: (0, lambda shop, slot, ordinals, _: searches(shop, slot, ordinals)),
}


def produce(parameters: Parameters, interval: Interval) -> Iterator[Operation]:
    """The operations of the interval, in order of time.

    They depend on the arguments alone. Applying any beginning of them, and then all of them, leaves the same documents
    as applying them once; so does applying them again after those of later intervals.
    """
    shop = Shop.of(parameters)
    witnesses = Witnesses(shop)
    length = parameters.slot_seconds * 1000
    start, end = milliseconds(interval.start), milliseconds(interval.end)
    begins, finishes = moment(start), moment(end)
    first = start // length
    earliest = first - LONGEST_LIFE
    if parameters.opening is not None:
        earliest = max(earliest, milliseconds(parameters.opening) // length)

    yield from catalogue(shop, begins)
    waiting: defaultdict[int, list[Operation]] = defaultdict(list)
    for number in range(max(earliest, 0), -(-end // length)):
        slot = Slot(number, parameters.slot_seconds)
        for operation in _beginning(shop, witnesses, slot, first - number):
            if begins <= operation.at < finishes:
                waiting[milliseconds(operation.at) // length].append(operation)
        yield from sorted(waiting.pop(number, ()), key=_IN_ORDER_OF_TIME)


def _beginning(shop: Shop, witnesses: Witnesses, slot: Slot, slots_before: int) -> Iterator[Operation]:
    """Everything that begins in a slot; for one before the interval, what can still matter so many slots later."""
    for kind, (reach, begin) in _BEGINNINGS.items():
        ordinals = shop.mix.of_kind(kind, slot)
        deleted = deletions(shop, slot, kind, ordinals)
        if slots_before <= reach:
            begun = begin(shop, slot, ordinals, deleted)
            yield from witnesses.given(begun, slot, kind, deleted) if deleted else begun
        yield from delete_operations(slot, kind, shop.visitors(kind), deleted)
    if slots_before <= 0:
        yield from price_changes(shop, slot)
        yield from replacements(shop, slot)
