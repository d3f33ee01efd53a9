"""UserRecommendations: what is recommended to regular users, from the beginning of an interval on; replaced whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse_jobs.generator.operations import Document, Insert, Replace
from warehouse_jobs.generator.times import Slot, datetime_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from random import Random

    from warehouse_jobs.generator.shop import Shop

COLLECTION = "UserRecommendations"


def first_recommendations(shop: Shop, at: datetime) -> Iterator[Insert]:
    """Yield first recommendations for every regular user, as of a time."""
    rng = shop.random(COLLECTION)
    for rank in range(shop.parameters.recommended_users):
        yield Insert(COLLECTION, at, _recommendations(shop, rng, rank, at))


def replacements(shop: Shop, slot: Slot) -> Iterator[Replace]:
    """Yield the recommendations that are replaced in the slot."""
    rng = shop.random_in(slot, COLLECTION)
    for _ in range(shop.replacements(slot)):
        rank = int(rng.random() * shop.parameters.recommended_users)
        at = datetime_of(slot.instant(rng))
        document = _recommendations(shop, rng, rank, at)
        yield Replace(COLLECTION, at, document["_id"], document, {"last_updated": {"$lt": at}})


def _recommendations(shop: Shop, rng: Random, rank: int, at: datetime) -> Document:
    """Return different products for the user of a rank, popular ones first in mind."""
    return {
        "_id": shop.lasting_key(COLLECTION, shop.users.numbers[rank]),
        "user_id": shop.users.names[rank],
        "recommended_products": list(dict.fromkeys(shop.products.choose(rng, rng.randint(5, 10)))),
        "last_updated": at,
    }
