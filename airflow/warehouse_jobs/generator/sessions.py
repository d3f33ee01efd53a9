"""UserSessions: visits with actions in order, written when they begin and pushed to until they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from warehouse_jobs.generator.documents import USER_SESSIONS, Action, UserSession
from warehouse_jobs.generator.operations import Insert, Operation, Update
from warehouse_jobs.generator.slots import Slot, moment
from warehouse_jobs.generator.vocabulary import CATEGORIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from random import Random

    from bson import ObjectId

    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.shop import Shop

LONGEST_SESSION = 5
"""Slots after its own in which a session may still last."""

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
_T = TypeVar("_T")

_SHOP_PAGES = ("/", "/cart", "/account", "/deals", "/checkout", *(f"/catalog/{name}" for name in CATEGORIES))
_PRODUCT_PAGE_SHARE = 0.4
_LONGEST_MINUTES = 60.0
_MOST_ACTIONS = 25

# In milliseconds: room for all actions of a session that has to end within its slot.
_SHORTEST = _MOST_ACTIONS + 1


def sessions(shop: Shop, slot: Slot, ordinals: Ordinals, deleted: Mapping[int, int]) -> Iterator[Operation]:
    """The visits that begin in the slot, with all that follows from each until it ends or is deleted.

    A visit that is never updated is written complete, and ends within the slot.
    """
    rng = shop.random(USER_SESSIONS, slot)
    identity = shop.visitors(USER_SESSIONS)
    users = shop.population.users
    devices = shop.vocabulary.devices
    for index, user in enumerate(users.ranks(rng, ordinals.count)):
        updates = shop.mix.updates(USER_SESSIONS, ordinals.first + index)
        start = min(slot.instant(rng), slot.end - _SHORTEST)
        length = int(min(rng.lognormvariate(2.0, 0.9), _LONGEST_MINUTES) * shop.minute)
        if not updates:
            length = min(length, slot.end - 1 - start)
        moments = _moments(rng, start, length, max(updates, min(1 + int(rng.expovariate(0.25)), _MOST_ACTIONS)))
        end = moment(max(start + length, moments[-1]))
        kind, agent = devices[shop.population.device(user, rng.random(), len(devices))]
        document = UserSession(
            _id=identity.key(slot, index),
            session_id=identity.name(slot, index),
            user_id=users.names[user],
            start_time=moment(start),
            end_time=end,
            pages_visited=_pages(shop, rng),
            device={"type": kind, "user_agent": agent},
            actions=_actions(rng, moments),
        )
        if updates:
            yield from _growing(document, end, updates, deleted.get(index))
        else:
            yield Insert(USER_SESSIONS, end, document)


def _growing(complete: UserSession, end: datetime, updates: int, deleted: int | None) -> Iterator[Operation]:
    """The session as it begins, then its pages and actions in portions, the last of which ends it."""
    actions, pages = complete["actions"], complete["pages_visited"]
    complete["actions"], complete["pages_visited"], complete["end_time"] = [], pages[:1], None
    yield Insert(USER_SESSIONS, complete["start_time"], complete)
    for number in range(updates):
        new_actions = _portion(actions, number, updates)
        new_pages = _portion(pages[1:], number, updates)
        ends = number == updates - 1
        at = end if ends else new_actions[-1]["timestamp"]
        if deleted is not None and at >= moment(deleted):
            return
        push: dict[str, object] = {"actions": {"$each": new_actions}}
        if new_pages:
            push["pages_visited"] = {"$each": new_pages}
        changes: dict[str, object] = {"$push": push, "$set": {"end_time": end}} if ends else {"$push": push}
        guard = {"actions.timestamp": {"$not": {"$gte": new_actions[0]["timestamp"]}}}
        yield Update(USER_SESSIONS, at, _key(complete), guard, changes)


def _key(document: UserSession) -> ObjectId:
    return document["_id"]


def _portion(items: list[_T], number: int, portions: int) -> list[_T]:
    """One of equal portions, which differ by one at most; none is empty when there are enough items."""
    return items[len(items) * number // portions : len(items) * (number + 1) // portions]


def _moments(rng: Random, start: int, length: int, count: int) -> list[int]:
    """Different milliseconds in order, the first after the start; a short session is stretched to hold them."""
    length = max(length - count, 0)
    return [
        start + number + int(share * length)
        for number, share in enumerate(sorted(rng.random() for _ in range(count)), 1)
    ]


def _actions(rng: Random, moments: list[int]) -> list[Action]:
    return [
        Action(action_type=kind, element=element, timestamp=moment(time))
        for time, (kind, element) in zip(moments, rng.choices(_ACTIONS, k=len(moments)), strict=True)
    ]


def _pages(shop: Shop, rng: Random) -> list[str]:
    """Where the visit led: the shop's pages and those of popular products."""
    count = 1 + min(int(rng.expovariate(0.25)), 19)
    pages = rng.choices(_SHOP_PAGES, k=count)
    products = shop.population.products.choose(rng, int(count * _PRODUCT_PAGE_SHARE + rng.random()))
    for product in products:
        pages[int(rng.random() * count)] = f"/product/{product}"
    return pages
