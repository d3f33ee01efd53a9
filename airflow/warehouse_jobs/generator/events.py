"""EventLogs: what happened, never updated. An order is the event ``order_placed``."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from warehouse_jobs.generator.documents import EVENT_LOGS, EventLog
from warehouse_jobs.generator.operations import Insert
from warehouse_jobs.generator.slots import Slot, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warehouse_jobs.generator.mix import Ordinals
    from warehouse_jobs.generator.shop import Shop

# Event type, weight, share that fails, share of visitors who are not logged in.
_TYPES = (
    ("page_view", 34, 0.01, 0.15),
    ("product_view", 22, 0.01, 0.10),
    ("login", 12, 0.06, 0.0),
    ("add_to_cart", 10, 0.02, 0.0),
    ("order_placed", 7, 0.0, 0.0),
    ("payment", 7, 0.05, 0.0),
    ("logout", 5, 0.0, 0.0),
    ("remove_from_cart", 3, 0.01, 0.0),
)
_SUMS = tuple(accumulate(weight for _, weight, _, _ in _TYPES))


def events(shop: Shop, slot: Slot, ordinals: Ordinals) -> Iterator[Insert]:
    """The events of the slot."""
    rng = shop.random(EVENT_LOGS, slot)
    identity = shop.visitors(EVENT_LOGS)
    users = shop.population.users
    types = rng.choices(_TYPES, cum_weights=_SUMS, k=ordinals.count)
    for index, (user, (kind, _, failing, anonymous)) in enumerate(
        zip(users.ranks(rng, ordinals.count), types, strict=True)
    ):
        at = moment(slot.instant(rng))
        draw = rng.random()
        document = EventLog(
            _id=identity.key(slot, index),
            event_id=identity.name(slot, index),
            timestamp=at,
            event_type=kind,
            details={
                "user_id": None if rng.random() < anonymous else users.names[user],
                "ip_address": shop.population.address(user),
                "status": "failed" if draw < failing else "success",
            },
        )
        yield Insert(EVENT_LOGS, at, document)
