"""ProductPriceHistory: every product from the beginning of an interval on, and the changes of its price.

``current_price`` is that of the last change. Prices are Decimal128: money is decimal, so ``19.99`` stays ``19.99`` on
its way to a ``numeric`` column, where a double would arrive as the nearest binary fraction.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from bson import Decimal128

from warehouse_jobs.generator.operations import Insert, Update
from warehouse_jobs.generator.times import Slot, datetime_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from warehouse_jobs.generator.shop import Shop

COLLECTION = "ProductPriceHistory"


def first_prices(shop: Shop, at: datetime) -> Iterator[Insert]:
    """Yield every product with its list price, as of a time."""
    for number, name in zip(shop.products.numbers, shop.products.names, strict=True):
        price = _price(shop, number, 1)
        product = {
            "_id": shop.lasting_key(COLLECTION, number),
            "product_id": name,
            "price_changes": [{"timestamp": at, "price": price}],
            "current_price": price,
            "currency": "EUR",
        }
        yield Insert(COLLECTION, at, product)


def price_changes(shop: Shop, slot: Slot) -> Iterator[Update]:
    """Yield the prices that change in the slot: around the list price of their product, so they never run away."""
    rng = shop.random_in(slot, COLLECTION)
    for rank in shop.products.ranks(rng, shop.price_changes(slot)):
        at = datetime_of(slot.instant(rng))
        number = shop.products.numbers[rank]
        price = _price(shop, number, rng.uniform(0.75, 1.15))
        guard = {"price_changes.timestamp": {"$not": {"$gte": at}}}
        changes = {"$push": {"price_changes": {"timestamp": at, "price": price}}, "$set": {"current_price": price}}
        yield Update(COLLECTION, at, shop.lasting_key(COLLECTION, number), guard, changes)


def _price(shop: Shop, number: int, factor: float) -> Decimal128:
    """Return a price around the list price of a product, which is between 4 and 2,000: many cheap ones, few dear."""
    spread = (number * 0.618_033_988 + shop.parameters.seed % 1_000 * 0.001) % 1
    return Decimal128(Decimal(factor * 4 * math.exp(spread * math.log(500))).quantize(Decimal("0.01")))
