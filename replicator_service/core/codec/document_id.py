"""The ``_id`` by which a document is found again at the source.

Most values are encoded to the bytes that they were decoded from. Some are not: strings that are no UTF-8, deprecated
types, what looks like a DBRef. Of those the bytes themselves are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import bson
from bson.binary import Binary
from bson.int64 import Int64
from bson.objectid import ObjectId

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.bson.declaration import Value

_PLAIN = frozenset({ObjectId, int, Int64, float, bool, datetime})
_BINARY = frozenset({bytes, Binary})
_SHORT = 64
PLAIN_SIZE = _SHORT + 12
"""The BSON of an ``_id`` that is not exact has at most about this size."""


@dataclass(frozen=True, slots=True)
class ExactId:
    """An ``_id`` as bytes: the BSON of ``{_id: ...}``."""

    document: bytes


def exact_id(value: Value, document: Callable[[], bytes]) -> Value | ExactId:
    """Return a decoded ``_id`` itself, or its bytes unless it is short and surely encoded to what it was before."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    is_short = (kind is str or kind in _BINARY) and len(value) <= _SHORT
    if is_short and (kind is not str or value.isascii()):
        return value
    return ExactId(document())


def id_bson(source_id: Value | ExactId) -> bytes:
    """Return the BSON of ``{_id: ...}``."""
    return source_id.document if isinstance(source_id, ExactId) else bson.encode({"_id": source_id})
