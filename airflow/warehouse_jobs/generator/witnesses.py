"""How a repetition tells a document that has been deleted from one that was never written.

Both are absent. But a collection is written in order of time: where a later document of it is there, the earlier one
was, too. So a document that will be deleted gets a *witness*, a document of its collection that begins after it, by the
time of the deletion, and is never deleted. Both follow from the seed and the time, so nothing has to be stored.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from warehouse_jobs.generator.deletions import LONGEST_LIFE
from warehouse_jobs.generator.identity import Identity
from warehouse_jobs.generator.operations import Insert, Operation
from warehouse_jobs.generator.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bson import ObjectId

    from warehouse_jobs.generator.shop import Shop


class Witnesses:
    """The witnesses of one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._lasting = cache(self._find_lasting)

    def given(
        self, operations: Iterable[Operation], slot: Slot, kind: str, deleted: Mapping[int, int]
    ) -> Iterator[Operation]:
        """The operations of a slot's documents; the inserts of those that are deleted name their witness."""
        for operation in operations:
            if isinstance(operation, Insert):
                time = deleted.get(Identity.index(operation.document["_id"]))
                if time is not None:
                    yield replace(operation, witness=self._of(kind, slot, time // (slot.seconds * 1000)))
                    continue
            yield operation

    def _of(self, kind: str, slot: Slot, end: int) -> ObjectId | None:
        """The witness nearest to the slot ``end`` of the deletion: before it if there is one, else soon after it."""
        for number in (*range(end, slot.number, -1), *range(end + 1, end + LONGEST_LIFE)):
            key = self._lasting(kind, Slot(number, slot.seconds))
            if key is not None:
                return key
        return None

    def _find_lasting(self, kind: str, slot: Slot) -> ObjectId | None:
        """The first document of a slot that is never deleted."""
        ordinals = self._shop.mix.of_kind(kind, slot)
        for index in range(ordinals.count):
            if not self._shop.mix.deleted(ordinals.first + index):
                return self._shop.visitors(kind).key(slot, index)
        return None
