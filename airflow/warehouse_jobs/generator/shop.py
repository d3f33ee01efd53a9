"""A shop before any document: its randomness, its people and products, its identifiers, and how much of what happens.

Volumes are whole-number arithmetic on *ordinals*: the n-th document since the epoch, and the n-th of its kind. So
volumes and shares come out exactly, over any stretch of time, without a counter to be stored between two runs.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

from bson import ObjectId

from warehouse_jobs.generator.parameters import LIFE_SIZE, Parameters
from warehouse_jobs.generator.words import CATEGORIES, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from warehouse_jobs.generator.operations import Operation
    from warehouse_jobs.generator.times import Slot

_SECOND_DEVICE_SHARE = 0.2
_FAVOURITE_SHARE = 0.6

# Of a hundred updates so many change prices; what no kind can take goes to the recommendations, which can be replaced
# without end. A product takes four in a day at life size.
_PRICE_UPDATES = 8
_MOST_PRICE_CHANGES = Fraction(4, 96)


@dataclass(frozen=True, slots=True)
class Kind:
    """A collection that visitors write to.

    ``share`` of a hundred documents and ``update_share`` of a hundred updates are its own; one document takes
    ``most_updates`` at most, and changes for ``reach`` slots after its own. ``lives`` yields for each document that
    begins in a slot, given how many updates it gets, its insertion and all that follows from it, in order of time.
    """

    collection: str
    prefix: str
    share: int
    lives: Callable[[Shop, Slot, Sequence[int]], Iterator[list[Operation]]]
    update_share: int = 0
    most_updates: int = 0
    reach: int = 0


class Crowd:
    """Numbered members by popularity: rank r is chosen in proportion to ``1 / (r + 3) ** exponent`` (Zipf).

    ``numbers`` and ``names`` are in order of rank.
    """

    def __init__(self, prefix: str, digits: int, size: int, exponent: float, rng: Random) -> None:
        self.numbers = rng.sample(range(1, size + 1), size)
        self.names = [f"{prefix}_{number:0{digits}d}" for number in self.numbers]
        self._sums = list(accumulate((rank + 3) ** -exponent for rank in range(size)))

    def ranks(self, rng: Random, count: int) -> list[int]:
        """Return the ranks of so many independent choices."""
        sums, draw = self._sums, rng.random
        total, last = sums[-1], len(sums) - 1
        return [min(bisect(sums, draw() * total), last) for _ in range(count)]

    def choose(self, rng: Random, count: int) -> list[str]:
        """Return the names of so many independent choices."""
        return [self.names[rank] for rank in self.ranks(rng, count)]


class Shop:
    """A shop as the modules of its collections see it; ``minute`` is one of its minutes in milliseconds."""

    def __init__(self, parameters: Parameters, kinds: Sequence[Kind]) -> None:
        self.parameters = parameters
        self.words = words(parameters.seed)
        self.minute = 60_000 * parameters.slot_seconds / LIFE_SIZE
        rng = self.random("population")
        self.users = Crowd("user", 6, parameters.users, 0.8, rng)
        self.products = Crowd("product", 5, parameters.products, 0.9, rng)
        self._salt = rng.getrandbits(24)
        self._mark = cache(self._new_mark)
        self._prefixes = {kind.collection: kind.prefix for kind in kinds}

        pattern = [kind for kind in kinds for _ in range(kind.share)]
        _random("mix").shuffle(pattern)
        self._before = {kind: tuple(accumulate((each is kind for each in pattern), initial=0)) for kind in kinds}
        per_document = parameters.update_share / parameters.insert_share
        self._updates = {
            kind: min(per_document * kind.update_share / kind.share, Fraction(kind.most_updates)) for kind in kinds
        }
        documents_per_slot = parameters.documents_per_day * parameters.slot_seconds / (24 * 3600)
        self._price_changes = min(
            per_document * _PRICE_UPDATES / 100, parameters.products * _MOST_PRICE_CHANGES / documents_per_slot
        )
        taken = sum(rate * kind.share / 100 for kind, rate in self._updates.items())
        self._replacements = per_document - self._price_changes - taken
        self._deletes = parameters.delete_share / parameters.insert_share

    def random(self, *names: object) -> Random:
        """Return the randomness of a purpose: the same in every process, whatever was drawn before."""
        return _random(self.parameters.seed, *names)

    def random_in(self, slot: Slot, purpose: str) -> Random:
        """Return the randomness of a purpose in one slot."""
        return self.random(purpose, slot.seconds, slot.number)

    def key(self, collection: str, slot: Slot, index: int) -> ObjectId:
        """Return the ``_id`` of the ``index``-th document that begins in the slot.

        It has the layout of every ObjectId: four bytes of time (the slot's beginning), five that tell the seed and the
        collection apart, three of a counter. So it is the same whichever interval produced it, and unique.
        """
        return ObjectId((slot.start // 1000).to_bytes(4) + self._mark(collection, slot.seconds) + index.to_bytes(3))

    def name(self, collection: str, slot: Slot, index: int) -> str:
        """Return the shop's own identifier of the same document, unique across seeds, slots and indexes."""
        mark = self._mark(collection, slot.seconds).hex()[:6]
        return f"{self._prefixes[collection]}_{mark}{slot.number:08x}{index:05x}"

    def lasting_key(self, collection: str, number: int) -> ObjectId:
        """Return the ``_id`` of the document of a user or a product, which belongs to no slot."""
        return ObjectId(bytes(4) + self._mark(collection) + number.to_bytes(3))

    def device(self, user: int, rng: Random) -> dict[str, str]:
        """Return the device that a user takes: nearly always the first of two."""
        devices = self.words.devices
        number = self._trait(user, 2 if rng.random() < _SECOND_DEVICE_SHARE else 1)
        kind, agent = devices[number % len(devices)]
        return {"type": kind, "user_agent": agent}

    def address(self, user: int) -> str:
        """Return the IP address of a user, from a range that is reserved for private use."""
        trait = self._trait(user, 3)
        return f"10.{trait >> 16 & 255}.{trait >> 8 & 255}.{trait & 255}"

    def category(self, user: int, rng: Random) -> str:
        """Return the category that a user looks in: most of the time the favourite one."""
        names = tuple(CATEGORIES)
        chosen = self._trait(user, 4) % len(names) if rng.random() < _FAVOURITE_SHARE else rng.randrange(len(names))
        return names[chosen]

    def ordinals(self, kind: Kind, slot: Slot) -> range:
        """Return the ordinals, among those of their kind, of the documents that begin in the slot."""
        first, end = (
            total // 100 * kind.share + self._before[kind][total % 100] for total in (_totals(self.parameters, slot))
        )
        return range(first, end)

    def updates(self, kind: Kind, ordinals: Iterable[int]) -> list[int]:
        """Return how many updates each of these documents gets in its life."""
        rate = self._updates[kind]
        return [due(rate, ordinal, ordinal + 1) for ordinal in ordinals]

    def is_deleted(self, ordinal: int) -> bool:
        """Return whether the n-th document of a kind is deleted some day."""
        return due(self._deletes, ordinal, ordinal + 1) > 0

    def price_changes(self, slot: Slot) -> int:
        """Return how many prices change in the slot."""
        return due(self._price_changes, *_totals(self.parameters, slot))

    def replacements(self, slot: Slot) -> int:
        """Return how many recommendations are replaced in the slot."""
        return due(self._replacements, *_totals(self.parameters, slot))

    def _new_mark(self, collection: str, *grain: int) -> bytes:
        scope = "/".join(map(str, (self.parameters.seed, *grain, collection)))
        return blake2b(scope.encode(), digest_size=5).digest()

    def _trait(self, user: int, purpose: int) -> int:
        """Return a fixed number of 32 bits for a user and a purpose (a multiplicative hash)."""
        mixed = (user * 8 + purpose + self._salt) * 2_654_435_761 & 0xFFFFFFFF
        return mixed ^ mixed >> 15


def due(rate: Fraction, first: int, end: int) -> int:
    """Return how many of something fall on the ordinals from ``first`` to before ``end``, at so many for each."""
    return end * rate.numerator // rate.denominator - first * rate.numerator // rate.denominator


def _totals(parameters: Parameters, slot: Slot) -> tuple[int, int]:
    """Return how many documents there are before the slot and before its end."""
    seconds = slot.number * slot.seconds
    first, end = (
        due(parameters.density, 0, parameters.rhythm.until(second)) for second in (seconds, seconds + slot.seconds)
    )
    return first, end


def _random(*names: object) -> Random:
    """Return a generator of its own for these names (``random.seed`` version 2 hashes strings with SHA-512)."""
    return Random("/".join(map(str, names)))  # noqa: S311 - synthetic data has to be reproducible, not secret
