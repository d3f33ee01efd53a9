"""What a task tells in its log: sentences and small tables."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LOG = logging.getLogger("warehouse_jobs")


def say(sentence: str) -> None:
    """One line."""
    _LOG.info("%s", sentence)


def show(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table, a line a row: the first column to the left, the others, which are numbers, to the right."""
    for line in lines_of(header, rows):
        say(line)


def lines_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table, with a rule below the header."""
    cells = [list(header), *([_written(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _written(value: object) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
