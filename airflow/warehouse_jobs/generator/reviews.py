"""ModerationQueue: reviews that wait for moderation (``pending``) and are then ``approved`` or ``rejected``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warehouse_jobs.generator.operations import Document, Insert, Operation, Update
from warehouse_jobs.generator.shop import Kind, Shop
from warehouse_jobs.generator.times import Slot, datetime_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

COLLECTION = "ModerationQueue"

_OPINIONS = {
    1: ("Broke after a day.", "Not what was described.", "Would not buy again."),
    2: ("Cheaper than it looks.", "Arrived late and scratched.", "Disappointing."),
    3: ("Does its job.", "Fine for the price.", "Neither good nor bad."),
    4: ("Good quality, small flaws.", "Happy with it.", "Nearly perfect."),
    5: ("Exactly what I wanted.", "Excellent, my whole family likes it.", "Best purchase of the year."),
}
_RATING_WEIGHTS = (9, 6, 11, 28, 46)
_FLAGS = ("spam", "offensive", "off_topic", "fake", "personal_data")
_REJECTED_SHARE = 0.12
_FLAGGED_SHARE = 0.06
_LONGEST_WAIT_MINUTES = 1440.0

# Of the reviews that nobody comes back to, most were decided by a program when they were written.
_DECIDED_AT_ONCE_SHARE = 0.8


def _lives(shop: Shop, slot: Slot, updates: Sequence[int]) -> Iterator[list[Operation]]:
    rng = shop.random_in(slot, COLLECTION)
    count = len(updates)
    ratings = rng.choices(tuple(_OPINIONS), _RATING_WEIGHTS, k=count)
    authors = zip(shop.users.choose(rng, count), shop.products.choose(rng, count), ratings, strict=True)
    for index, (user, product, rating) in enumerate(authors):
        submitted = slot.instant(rng)
        verdict = _verdict(rng)
        is_decided = not updates[index] and rng.random() < _DECIDED_AT_ONCE_SHARE
        review: Document = {
            "_id": shop.key(COLLECTION, slot, index),
            "review_id": shop.name(COLLECTION, slot, index),
            "user_id": user,
            "product_id": product,
            "review_text": f"{rng.choice(_OPINIONS[rating])} {rng.choice(shop.words.remarks)}",
            "rating": rating,
            **(verdict if is_decided else {"moderation_status": "pending", "flags": []}),
            "submitted_at": datetime_of(submitted),
        }
        life: list[Operation] = [Insert(COLLECTION, review["submitted_at"], review)]
        if updates[index]:
            wait = min(1 + rng.expovariate(1 / 120), _LONGEST_WAIT_MINUTES)
            at = datetime_of(submitted + 1 + int(wait * shop.minute))
            life.append(Update(COLLECTION, at, review["_id"], {"moderation_status": "pending"}, {"$set": verdict}))
        yield life


def _verdict(rng: Random) -> Document:
    """Return a decision: what is rejected has flags that say why; a little was flagged and approved all the same."""
    if rng.random() < _REJECTED_SHARE:
        flags = sorted(rng.sample(_FLAGS, 1 + (rng.random() < _REJECTED_SHARE)))
        return {"moderation_status": "rejected", "flags": flags}
    flags = [rng.choice(_FLAGS)] if rng.random() < _FLAGGED_SHARE else []
    return {"moderation_status": "approved", "flags": flags}


REVIEWS = Kind(COLLECTION, "review", 8, _lives, update_share=12, most_updates=1, reach=192)
