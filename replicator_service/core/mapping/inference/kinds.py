"""What kind of value a decoded BSON value is, under the names that people know from MongoDB."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from types import NoneType
from typing import TYPE_CHECKING

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

from replicator_service.core.codec.values import DBPointer, RegularExpression, Symbol, Undefined

if TYPE_CHECKING:
    from replicator_service.core.codec.values import Value


class Kind(StrEnum):
    """A kind of value; its name stands in the comments of a mapping."""

    STRING = "string"
    INT32 = "int32"
    INT64 = "int64"
    DOUBLE = "double"
    DECIMAL = "Decimal128"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT_ID = "ObjectId"
    UUID = "UUID"
    BINARY = "binary"
    OTHER_BINARY = "binary with a subtype"
    NULL = "null"
    OBJECT = "object"
    ARRAY = "array"
    REFERENCE = "DBRef"
    TIMESTAMP = "timestamp"
    REGULAR_EXPRESSION = "regular expression"
    CODE = "code"
    MIN_KEY = "MinKey"
    MAX_KEY = "MaxKey"
    SYMBOL = "symbol"
    UNDEFINED = "undefined"
    POINTER = "DBPointer"
    UNKNOWN = "unknown type"


_KINDS: dict[type, Kind] = {
    str: Kind.STRING,
    int: Kind.INT32,
    Int64: Kind.INT64,
    float: Kind.DOUBLE,
    Decimal128: Kind.DECIMAL,
    bool: Kind.BOOLEAN,
    datetime: Kind.DATE,
    DatetimeMS: Kind.DATE,
    ObjectId: Kind.OBJECT_ID,
    bytes: Kind.BINARY,
    NoneType: Kind.NULL,
    dict: Kind.OBJECT,
    list: Kind.ARRAY,
    DBRef: Kind.REFERENCE,
    Timestamp: Kind.TIMESTAMP,
    Regex: Kind.REGULAR_EXPRESSION,
    RegularExpression: Kind.REGULAR_EXPRESSION,
    Code: Kind.CODE,
    MinKey: Kind.MIN_KEY,
    MaxKey: Kind.MAX_KEY,
    Symbol: Kind.SYMBOL,
    Undefined: Kind.UNDEFINED,
    DBPointer: Kind.POINTER,
}
_UUID_SUBTYPE = 4


def kind_of(value: Value) -> Kind:
    """Give the kind of a value, decoded by the driver or exactly."""
    kind = _KINDS.get(type(value))
    if kind is Kind.OBJECT:
        # The driver makes a DBRef of such an object, exact decoding does not: they are one and the same.
        return Kind.REFERENCE if "$ref" in value and "$id" in value else Kind.OBJECT
    if kind is not None:
        return kind
    if type(value) is Binary:
        return Kind.UUID if value.subtype == _UUID_SUBTYPE and len(value) == 16 else Kind.OTHER_BINARY
    return Kind.UNKNOWN
