"""Documents decoded from their bytes without loss, for the few that the driver does not decode exactly.

The result has the driver's types, plus those of :mod:`values`; a sub-document that looks like a DBRef stays a
dict. Bytes that are no UTF-8 become U+0000, which the tables show as U+FFFD and which makes them keep the
original, each with a lone surrogate behind it (PEP 383), so that different bytes stay different.

Of a field name that occurs twice the last value stays, as everywhere in the driver.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.errors import InvalidBSON
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from replicator_service.core.codec.date import datetime_of
from replicator_service.core.codec.elements import elements, id_document, int32
from replicator_service.core.codec.options import TOLERANT_OPTIONS
from replicator_service.core.codec.values import DBPointer, RegularExpression, Symbol, Undefined, Value

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    Decoder = Callable[["_Reading", bytes], Any]

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class ExactDocument:
    """``fields`` by name; ``has_duplicates`` when a value is missing because its name occurs twice."""

    fields: dict[str, Any]
    has_duplicates: bool


def decode_exact(raw: bytes) -> ExactDocument:
    """Decode one document. Raises :class:`bson.errors.InvalidBSON` when the bytes are not BSON."""
    reading = _Reading()
    try:
        fields = reading.document(raw)
    except (struct.error, IndexError, ValueError) as error:
        raise InvalidBSON("the document is not valid BSON") from error
    return ExactDocument(fields, reading.has_duplicates)


def source_id(raw: bytes) -> Value:
    """Give a document's ``_id`` as the driver decodes it, so that its key is the same on every path."""
    return bson.decode(id_document(raw), TOLERANT_OPTIONS)["_id"]


class _Reading:
    """One pass over one document."""

    def __init__(self) -> None:
        self.has_duplicates = False

    def document(self, raw: bytes) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for kind, name, value in elements(raw):
            text = _text(name)
            if text in fields:
                self.has_duplicates = True
            fields[text] = self.value(kind, value)
        return fields

    def array(self, raw: bytes) -> list[Any]:
        return [self.value(kind, value) for kind, _, value in elements(raw)]

    def code(self, raw: bytes) -> Code:
        length = int32(raw, 4)
        return Code(_text(raw[8 : 7 + length]), self.document(raw[8 + length :]))

    def value(self, kind: int, raw: bytes) -> Value:
        match kind:
            case 0x03:
                return self.document(raw)
            case 0x04:
                return self.array(raw)
            case 0x0F:
                return self.code(raw)
            case _:
                return _SCALARS[kind](raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _ESCAPED_BYTE.sub("\0\\g<0>", raw.decode(errors="surrogateescape"))


def _string(raw: bytes) -> str:
    return _text(raw[4:-1])


def _binary(raw: bytes) -> bytes:
    subtype = raw[4]
    if subtype == 0:
        return raw[5:]
    # The old generic subtype repeats its length inside.
    return Binary(raw[9:] if subtype == 2 else raw[5:], subtype)


def _date(raw: bytes) -> datetime | DatetimeMS:
    since_epoch = int.from_bytes(raw, "little", signed=True)
    within = datetime_of(since_epoch)
    return DatetimeMS(since_epoch) if within is None else within


def _regex(raw: bytes) -> RegularExpression:
    pattern, options, _ = raw.split(b"\0")
    return RegularExpression(_text(pattern), _text(options))


def _timestamp(raw: bytes) -> Timestamp:
    increment, time = struct.unpack("<II", raw)
    return Timestamp(time, increment)


_SCALARS: dict[int, Callable[[bytes], Any]] = {
    0x01: lambda raw: struct.unpack("<d", raw)[0],
    0x02: _string,
    0x05: _binary,
    0x06: lambda _: Undefined(),
    0x07: ObjectId,
    0x08: lambda raw: raw != b"\0",
    0x09: _date,
    0x0A: lambda _: None,
    0x0B: _regex,
    0x0C: lambda raw: DBPointer(_string(raw[:-12]), ObjectId(raw[-12:])),
    0x0D: lambda raw: Code(_string(raw)),
    0x0E: lambda raw: Symbol(_string(raw)),
    0x10: int32,
    0x11: _timestamp,
    0x12: lambda raw: Int64(int.from_bytes(raw, "little", signed=True)),
    0x13: Decimal128.from_bid,
    0x7F: lambda _: MaxKey(),
    0xFF: lambda _: MinKey(),
}
