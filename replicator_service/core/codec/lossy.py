"""Whether bytes hold ``undefined`` or ``symbol``, which the driver silently reads as null and as a string.

Every other loss shows in the decoded value. This question is asked of each reply, so it has to cost next to
nothing: bytes are mapped to four classes by one call in C, and a type byte that a field name follows is
searched for. What is found is mostly part of an ObjectId or a double; a walk over the elements decides.

Not found: a field of such a type whose name holds a character below U+0014 or U+007F; a ``symbol`` with an
empty name whose length is a multiple of 65,536; an ``undefined`` with an empty name that is the last field of
a sub-document that is itself the last field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bson.errors import InvalidBSON

from replicator_service.core.bson import TYPES
from replicator_service.core.bson.declaration import int32
from replicator_service.core.codec.elements import ARRAY, CODE_WITH_SCOPE, DOCUMENT, value_end

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOSSY = frozenset(byte for each in TYPES if each.is_silently_lost for byte in each.encodings)
_CONTAINERS = frozenset({DOCUMENT, ARRAY, CODE_WITH_SCOPE})


def _class_of(byte: int) -> int:
    if byte == 0:
        return ord("0")
    if byte in _LOSSY:
        return ord("T")
    return ord("x") if byte < 0x14 or byte in {0x7F, 0xFF} else ord("n")


_CLASSES = bytes(map(_class_of, range(256)))
# After the type come a name and its end. An empty name is told from a small integer by what comes next.
_CANDIDATE = re.compile(rb"T(?=n+0|00?[^0]|00\Z)")


def may_hold_lossy_types(raw: bytes) -> bool:
    """Whether a document, or an array of documents, holds a type that decoding loses.

    Exact but for the cases in the module's description; bytes that are not BSON count as lossy.
    """
    candidates = [match.start() for match in _CANDIDATE.finditer(raw.translate(_CLASSES))]
    if not candidates:
        return False
    try:
        return _Confirmation(raw, candidates).is_true()
    except (InvalidBSON, ValueError, IndexError, RecursionError):
        return True


class _Confirmation:
    """A walk that only enters what holds a candidate."""

    def __init__(self, raw: bytes, candidates: Sequence[int]) -> None:
        self._raw = raw
        self._candidates = candidates
        self._next = 0

    def is_true(self) -> bool:
        """Whether a candidate is where an element starts."""
        return self._walk(4, int32(self._raw) - 1)

    def _walk(self, position: int, end: int) -> bool:
        raw = self._raw
        while position < end and self._next < len(self._candidates):
            candidate = self._candidates[self._next]
            if candidate == position:
                return True
            kind = raw[position]
            start = raw.index(b"\0", position + 1) + 1
            after = value_end(raw, kind, start)
            if candidate < after and kind in _CONTAINERS:
                inside = start + 4
                if kind == CODE_WITH_SCOPE:
                    inside += 4 + int32(raw, inside) + 4
                if self._skip_to(inside) and self._walk(inside, after - 1):
                    return True
            self._skip_to(after)
            position = after
        return False

    def _skip_to(self, position: int) -> bool:
        """Leave out the candidates before ``position``, and say whether any are left."""
        while self._next < len(self._candidates) and self._candidates[self._next] < position:
            self._next += 1
        return self._next < len(self._candidates)
