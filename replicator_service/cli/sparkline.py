"""Charts of one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=oO8@"
"""For terminals that cannot show more."""


def sparkline(values: Sequence[float | None], *, least_top: float = 1.0, levels: str = BLOCKS) -> str:
    """One character a value, from 0 to the largest, which is at least ``least_top``; unknown values are blanks."""
    top = max([least_top, *(value for value in values if value is not None)])
    return "".join(_level(value, top, levels) for value in values)


def condensed(values: Sequence[float | None], *, end: int, each: int, width: int) -> list[float | None]:
    """The largest value of every ``each`` values, the last ``width`` of them.

    ``end`` is the number of the next value. Groups begin at multiples of ``each``, so that they stay what they are
    while values come in.
    """
    groups: dict[int, float | None] = {}
    for number, value in enumerate(values, end - len(values)):
        before = groups.get(number // each)
        groups[number // each] = value if before is None else max(before, value if value is not None else before)
    return list(groups.values())[-width:]


def _level(value: float | None, top: float, levels: str) -> str:
    if value is None:
        return " "
    return levels[min(len(levels) - 1, max(0, round(value / top * (len(levels) - 1))))]
