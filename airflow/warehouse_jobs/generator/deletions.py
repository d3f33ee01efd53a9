"""Which documents are deleted, and when: known from their ordinals, without the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse_jobs.generator.operations import Delete
from warehouse_jobs.generator.slots import Slot, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bson import ObjectId

    from warehouse_jobs.generator.identity import Identity
    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.shop import Shop

LONGEST_LIFE = 192
"""Slots after its own in which a document may still change: two days at life size."""

# Most deletions follow within an hour or two (a person's mistake, a test order), a few after days (retention).
_SOON = 4.0
_LATE_SHARE = 0.05


def deletions(shop: Shop, slot: Slot, collection: str, ordinals: Ordinals) -> dict[int, int]:
    """Index in the slot → millisecond of deletion, for the documents that begin in the slot and are deleted.

    A deletion comes after the slot's end, and so after the document.
    """
    rng = shop.random(f"{collection} deletions", slot)
    slot_length = slot.seconds * 1000
    times = {}
    for index in range(ordinals.count):
        if shop.mix.deleted(ordinals.first + index):
            late = rng.random() < _LATE_SHARE
            delay = rng.uniform(_SOON, LONGEST_LIFE - 1) if late else rng.expovariate(1 / _SOON)
            times[index] = slot.end + int(min(delay, LONGEST_LIFE - 1) * slot_length)
    return times


def delete_operations(slot: Slot, collection: str, identity: Identity, times: dict[int, int]) -> Iterator[Delete]:
    """The deletions as operations."""
    for index, time in times.items():
        key: ObjectId = identity.key(slot, index)
        yield Delete(collection, moment(time), key)
