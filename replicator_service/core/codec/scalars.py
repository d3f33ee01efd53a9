"""Single values as Relaxed Extended JSON (the specification "Extended JSON", version 2), by type."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable
from datetime import datetime
from json.encoder import encode_basestring as quote
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bson.binary import Binary, UuidRepresentation
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from replicator_service.core.codec.date import (
    DAYS,
    EPOCH_ORDINAL,
    MILLISECONDS,
    MINUTES,
    SECONDS,
    datetime_of,
    iso_text,
    milliseconds,
)
from replicator_service.core.codec.number import decimal_text, plain_double
from replicator_service.core.codec.regex import option_text
from replicator_service.core.codec.values import (
    DBPointer,
    RegularExpression,
    Symbol,
    Undefined,
)

if TYPE_CHECKING:
    from bson.regex import Regex

Writer = Callable[[Any], str]


def _bool(value: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if value else "false"


def _double(value: float) -> str:
    text = repr(value)
    if text == "-0.0":
        # jsonb stores numbers without a sign of zero.
        return '{"$numberDouble":"-0.0"}'
    if isfinite(value):
        return plain_double(value) if "e+" in text else text
    if value > 0:
        return '{"$numberDouble":"Infinity"}'
    return '{"$numberDouble":"-Infinity"}' if value < 0 else '{"$numberDouble":"NaN"}'


def _object_id(value: ObjectId) -> str:
    return f'{{"$oid":"{value.binary.hex()}"}}'


def _date(value: datetime) -> str:
    ordinal = value.toordinal()
    if ordinal < EPOCH_ORDINAL:
        return f'{{"$date":{{"$numberLong":"{milliseconds(value)}"}}}}'
    return (
        f'{{"$date":"{DAYS[ordinal]}{MINUTES[value.hour][value.minute]}'
        f'{SECONDS[value.second]}{MILLISECONDS[value.microsecond // 1000]}"}}'
    )


def _date_ms(value: DatetimeMS) -> str:
    since_epoch = int(value)
    within = datetime_of(since_epoch)
    if within is None or since_epoch < 0:
        return f'{{"$date":{{"$numberLong":"{since_epoch}"}}}}'
    return f'{{"$date":"{iso_text(within)}"}}'


def _decimal(value: Decimal128) -> str:
    return f'{{"$numberDecimal":"{decimal_text(value)}"}}'


def _bytes(value: bytes) -> str:
    return _binary(value, 0)


def _subtyped(value: Binary) -> str:
    return _binary(value, value.subtype)


def _uuid(value: UUID) -> str:
    return _subtyped(Binary.from_uuid(value, UuidRepresentation.STANDARD))


def _binary(value: bytes, subtype: int) -> str:
    base64 = b2a_base64(value, newline=False).decode("ascii")
    return f'{{"$binary":{{"base64":"{base64}","subType":"{subtype:02x}"}}}}'


def _timestamp(value: Timestamp) -> str:
    return f'{{"$timestamp":{{"t":{value.time},"i":{value.inc}}}}}'


def regex(value: Regex[Any]) -> str:
    """Write a regular expression of the driver's, with the options that it knows."""
    pattern = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("utf-8", "replace")
    return _regular_expression(RegularExpression(pattern, option_text(value.flags)))


def _regular_expression(value: RegularExpression) -> str:
    options = quote("".join(sorted(value.options)))
    return f'{{"$regularExpression":{{"pattern":{quote(value.pattern)},"options":{options}}}}}'


def _pointer(value: DBPointer) -> str:
    return f'{{"$dbPointer":{{"$ref":{quote(value.namespace)},"$id":{_object_id(value.id)}}}}}'


SCALARS: dict[type, Writer] = {
    str: quote,
    int: int.__repr__,
    Int64: int.__repr__,
    bool: _bool,
    NoneType: lambda _: "null",
    float: _double,
    ObjectId: _object_id,
    datetime: _date,
    DatetimeMS: _date_ms,
    Decimal128: _decimal,
    bytes: _bytes,
    Binary: _subtyped,
    UUID: _uuid,
    Timestamp: _timestamp,
    MinKey: lambda _: '{"$minKey":1}',
    MaxKey: lambda _: '{"$maxKey":1}',
    Undefined: lambda _: '{"$undefined":true}',
    Symbol: lambda value: f'{{"$symbol":{quote(value.text)}}}',
    RegularExpression: _regular_expression,
    DBPointer: _pointer,
}
