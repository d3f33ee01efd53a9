"""Which values fit a column, and their text. A value fits when the column then equals it.

Every function gives PostgreSQL's input for a value, not yet escaped for COPY, or None when the value does not
fit: it then goes to ``_extra``. The table of all of it is ``docs/reference/types.md``.
"""

from __future__ import annotations

import re
from datetime import datetime
from math import isinf, isnan
from typing import TYPE_CHECKING

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from replicator_service.core.codec.date import timestamptz_text
from replicator_service.core.codec.extjson import json_text
from replicator_service.core.codec.identifiers import identifier_text
from replicator_service.core.codec.number import decimal_integer, decimal_text
from replicator_service.core.mapping.model import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.codec.values import Value

    Fit = Callable[[Value], str | None]

_EXACT_IN_DOUBLE = 2**53
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

INTEGER_RANGE = (-(2**31), 2**31 - 1)
BIGINT_RANGE = (-(2**63), 2**63 - 1)


def _whole(value: Value) -> int | None:
    """Give the integer that a number is, or None. Negative zero is none: its sign would be lost."""
    kind = type(value)
    if kind is int or kind is Int64:
        return int(value)
    if kind is float:
        return int(value) if value.is_integer() and repr(value) != "-0.0" else None
    return decimal_integer(value) if kind is Decimal128 else None


def _integer(bounds: tuple[int, int]) -> Fit:
    low, high = bounds

    def fit(value: Value) -> str | None:
        whole = _whole(value)
        return str(whole) if whole is not None and low <= whole <= high else None

    return fit


def _double(value: Value) -> str | None:
    kind = type(value)
    if kind is float:
        return _double_text(value)
    if (kind is int or kind is Int64) and -_EXACT_IN_DOUBLE <= value <= _EXACT_IN_DOUBLE:
        return str(int(value))
    return None


def _numeric(value: Value) -> str | None:
    kind = type(value)
    if kind is int or kind is Int64:
        return str(int(value))
    if kind is float:
        return _double_text(value)
    return decimal_text(value) if kind is Decimal128 else None


def _double_text(value: float) -> str:
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _boolean(value: Value) -> str | None:
    if type(value) is bool:
        return "t" if value else "f"
    return None


def _timestamptz(value: Value) -> str | None:
    kind = type(value)
    return timestamptz_text(value) if kind is datetime or kind is DatetimeMS else None


def _uuid(value: Value) -> str | None:
    kind = type(value)
    if kind is Binary:
        return value.hex() if value.subtype == 4 and len(value) == 16 else None
    return value if kind is str and _UUID.fullmatch(value) else None


def _bytea(value: Value) -> str | None:
    return f"\\x{value.hex()}" if type(value) is bytes else None


SCALARS: dict[ColumnType, Fit] = {
    ColumnType.TEXT: identifier_text,
    ColumnType.INTEGER: _integer(INTEGER_RANGE),
    ColumnType.BIGINT: _integer(BIGINT_RANGE),
    ColumnType.DOUBLE_PRECISION: _double,
    ColumnType.NUMERIC: _numeric,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMPTZ: _timestamptz,
    ColumnType.UUID: _uuid,
    ColumnType.BYTEA: _bytea,
    ColumnType.JSONB: json_text,
}
