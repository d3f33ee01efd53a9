"""MongoDB Relaxed Extended JSON v2 (the specification "Extended JSON") that ``jsonb`` stores without loss.

The writer dispatches on the exact type of each value: measured, that is faster than the C encoder of ``json``
with its hook for dates and ObjectIds, and a ``Code``, which is a kind of string in Python, cannot slip
through as one.

What ``jsonb`` cannot hold is marked inside the text, because a mark costs nothing where there is none:

* U+0000 stays a raw character, which JSON text never has otherwise. It becomes U+FFFD in the table, and the
  original document is kept in ``_bson``.
* :data:`AMBIGUOUS`, a lone surrogate that no decoded string holds, stands in a field name like ``$oid`` that
  the source itself uses. It is removed, and ``_bson`` is kept: readers would take such a sub-document for an
  ObjectId.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from datetime import datetime
from json.encoder import encode_basestring as quote
from math import isfinite
from types import NoneType
from typing import Any
from uuid import UUID

from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.son import SON
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
    InexactValue,
    RegularExpression,
    Symbol,
    Undefined,
    Value,
)

Writer = Callable[[Any], str]

AMBIGUOUS = "\udc01"
REPLACEMENT = "\ufffd"

_RESERVED = frozenset(
    {
        "$oid",
        "$symbol",
        "$numberInt",
        "$numberLong",
        "$numberDouble",
        "$numberDecimal",
        "$binary",
        "$uuid",
        "$code",
        "$timestamp",
        "$regularExpression",
        "$regex",
        "$dbPointer",
        "$date",
        "$minKey",
        "$maxKey",
        "$undefined",
    }
)


class _Names(dict[str, str]):
    """Field names as JSON with their colon, remembered. Bounded: names may be other people's data."""

    _LIMIT = 20_000
    _LONGEST = 100

    def __missing__(self, name: str) -> str:
        text = f'"{AMBIGUOUS}{name}":' if name in _RESERVED else f"{quote(name)}:"
        if len(self) < self._LIMIT and len(name) <= self._LONGEST:
            self[name] = text
        return text


class _Writers(dict[type, Writer]):
    """What writes each type. A type of its own that merely derives from a known one is written like it."""

    def __missing__(self, kind: type) -> Writer:
        for base in kind.__mro__[1:]:
            if base in self:
                return self[base]
        raise TypeError(f"{kind.__name__} is not a BSON type")


_NAMES = _Names()


def _writers(*, exact: bool) -> _Writers:
    """Make the table of writers. ``exact`` refuses the types of which the driver loses something."""
    writers = _Writers()

    def write_object(value: Mapping[str, Any]) -> str:
        fields = [
            f"{_NAMES[name]}{quote(item) if type(item) is str else writers[type(item)](item)}"
            for name, item in value.items()
        ]
        return f"{{{','.join(fields)}}}"

    def write_array(value: list[Any]) -> str:
        items = [write_object(item) if type(item) is dict else writers[type(item)](item) for item in value]
        return f"[{','.join(items)}]"

    def write_code(value: Code) -> str:
        code = quote(str(value))
        return (
            f'{{"$code":{code}}}' if value.scope is None else f'{{"$code":{code},"$scope":{write_object(value.scope)}}}'
        )

    writers.update(_SCALARS)
    writers[dict] = writers[SON] = write_object
    writers[list] = writers[tuple] = write_array
    writers[Code] = write_code
    writers[DBRef] = _inexact if exact else lambda value: write_object(value.as_doc())
    writers[Regex] = _inexact if exact else _regex
    return writers


def _inexact(_value: object) -> str:
    raise InexactValue


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


def _regex(value: Regex[Any]) -> str:
    pattern = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("utf-8", "replace")
    return _regular_expression(RegularExpression(pattern, option_text(value.flags)))


def _regular_expression(value: RegularExpression) -> str:
    options = quote("".join(sorted(value.options)))
    return f'{{"$regularExpression":{{"pattern":{quote(value.pattern)},"options":{options}}}}}'


def _pointer(value: DBPointer) -> str:
    return f'{{"$dbPointer":{{"$ref":{quote(value.namespace)},"$id":{_object_id(value.id)}}}}}'


_SCALARS: dict[type, Writer] = {
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
_EXACT = _writers(exact=True)
_LENIENT = _writers(exact=False)


def json_text(value: Value) -> str:
    """Write a decoded value, with marks (see the module).

    Raises :class:`InexactValue` for a DBRef or a regular expression as the driver has them: the document has
    to be decoded exactly. Raises :class:`TypeError` for what is no BSON type.
    """
    return _marked(_EXACT[type(value)](value))


def relaxed(value: Value) -> str:
    """Write a value as Relaxed Extended JSON that jsonb accepts. U+0000 becomes U+FFFD."""
    text = _marked(_LENIENT[type(value)](value))
    return text.replace("\0", REPLACEMENT).replace(AMBIGUOUS, "")


def is_faithful(value: Value) -> bool:
    """Whether every reader of :func:`relaxed` gets the value back: nothing is replaced, nothing ambiguous."""
    text = _marked(_LENIENT[type(value)](value))
    return "\0" not in text and AMBIGUOUS not in text


def _marked(text: str) -> str:
    if "\\" in text and "\\u0000" in text:
        # An escaped backslash may stand before "u0000". Taking those out from the left leaves the real escapes.
        return "\\\\".join(part.replace("\\u0000", "\0") for part in text.split("\\\\"))
    return text
