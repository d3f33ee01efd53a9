"""ModerationQueue: reviews that wait for moderation and are then approved or rejected."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from warehouse_jobs.generator.documents import MODERATION_QUEUE, Review
from warehouse_jobs.generator.operations import Insert, Operation, Update
from warehouse_jobs.generator.slots import Slot, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.shop import Shop

PENDING = "pending"
APPROVED = "approved"
REJECTED = "rejected"

_RATINGS = (1, 2, 3, 4, 5)
_RATING_SUMS = tuple(accumulate((9, 6, 11, 28, 46)))
_FLAGS = ("spam", "offensive", "off_topic", "fake", "personal_data")
_REJECTED_SHARE = 0.12
_FLAGGED_SHARE = 0.06
_LONGEST_WAIT_MINUTES = 1440.0

# Of the reviews that nobody comes back to, most were decided by a program when they were written.
_DECIDED_AT_ONCE_SHARE = 0.8


def reviews(shop: Shop, slot: Slot, ordinals: Ordinals, deleted: Mapping[int, int]) -> Iterator[Operation]:
    """The reviews written in the slot and the moderation of those that are updated."""
    rng = shop.random(MODERATION_QUEUE, slot)
    identity = shop.visitors(MODERATION_QUEUE)
    population = shop.population
    count = ordinals.count
    ratings = rng.choices(_RATINGS, cum_weights=_RATING_SUMS, k=count)
    authors = zip(population.users.choose(rng, count), population.products.choose(rng, count), ratings, strict=True)
    for index, (user, product, rating) in enumerate(authors):
        updated = shop.mix.updates(MODERATION_QUEUE, ordinals.first + index) > 0
        submitted = slot.instant(rng)
        opinions = shop.vocabulary.opinions[rating]
        status, flags = _verdict(rng)
        decided = not updated and rng.random() < _DECIDED_AT_ONCE_SHARE
        key = identity.key(slot, index)
        document = Review(
            _id=key,
            review_id=identity.name(slot, index),
            user_id=user,
            product_id=product,
            review_text=opinions[int(rng.random() * len(opinions))],
            rating=rating,
            moderation_status=status if decided else PENDING,
            flags=flags if decided else [],
            submitted_at=moment(submitted),
        )
        yield Insert(MODERATION_QUEUE, document["submitted_at"], document)
        if updated:
            wait = min(1 + rng.expovariate(1 / 120), _LONGEST_WAIT_MINUTES)
            at = submitted + 1 + int(wait * shop.minute)
            if at < deleted.get(index, at + 1):
                changes = {"$set": {"moderation_status": status, "flags": flags}}
                yield Update(MODERATION_QUEUE, moment(at), key, {"moderation_status": PENDING}, changes)


def _verdict(rng: Random) -> tuple[str, list[str]]:
    """A rejected review has flags that say why; a few approved ones were flagged and passed all the same."""
    if rng.random() < _REJECTED_SHARE:
        return REJECTED, sorted(rng.sample(_FLAGS, 1 + (rng.random() < _REJECTED_SHARE)))
    return APPROVED, [rng.choice(_FLAGS)] if rng.random() < _FLAGGED_SHARE else []
