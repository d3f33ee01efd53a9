"""ProductPriceHistory and UserRecommendations: what the shop keeps for each product and for its regular users.

Both exist from the beginning of an interval, unless an earlier one wrote them: their first state is inserted then, at
its first instant.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from bson import Decimal128

from warehouse_jobs.generator.documents import (
    PRODUCT_PRICE_HISTORY,
    USER_RECOMMENDATIONS,
    ProductPrices,
    Recommendations,
)
from warehouse_jobs.generator.operations import Insert, Replace, Update
from warehouse_jobs.generator.randomness import random_source
from warehouse_jobs.generator.slots import Slot, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from random import Random

    from warehouse_jobs.generator.shop import Shop

CURRENCY = "EUR"

_CENT = Decimal("0.01")
_RECOMMENDED = (5, 10)


def catalogue(shop: Shop, at: datetime) -> Iterator[Insert]:
    """Every product with its list price and every regular user with first recommendations, as of a time."""
    products = shop.population.products
    identity = shop.catalogue(PRODUCT_PRICE_HISTORY)
    for number, product in zip(products.numbers, products.names, strict=True):
        price = _price(_list_price(shop, number))
        document = ProductPrices(
            _id=identity.fixed(number),
            product_id=product,
            price_changes=[{"timestamp": at, "price": price}],
            current_price=price,
            currency=CURRENCY,
        )
        yield Insert(PRODUCT_PRICE_HISTORY, at, document)
    rng = random_source(shop.parameters.seed, USER_RECOMMENDATIONS)
    for rank in range(shop.parameters.recommended_users):
        yield Insert(USER_RECOMMENDATIONS, at, _recommendations(shop, rng, rank, at))


def price_changes(shop: Shop, slot: Slot) -> Iterator[Update]:
    """The prices that change in the slot: around the list price of their product, so they never run away."""
    rng = shop.random(PRODUCT_PRICE_HISTORY, slot)
    products = shop.population.products
    identity = shop.catalogue(PRODUCT_PRICE_HISTORY)
    for rank in products.ranks(rng, shop.mix.price_changes(slot)):
        at = moment(slot.instant(rng))
        number = products.numbers[rank]
        price = _price(_list_price(shop, number) * rng.uniform(0.75, 1.15))
        yield Update(
            PRODUCT_PRICE_HISTORY,
            at,
            identity.fixed(number),
            {"price_changes.timestamp": {"$not": {"$gte": at}}},
            {"$push": {"price_changes": {"timestamp": at, "price": price}}, "$set": {"current_price": price}},
        )


def replacements(shop: Shop, slot: Slot) -> Iterator[Replace]:
    """The recommendations that are replaced in the slot."""
    rng = shop.random(USER_RECOMMENDATIONS, slot)
    for _ in range(shop.mix.replacements(slot)):
        rank = int(rng.random() * shop.parameters.recommended_users)
        at = moment(slot.instant(rng))
        yield Replace(USER_RECOMMENDATIONS, at, _recommendations(shop, rng, rank, at), {"last_updated": {"$lt": at}})


def _recommendations(shop: Shop, rng: Random, rank: int, at: datetime) -> Recommendations:
    """For the user of a rank: different products, popular ones first in mind."""
    users, products = shop.population.users, shop.population.products
    chosen = products.choose(rng, rng.randint(*_RECOMMENDED))
    return Recommendations(
        _id=shop.catalogue(USER_RECOMMENDATIONS).fixed(users.numbers[rank]),
        user_id=users.names[rank],
        recommended_products=list(dict.fromkeys(chosen)),
        last_updated=at,
    )


def _list_price(shop: Shop, number: int) -> float:
    """The price that a product was meant to have, between 4 and 2,000: many cheap ones, few dear ones."""
    spread = (number * 0.618_033_988 + shop.parameters.seed % 1_000 * 0.001) % 1
    return 4 * math.exp(spread * math.log(500))


def _price(amount: float) -> Decimal128:
    return Decimal128(Decimal(amount).quantize(_CENT))
