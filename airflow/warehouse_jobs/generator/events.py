"""EventLogs: what happened, never updated. An order is the event ``order_placed``.

``details.user_id`` is null for a visitor who is not logged in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse_jobs.generator.operations import Insert, Operation
from warehouse_jobs.generator.shop import Kind, Shop
from warehouse_jobs.generator.times import Slot, datetime_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLLECTION = "EventLogs"

# Weight, share that fails, share of visitors who are not logged in.
_TYPES = {
    "page_view": (34, 0.01, 0.15),
    "product_view": (22, 0.01, 0.10),
    "login": (12, 0.06, 0.0),
    "add_to_cart": (10, 0.02, 0.0),
    "order_placed": (7, 0.0, 0.0),
    "payment": (7, 0.05, 0.0),
    "logout": (5, 0.0, 0.0),
    "remove_from_cart": (3, 0.01, 0.0),
}
_WEIGHTS = tuple(weight for weight, _, _ in _TYPES.values())


def _lives(shop: Shop, slot: Slot, updates: Sequence[int]) -> Iterator[list[Operation]]:
    rng = shop.random_in(slot, COLLECTION)
    count = len(updates)
    types = rng.choices(tuple(_TYPES), _WEIGHTS, k=count)
    for index, (user, kind) in enumerate(zip(shop.users.ranks(rng, count), types, strict=True)):
        at = datetime_of(slot.instant(rng))
        _, failing, anonymous = _TYPES[kind]
        event = {
            "_id": shop.key(COLLECTION, slot, index),
            "event_id": shop.name(COLLECTION, slot, index),
            "timestamp": at,
            "event_type": kind,
            "details": {
                "user_id": None if rng.random() < anonymous else shop.users.names[user],
                "ip_address": shop.address(user),
                "status": "failed" if rng.random() < failing else "success",
            },
        }
        yield [Insert(COLLECTION, at, event)]


EVENTS = Kind(COLLECTION, "event", 42, _lives)
