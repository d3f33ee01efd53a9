"""Who visits the shop and what it sells: fixed populations, a few of whose members get most of the attention."""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

from warehouse_jobs.generator.randomness import random_source
from warehouse_jobs.generator.vocabulary import CATEGORIES

if TYPE_CHECKING:
    from random import Random

    from warehouse_jobs.generator.parameters import Parameters

_SECOND_DEVICE_SHARE = 0.2
_FAVOURITE_SHARE = 0.6


class Crowd:
    """Numbered members by popularity: rank r is chosen in proportion to ``1 / (r + 3) ** exponent`` (Zipf).

    ``numbers`` and ``names`` are in order of rank.
    """

    def __init__(self, prefix: str, digits: int, size: int, exponent: float, rng: Random) -> None:
        self.numbers = list(range(1, size + 1))
        rng.shuffle(self.numbers)
        self.names = [f"{prefix}_{number:0{digits}d}" for number in self.numbers]
        self._sums = list(accumulate((rank + 3) ** -exponent for rank in range(size)))

    def ranks(self, rng: Random, count: int) -> list[int]:
        """The ranks of so many independent choices."""
        sums, draw = self._sums, rng.random
        total, last = sums[-1], len(sums) - 1
        return [min(bisect(sums, draw() * total), last) for _ in range(count)]

    def choose(self, rng: Random, count: int) -> list[str]:
        """The names of so many independent choices."""
        names = self.names
        return [names[rank] for rank in self.ranks(rng, count)]


class Population:
    """The users and products of a shop, with what stays the same about each of them."""

    def __init__(self, parameters: Parameters) -> None:
        rng = random_source(parameters.seed, "population")
        self.users = Crowd("user", 6, parameters.users, 0.8, rng)
        self.products = Crowd("product", 5, parameters.products, 0.9, rng)
        self._categories = tuple(CATEGORIES)
        self._salt = rng.getrandbits(24)

    def device(self, user: int, draw: float, devices: int) -> int:
        """The number of the device that a user takes: nearly always the first of two."""
        return self._trait(user, 2 if draw < _SECOND_DEVICE_SHARE else 1) % devices

    def address(self, user: int) -> str:
        """The IP address of a user, from the ranges reserved for documentation and private use."""
        trait = self._trait(user, 3)
        return f"10.{trait >> 16 & 255}.{trait >> 8 & 255}.{trait & 255}"

    def category(self, user: int, draw: float) -> str:
        """The category that a user looks in: most of the time the favourite one."""
        categories = self._categories
        if draw < _FAVOURITE_SHARE:
            return categories[self._trait(user, 4) % len(categories)]
        return categories[int((draw - _FAVOURITE_SHARE) / (1 - _FAVOURITE_SHARE) * len(categories))]

    def _trait(self, user: int, purpose: int) -> int:
        """A fixed number of 32 bits for a user and a purpose (a multiplicative hash)."""
        mixed = (user * 8 + purpose + self._salt) * 2_654_435_761 & 0xFFFFFFFF
        return mixed ^ mixed >> 15
