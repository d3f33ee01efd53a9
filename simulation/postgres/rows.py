"""What a row group asks of a table, and COPY text into rows: the key, and everything else as it was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from replicator_service.core.rows import CollectionRows

_ESCAPE = re.compile(r"\\(.)")
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def row_of(line: str, *, is_child: bool) -> tuple[Hashable, tuple[str, str]]:
    """The key of a line, its values as text, and its ``etl_valid_from``."""
    rest, valid_from = line.rsplit("\t", 1)
    key, values = rest.split("\t", 1)
    if "\\" in key:
        key = _ESCAPE.sub(lambda found: _LETTERS.get(found[1], found[1]), key)
    if not is_child:
        return key, (values, valid_from)
    ordinal, values = values.split("\t", 1)
    return (key, int(ordinal)), (values, valid_from)


def document_of(key: object) -> str:
    """The document that a row's key belongs to."""
    return str(key[0]) if isinstance(key, tuple) else str(key)


def parts_of(rows: CollectionRows) -> Iterator[tuple[Sequence[str], list[list[str]]]]:
    """The keys of documents that are written, with their lines by table."""
    for part in (rows.inserted, rows.changed, rows.read, rows.loaded):
        yield part.keys, [lines.each() for lines in part.lines]
