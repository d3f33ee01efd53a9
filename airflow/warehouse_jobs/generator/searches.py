"""SearchQueries: what visitors looked for, never updated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse_jobs.generator.documents import SEARCH_QUERIES, SearchQuery
from warehouse_jobs.generator.operations import Insert
from warehouse_jobs.generator.slots import Slot, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.shop import Shop

_PRICE_RANGES = ("0-50", "0-100", "50-100", "100-500", "100-250", "250-500", "500-1000", "1000-5000")
_WHOLE_SHOP_SHARE = 0.06
_NOTHING_FOUND_SHARE = 0.05


def searches(shop: Shop, slot: Slot, ordinals: Ordinals) -> Iterator[Insert]:
    """The searches of the slot; some go through the whole shop and have no category."""
    rng = shop.random(SEARCH_QUERIES, slot)
    identity = shop.visitors(SEARCH_QUERIES)
    population = shop.population
    draw = rng.random
    ranges = rng.choices(_PRICE_RANGES, k=ordinals.count)
    for index, (user, price_range) in enumerate(zip(population.users.ranks(rng, ordinals.count), ranges, strict=True)):
        at = moment(slot.instant(rng))
        category = population.category(user, draw())
        texts = shop.vocabulary.searches[category]
        # The square makes the first words of a category, the plain product names, the popular ones.
        text = texts[int(draw() ** 2 * len(texts))]
        document = SearchQuery(
            _id=identity.key(slot, index),
            query_id=identity.name(slot, index),
            user_id=population.users.names[user],
            query_text=text,
            timestamp=at,
            category=None if draw() < _WHOLE_SHOP_SHARE else category,
            price_range=price_range,
            results_count=0 if draw() < _NOTHING_FOUND_SHARE else 1 + int(rng.expovariate(1 / 40)),
        )
        yield Insert(SEARCH_QUERIES, at, document)
