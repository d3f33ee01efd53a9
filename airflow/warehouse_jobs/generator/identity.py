"""Names of documents that follow from the seed: ``_id`` and the shop's own identifiers.

An ``_id`` has the layout of every ObjectId: four bytes of time (the slot's beginning), five that tell the seed and the
collection apart, three of a counter. So the same document has the same ``_id`` whichever interval produced it, and two
documents never share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from bson import ObjectId

from warehouse_jobs.generator.documents import (
    EVENT_LOGS,
    MODERATION_QUEUE,
    SEARCH_QUERIES,
    SUPPORT_TICKETS,
    USER_SESSIONS,
)

if TYPE_CHECKING:
    from warehouse_jobs.generator.slots import Slot

MAX_PER_SLOT = 1 << 24
"""Documents of one collection in one slot that the counter can tell apart."""


# What the shop's own identifiers begin with, where a collection has them.
_PREFIXES = {
    USER_SESSIONS: "session",
    EVENT_LOGS: "event",
    SUPPORT_TICKETS: "ticket",
    MODERATION_QUEUE: "review",
    SEARCH_QUERIES: "query",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """The identifiers of one collection of one seed."""

    prefix: str
    mark: bytes

    @classmethod
    def of(cls, scope: str, collection: str) -> Identity:
        """The identity of a collection within a scope (the seed)."""
        return cls(_PREFIXES.get(collection, ""), blake2b(f"{scope}/{collection}".encode(), digest_size=5).digest())

    def key(self, slot: Slot, index: int) -> ObjectId:
        """The ``_id`` of the ``index``-th document that begins in the slot."""
        return ObjectId((slot.start // 1000).to_bytes(4) + self.mark + index.to_bytes(3))

    @staticmethod
    def index(key: ObjectId) -> int:
        """The index that :meth:`key` or :meth:`fixed` was given."""
        return int.from_bytes(key.binary[-3:])

    def fixed(self, index: int) -> ObjectId:
        """The ``_id`` of the ``index``-th member of a population, which belongs to no slot."""
        return ObjectId(bytes(4) + self.mark + index.to_bytes(3))

    def name(self, slot: Slot, index: int) -> str:
        """The shop's own identifier of the same document, unique across seeds, slots and indexes."""
        return f"{self.prefix}_{self.mark.hex()[:6]}{slot.number:08x}{index:05x}"
