"""Hypothesis strategies for decoded BSON values, with a liking for the awkward ones."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp
from hypothesis import strategies as st

from replicator_service.core.bson import TYPES


def utc(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0
) -> dt.datetime:
    """A date as the driver decodes it: naive, in UTC."""
    return dt.datetime.combine(dt.date(year, month, day), dt.time(hour, minute, second, micro))


INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1).map(Int64) | st.sampled_from([0, 2**53, 2**53 + 1, -(2**63), 2**31]).map(Int64)
DOUBLES = st.floats() | st.sampled_from([0.0, -0.0, 1e16, 1e22, 1e300, 5e-324, 0.1, 2.0**53, 2.0**31, -1.0])
DECIMALS = st.binary(min_size=16, max_size=16).map(Decimal128.from_bid) | st.sampled_from(
    ["0", "-0", "1", "1.0", "1E+3", "0.1", "1E+6144", "1E-6176", "NaN", "-Infinity", "9007199254740993"]
).map(Decimal128)

AWKWARD_CHARACTERS = st.sampled_from("\\\t\n\r\0\x01\x08\x0b\x1f\"',{}\x7f\u2028\ufffd\uffff$.é漢😀Nu0")
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | AWKWARD_CHARACTERS, max_size=12) | st.sampled_from(
    ["", "NULL", "\\N", "\\.", "\\u0000", "\\\\u0000", "null", "{}", "a" * 24, "0" * 24, "$oid"]
)
# The C encoder refuses U+0000 in a field name, since BSON ends the name there.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["", "a", "b", "a.b", "$gt", "A", "_id", "x" * 70, "\\u0000", 'quote"', "é"]
)
DATES = st.datetimes().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000)) | st.sampled_from(
    [utc(1970, 1, 1), utc(1969, 12, 31, 23, 59, 59, 999000), utc(1, 1, 1), utc(9999, 12, 31, 23, 59, 59, 999000)]
)
FAR_DATES = (st.integers(-(2**63), -62135596800001) | st.integers(253402300800000, 2**63 - 1)).map(DatetimeMS)
# The old subtype 2 and vectors (9) have contents of their own.
BINARIES = st.binary(max_size=20) | st.builds(
    Binary, st.binary(max_size=20), st.integers(1, 255).filter(lambda subtype: subtype not in {3, 4, 9})
)
UUIDS = st.builds(Binary, st.binary(min_size=16, max_size=16), st.sampled_from([3, 4]))
OBJECT_IDS = st.binary(min_size=12, max_size=12).map(ObjectId)
TIMESTAMPS = st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
BOOLEANS_AND_NULL = st.booleans() | st.none()
KEYS_AT_THE_ENDS = st.builds(MinKey) | st.builds(MaxKey)

IDENTIFIERS: st.SearchStrategy[Any] = st.one_of(
    OBJECT_IDS,
    INT32,
    INT64,
    st.integers(-(2**70), 2**70).map(float),
    DECIMALS,
    st.booleans(),
    UUIDS,
    DATES,
    FAR_DATES,
    TEXT.map("$number:".__add__) | TEXT.map('$string:"'.__add__),
)
"""Values that name something, and strings that are written like them."""

SCALARS: st.SearchStrategy[Any] = st.one_of(
    TEXT, INT32, INT64, DOUBLES, DECIMALS, DATES, FAR_DATES, BINARIES, UUIDS, OBJECT_IDS, TIMESTAMPS
) | st.one_of(BOOLEANS_AND_NULL, KEYS_AT_THE_ENDS)
"""Types whose values the driver decodes exactly."""

_DRAWN = {
    *(
        "string",
        "int32",
        "int64",
        "double",
        "Decimal128",
        "date",
        "binary",
        "binary with a subtype",
        "UUID",
        "ObjectId",
    ),
    *("timestamp", "boolean", "null", "MinKey", "MaxKey", "regular expression", "code", "DBRef", "object", "array"),
}
_PATTERNS = TEXT.filter(lambda pattern: "\0" not in pattern)
REGEXES = st.builds(Regex, _PATTERNS, st.sampled_from(["", "i", "im", "imsx"]))
CODES = st.builds(Code, TEXT) | st.builds(Code, TEXT, st.dictionaries(NAMES, INT32, max_size=2))
DBREFS = st.builds(DBRef, TEXT, OBJECT_IDS) | st.builds(DBRef, TEXT, INT32, st.just("db"))

_OTHERS = [
    sample.value
    for each in TYPES
    if not each.is_silently_lost and each.name not in {"DBPointer", *_DRAWN}
    for sample in each.samples
]
"""Of types for which no strategy is written here; what only exists in bytes is in ``bson_bytes``."""

LEAVES: st.SearchStrategy[Any] = SCALARS | REGEXES | CODES | DBREFS
"""Every type that the driver has."""
if _OTHERS:
    LEAVES |= st.sampled_from(_OTHERS)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values of these leaves, in sub-documents and arrays."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=12,
    )


VALUES = nested(LEAVES)
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(NAMES, VALUES, max_size=6)
