"""The order of ``_id``: BSON's own, across all types.

Two values that MongoDB holds equal have equal keys (1, 1.0 and Int64(1)). See "Comparison/Sort Order" in the manual.
"""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.bson.declaration import Value

OrderKey = tuple[Any, ...]
"""Comparable and hashable: the number of the type's bracket, then what orders values within it."""


def order_key(value: Any) -> OrderKey:  # noqa: ANN401 - any BSON value
    """Where a decoded value is in the order. Raises :class:`TypeError` for types that are not modelled."""
    kind = type(value)
    found = _KEYS.get(kind)
    if found is not None:
        return found(value)
    for base, key in _BASES:
        if isinstance(value, base):
            return key(value)
    raise TypeError(f"the order of {kind.__name__} is not modelled")


def _number(value: Value) -> OrderKey:
    # Python compares and hashes int, float and Decimal by their exact value, as MongoDB does.
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if (isinstance(number, Decimal) and number.is_nan()) or (isinstance(number, float) and math.isnan(number)):
        return (2, 0, 0)
    return (2, 1, number)


def _object(value: dict[str, Any]) -> OrderKey:
    # Field by field: the type, then the name, then the value; what ends first comes first.
    parts: list[Any] = []
    for name, inner in value.items():
        key = order_key(inner)
        parts.append((key[0], name.encode(), key[1:]))
    return (4, tuple(parts))


def _binary(value: bytes) -> OrderKey:
    return (6, len(value), value.subtype if isinstance(value, Binary) else 0, bytes(value))


_KEYS: dict[type, Callable[[Any], OrderKey]] = {
    MinKey: lambda _: (0,),
    type(None): lambda _: (1,),
    int: _number,
    float: _number,
    str: lambda value: (3, value.encode()),
    dict: _object,
    ObjectId: lambda value: (7, value.binary),
    bool: lambda value: (8, value),
    datetime: lambda value: (9, value),
    Timestamp: lambda value: (10, value.time, value.inc),
    MaxKey: lambda _: (127,),
}
_BASES: tuple[tuple[type, Callable[[Any], OrderKey]], ...] = (
    (int, _number),
    (Decimal128, _number),
    (dict, _object),
    (bytes, _binary),
)
