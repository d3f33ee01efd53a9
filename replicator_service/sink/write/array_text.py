"""Arrays in PostgreSQL's input form. The driver quotes element by element, which costs as much as a row."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ESCAPED = re.compile(r"\\(.)")
_UNESCAPED = {"t": "\t", "n": "\n", "r": "\r"}


def column_texts(lines: Sequence[str]) -> list[str]:
    """Lines of COPY's text format as one ``text[]`` a column."""
    return [_array(map(_element, column)) for column in zip(*(line.split("\t") for line in lines), strict=True)]


def column_text(lines: Iterable[str], place: int) -> str:
    """The values of one column as a ``text[]``, each once and without null."""
    cells = dict.fromkeys(line.split("\t", place + 1)[place] for line in lines)
    cells.pop("\\N", None)
    return _array(map(_element, cells))


def _element(cell: str) -> str:
    if cell == "\\N":
        return "NULL"
    if "\\" in cell:
        cell = _ESCAPED.sub(lambda match: _UNESCAPED.get(match[1], match[1]), cell)
    return _quoted(cell)


_NEEDS_NO_QUOTES = re.compile(r"[0-9A-Za-z_:.$-]+(?:,[0-9A-Za-z_:.$-]+)*")


def array_text(keys: Sequence[str]) -> str:
    """A ``text[]`` in PostgreSQL's input form. The driver quotes key by key, which costs as much as a row."""
    joined = ",".join(keys)
    if _NEEDS_NO_QUOTES.fullmatch(joined) and joined.count(",") == len(keys) - 1 and "null" not in joined.lower():
        return "{" + joined + "}"
    return _array(map(_quoted, keys))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _array(elements: Iterable[str]) -> str:
    return "{" + ",".join(elements) + "}"
