"""What a ``text`` column takes: every string, and identifiers of the other scalar types as the key would write them.

A reference to a document whose ``_id`` is 1001 then joins it: both read ``$number:1001``. Strings read as themselves
unless they could be taken for such a text or hold U+0000; those read as JSON strings behind ``$string:``, again as
in the key. So two values of one column that MongoDB tells apart never read the same, with one exception that is
wanted: an ObjectId and the string of its digits (applications store references either way).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from replicator_service.core.codec.extjson import REWRITTEN
from replicator_service.core.codec.key import tagged
from replicator_service.core.codec.number import decimal_parts
from replicator_service.core.codec.values import Symbol

if TYPE_CHECKING:
    from replicator_service.core.codec.values import Value

_TAGS = ("$number:", "$boolean:", "$date:", "$uuid:", "$string:")
"""What the texts in this module begin with."""
_INTEGERS = frozenset({int, Int64})
_ALWAYS = frozenset({bool, datetime, DatetimeMS})


def identifier_text(value: Value) -> str | None:
    """Give the text of a value in a ``text`` column, with marks (see :mod:`extjson`), or None when it does not fit."""
    kind = type(value)
    if kind is str:
        return string_text(value)
    if kind is ObjectId:
        return str(value)
    if kind in _INTEGERS:
        # What the key makes of it, without the long way: an int64 has too few digits for an exponent.
        return f"$number:{int(value)}"
    if kind is Symbol:
        return string_text(value.text)
    return tagged(value) if kind in _ALWAYS or _is_identifier(value) else None


def string_text(value: str) -> str:
    """Give the text of a string in a ``text`` column, with marks."""
    if "\0" in value:
        return REWRITTEN + tagged(value)
    return tagged(value) if value.startswith(_TAGS) else value


def _is_identifier(value: Value) -> bool:
    kind = type(value)
    if kind is float:
        return bool(value.is_integer())
    if kind is Decimal128:
        return not isinstance(decimal_parts(value), str)
    return kind is Binary and value.subtype == 4 and len(value) == 16
