"""Rows as PostgreSQL prints them beside those that documents become, byte by byte."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from replicator_service.core.codec.copy_text import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.reconcile.encoding import EncodedReply
    from replicator_service.sink.reconcile.comparison import Comparison


def print_and_compare(comparison: Comparison, encoded: EncodedReply) -> tuple[list[int], list[int]]:
    """Return the ordinals of documents with rows that are printed otherwise, and how many rows others have, by table.

    That something is printed otherwise is no difference yet. That nothing is, is equality.
    """
    if not encoded.keys:
        return [], [0 for _ in encoded.printed]
    printed = comparison.printed(encoded.keys)
    expected = [lines.text() for lines in encoded.printed]
    otherwise: set[bytes] = set()
    for one, other in zip(expected, printed, strict=True):
        if one != other:
            otherwise |= _keys_of_different(one, other)
    if not otherwise:
        return [], [lines.count for lines in encoded.printed]
    counts = [sum(_key_of(line) not in otherwise for line in _lines(text)) for text in expected]
    return _ordinals_of(otherwise, encoded.keys, encoded.ordinals), counts


def _keys_of_different(one: bytes, other: bytes) -> set[bytes]:
    """The keys of lines that are not in both texts as often; in which order they are says nothing."""
    left, right = Counter(_lines(one)), Counter(_lines(other))
    return {_key_of(line) for line in (left - right) | (right - left)}


def _ordinals_of(otherwise: set[bytes], keys: Sequence[str], ordinals: Sequence[int]) -> list[int]:
    return [ordinal for key, ordinal in zip(keys, ordinals, strict=True) if _printed_key(key) in otherwise]


def _printed_key(key: str) -> bytes:
    return escape(key).encode()


def _lines(text: bytes) -> list[bytes]:
    return text.split(b"\n")[:-1]


def _key_of(line: bytes) -> bytes:
    return line[: line.index(b"\t")]
