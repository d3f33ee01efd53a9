"""SearchQueries: what visitors looked for, never updated. ``category`` is null for a search of the whole shop."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from warehouse_jobs.generator.operations import Insert, Operation
from warehouse_jobs.generator.shop import Kind, Shop
from warehouse_jobs.generator.times import Slot, datetime_of
from warehouse_jobs.generator.words import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLLECTION = "SearchQueries"

_PRICE_RANGES = ("0-50", "0-100", "50-100", "100-500", "100-250", "250-500", "500-1000", "1000-5000")
_WHOLE_SHOP_SHARE = 0.06
_NOTHING_FOUND_SHARE = 0.05


def _lives(shop: Shop, slot: Slot, updates: Sequence[int]) -> Iterator[list[Operation]]:
    rng = shop.random_in(slot, COLLECTION)
    draw = rng.random
    texts = {
        category: (*products, *map(" ".join, product(shop.words.colours, products)))
        for category, products in CATEGORIES.items()
    }
    for index, user in enumerate(shop.users.ranks(rng, len(updates))):
        at = datetime_of(slot.instant(rng))
        category = shop.category(user, rng)
        search = {
            "_id": shop.key(COLLECTION, slot, index),
            "query_id": shop.name(COLLECTION, slot, index),
            "user_id": shop.users.names[user],
            # The square makes the first words of a category, the plain product names, the popular ones.
            "query_text": texts[category][int(draw() ** 2 * len(texts[category]))],
            "timestamp": at,
            "category": None if draw() < _WHOLE_SHOP_SHARE else category,
            "price_range": rng.choice(_PRICE_RANGES),
            "results_count": 0 if draw() < _NOTHING_FOUND_SHARE else 1 + int(rng.expovariate(1 / 40)),
        }
        yield [Insert(COLLECTION, at, search)]


SEARCHES = Kind(COLLECTION, "query", 25, _lives)
