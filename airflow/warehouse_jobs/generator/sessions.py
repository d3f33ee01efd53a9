"""UserSessions: visits with actions in order, written when they begin and pushed to until they end.

``end_time`` is null while a visit lasts; its actions are in order of time, within it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from warehouse_jobs.generator.operations import Document, Insert, Operation, Update
from warehouse_jobs.generator.shop import Kind, Shop
from warehouse_jobs.generator.times import Slot, datetime_of
from warehouse_jobs.generator.words import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

COLLECTION = "UserSessions"

_ACTIONS = (
    ("view", "product-card"),
    ("click", "product-card"),
    ("scroll", "product-list"),
    ("click", "add-to-cart-button"),
    ("input", "search-box"),
    ("click", "filter-price"),
    ("hover", "product-image"),
    ("click", "checkout-button"),
    ("click", "category-menu"),
    ("submit", "login-form"),
)
_SHOP_PAGES = ("/", "/cart", "/account", "/deals", "/checkout", *(f"/catalog/{name}" for name in CATEGORIES))
_PRODUCT_PAGE_SHARE = 0.4
_LONGEST_MINUTES = 60.0
_MOST_ACTIONS = 25

# In milliseconds: room for all actions of a session that has to end within its slot.
_SHORTEST = _MOST_ACTIONS + 1


def _lives(shop: Shop, slot: Slot, updates: Sequence[int]) -> Iterator[list[Operation]]:
    """Yield the visits that begin in the slot; one that is never updated is written complete, and ends within it."""
    rng = shop.random_in(slot, COLLECTION)
    for index, (user, count) in enumerate(zip(shop.users.ranks(rng, len(updates)), updates, strict=True)):
        start = min(slot.instant(rng), slot.end - _SHORTEST)
        length = int(min(rng.lognormvariate(2.0, 0.9), _LONGEST_MINUTES) * shop.minute)
        if not count:
            length = min(length, slot.end - 1 - start)
        times = _times(rng, start, length, max(count, min(1 + int(rng.expovariate(0.25)), _MOST_ACTIONS)))
        actions = [
            {"action_type": kind, "element": element, "timestamp": datetime_of(time)}
            for time, (kind, element) in zip(times, rng.choices(_ACTIONS, k=len(times)), strict=True)
        ]
        end = datetime_of(max(start + length, times[-1]))
        visit: Document = {
            "_id": shop.key(COLLECTION, slot, index),
            "session_id": shop.name(COLLECTION, slot, index),
            "user_id": shop.users.names[user],
            "start_time": datetime_of(start),
            "end_time": end,
            "pages_visited": _pages(shop, rng),
            "device": shop.device(user, rng),
            "actions": actions,
        }
        yield _growing(visit, count) if count else [Insert(COLLECTION, end, visit)]


def _growing(visit: Document, updates: int) -> list[Operation]:
    """Return the visit as it begins, then its pages and actions in portions, the last of which ends it."""
    actions, pages, end = visit["actions"], visit["pages_visited"][1:], visit["end_time"]
    beginning = visit | {"end_time": None, "pages_visited": visit["pages_visited"][:1], "actions": []}
    life: list[Operation] = [Insert(COLLECTION, visit["start_time"], beginning)]
    bounds = [(len(actions) * number // updates, len(pages) * number // updates) for number in range(updates + 1)]
    for (action, page), (next_action, next_page) in pairwise(bounds):
        new = actions[action:next_action]
        push = {"actions": {"$each": new}}
        if page < next_page:
            push["pages_visited"] = {"$each": pages[page:next_page]}
        is_last = next_action == len(actions)
        changes = {"$push": push} | ({"$set": {"end_time": end}} if is_last else {})
        guard = {"actions.timestamp": {"$not": {"$gte": new[0]["timestamp"]}}}
        life.append(Update(COLLECTION, end if is_last else new[-1]["timestamp"], visit["_id"], guard, changes))
    return life


def _times(rng: Random, start: int, length: int, count: int) -> list[int]:
    """Return different milliseconds in order, after the start; a short session is stretched to hold them."""
    shares = sorted(rng.random() for _ in range(count))
    return [start + number + int(share * max(length - count, 0)) for number, share in enumerate(shares, 1)]


def _pages(shop: Shop, rng: Random) -> list[str]:
    """Return where the visit led: the shop's pages and those of popular products."""
    count = 1 + min(int(rng.expovariate(0.25)), 19)
    pages = rng.choices(_SHOP_PAGES, k=count)
    for product in shop.products.choose(rng, int(count * _PRODUCT_PAGE_SHARE + rng.random())):
        pages[int(rng.random() * count)] = f"/product/{product}"
    return pages


SESSIONS = Kind(COLLECTION, "session", 20, _lives, update_share=40, most_updates=5, reach=5)
