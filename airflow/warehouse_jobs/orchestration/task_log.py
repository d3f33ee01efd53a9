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
    """A table, a line a row."""
    for line in lines_of(header, rows):
        say(line)


def lines_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table, with a rule below the header; columns of numbers are set to the right."""
    values = [tuple(row) for row in rows]
    columns = list(zip(*values, strict=True)) if values else [()] * len(header)
    set_columns = [_column(name, column) for name, column in zip(header, columns, strict=True)]
    return ["  ".join(cells).rstrip() for cells in zip(*set_columns, strict=True)]


def _column(name: str, values: Sequence[object]) -> list[str]:
    cells = [name, *map(_written, values)]
    width = max(map(len, cells))
    is_number = all(isinstance(value, int | float) for value in values)
    first, *others = [cell.rjust(width) if is_number else cell.ljust(width) for cell in cells]
    return [first, "-" * width, *others]


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
