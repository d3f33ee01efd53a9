"""How collections share parts: few tasks for many small collections, many for a large one, and never too many.

A task of a scheduler costs seconds whatever it does, and a scheduler bounds how many there may be (Airflow's
``max_map_length``, 1,024 by default).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.source.read.size import Size

FEW = 128
"""So many collections each have a part of their own; more than that share as many, unless those would be too large."""

_COST_OF_A_COLLECTION = 1_000
"""Opening, locking and asking for a collection costs about as much as so many documents."""


@dataclass(frozen=True, slots=True)
class PartLimits:
    """How large a part may be."""

    documents: int
    size: int

    def ranges(self, size: Size) -> int:
        """Into how many ranges a collection has to be cut."""
        return max(-(-size.documents // self.documents), -(-size.size // self.size), 1)

    def tasks(self, sizes: Mapping[str, Size]) -> int:
        """How many parts there are at least: those of large collections, with one for the keys of each."""
        ranges = [self.ranges(size) for size in sizes.values()]
        large = sum(count + 1 for count in ranges if count > 1)
        return large + min(FEW, sum(count == 1 for count in ranges))


def enlarged(limits: PartLimits, sizes: Mapping[str, Size], most: int | None) -> PartLimits:
    """Return the limits, or as much larger ones as it takes to have at most so many parts."""
    while (
        most is not None
        and limits.tasks(sizes) > max(most, 1)
        and any(limits.ranges(size) > 1 for size in sizes.values())
    ):
        limits = PartLimits(limits.documents * 2, limits.size * 2)
    return limits


def shares(limits: PartLimits, sizes: Mapping[str, Size], most: int | None) -> list[Sequence[str]]:
    """Which of these collections, none of which has to be cut, share a part: neighbours by name, about equal work."""
    names = sorted(sizes)
    weights = [sizes[name].documents + _COST_OF_A_COLLECTION for name in names]
    wanted = max(FEW, sum(weights) // limits.documents, sum(sizes[name].size for name in names) // limits.size)
    parts = min(wanted, len(names), len(names) if most is None else max(most, 1))
    if parts == len(names):
        return [(name,) for name in names]
    found: list[list[str]] = [[] for _ in range(parts)]
    total, before = sum(weights), 0
    for name, weight in zip(names, weights, strict=True):
        found[before * parts // total].append(name)
        before += weight
    return [share for share in found if share]
