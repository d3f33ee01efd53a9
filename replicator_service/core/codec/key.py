"""The key of a row: one text for each ``_id`` that MongoDB tells apart.

ObjectIds read as their 24 digits and strings as themselves. Everything else has a tag that starts with ``$``;
so do the strings that could be taken for something else. Two ``_id`` values have the same text exactly when
MongoDB holds them equal: numbers compare by value across their types, a symbol equals the string, the order
of fields counts.

Not told apart, because the driver does not: ``undefined`` and null inside a sub-document, a DBPointer and a
DBRef of the same content, and the place of ``$ref``, ``$id`` and ``$db`` among the fields of a DBRef.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from types import NoneType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import bson
from bson.binary import Binary, UuidRepresentation
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.son import SON
from bson.timestamp import Timestamp

from replicator_service.core.codec.date import datetime_of, iso_text, milliseconds
from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.codec.number import exact_number
from replicator_service.core.codec.options import CODEC_OPTIONS
from replicator_service.core.codec.regex import option_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replicator_service.core.codec.values import Value

MAX_BYTES = 1000
"""A longer key is written as a digest: an index entry ends at 2,704 bytes, and other columns may join it."""
_PREFIX_CHARACTERS = 64
DIGEST = "$sha256:"
_REPLACED = "\ufffd"
"""What reading leaves in place of bytes that are no UTF-8."""


def encode_key(value: Value) -> str:
    """Give the ``_id`` column's text of a decoded ``_id``. Raises :class:`TypeError` for other types."""
    if type(value) is ObjectId:
        return value.binary.hex()
    if type(value) is str:
        size = len(value)
        if size != 24 and size <= 250 and value.isascii() and value[:1] != "$" and "\0" not in value:
            return value
        return _fitting(_string(value))
    return _fitting(tagged(value))


def is_digest(key: str) -> bool:
    """Whether the original ``_id`` cannot be read from this key."""
    return key.startswith(DIGEST)


def decode_key(key: str) -> ExactId | None:
    """Give the ``_id`` by which MongoDB surely finds the document of this key, if there is one.

    None when it cannot be told: digests, and what has the same text as something that MongoDB tells apart or that the
    driver cannot write: what was no UTF-8, lone surrogates, and everything that holds fields, since one of two fields
    of the same name is lost, ``undefined`` reads as null, and a DBPointer as a DBRef. What is found has to be compared
    by its own key: under a collation ``"a"`` finds ``"A"``.
    """
    if _REPLACED in key:
        return None
    try:
        source_id = ExactId(bson.encode({"_id": _decoded(key)}))
        again = bson.decode(source_id.document, CODEC_OPTIONS)["_id"]
    except (BSONError, ValueError, LookupError, TypeError, ArithmeticError):
        return None
    return source_id if encode_key(again) == key else None


def _decoded(key: str) -> Value:
    if not key.startswith("$"):
        return ObjectId(key) if len(key) == 24 and _is_hex(key) else key
    tag, _, content = key[1:].partition(":")
    return _DECODERS[tag](content)


def _decoded_text(text: str) -> str:
    value = json.loads(text)
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def _decoded_number(text: str) -> Value:
    """The number of this value, of whatever type: MongoDB compares by value."""
    exact = Decimal(text)
    if exact.is_finite() and exact.adjusted() < 20 and exact == exact.to_integral_value():
        whole = int(exact)
        if -(2**63) <= whole < 2**63:
            return Int64(whole)
    double = float(text)
    return double if exact_number(double) == text else Decimal128(text)


def _decoded_date(text: str) -> Value:
    if text.endswith("Z"):
        return datetime.fromisoformat(text).replace(tzinfo=None)
    return DatetimeMS(int(text))


def _decoded_binary(text: str) -> Value:
    subtype, _, content = text.partition(":")
    return Binary(bytes.fromhex(content), int(subtype, 16))


def _decoded_timestamp(text: str) -> Value:
    seconds, _, increment = text.partition(":")
    return Timestamp(int(seconds), int(increment))


_DECODERS: dict[str, Callable[[str], Any]] = {
    "string": _decoded_text,
    "number": _decoded_number,
    "boolean": {"true": True, "false": False}.__getitem__,
    "null": lambda _: None,
    "date": _decoded_date,
    "uuid": lambda text: Binary(UUID(text).bytes, 4),
    "binary": _decoded_binary,
    "code": lambda text: Code(_decoded_text(text)),
    "timestamp": _decoded_timestamp,
    "minKey": lambda _: MinKey(),
    "maxKey": lambda _: MaxKey(),
}


def _fitting(text: str) -> str:
    if len(text) <= MAX_BYTES // 4:
        return text
    encoded = text.encode()
    if len(encoded) <= MAX_BYTES:
        return text
    return f"{DIGEST}{sha256(encoded).hexdigest()}:{text[:_PREFIX_CHARACTERS]}"


def _string(value: str) -> str:
    if value[:1] == "$" or "\0" in value or (len(value) == 24 and _is_hex(value)) or not _is_storable(value):
        return f"$string:{_quoted(value)}"
    return value


def _is_hex(value: str) -> bool:
    return all(character in "0123456789abcdef" for character in value)


def _is_storable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quoted(value: str) -> str:
    """Give a JSON string: U+0000 and lone surrogates are escaped in it."""
    return json.dumps(value, ensure_ascii=not _is_storable(value))


def tagged(value: Value) -> str:
    """Give the text with its tag, however long: what :func:`encode_key` gives of what is no plain string."""
    tag, content = _parts(value)
    return f"${tag}:{content}" if content else f"${tag}"


def _parts(value: Value) -> tuple[str, str]:
    """Give the tag and the content of a value."""
    kind = type(value)
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        for base in kind.__mro__[1:]:
            if base in _ENCODERS:
                encoder = _ENCODERS[base]
                break
        else:
            raise TypeError(f"{kind.__name__} is not a BSON type")
    return encoder(value)


def _date(value: datetime | DatetimeMS) -> tuple[str, str]:
    since_epoch = milliseconds(value)
    within = datetime_of(since_epoch)
    return "date", str(since_epoch) if within is None else iso_text(within)


def _binary(value: bytes) -> tuple[str, str]:
    subtype = value.subtype if isinstance(value, Binary) else 0
    if subtype == 4 and len(value) == 16:
        return "uuid", str(UUID(bytes=bytes(value)))
    return "binary", f"{subtype:02x}:{value.hex()}"


def _code(value: Code) -> tuple[str, str]:
    if value.scope is None:
        return "code", _quoted(str(value))
    return "codeWithScope", f"{_quoted(str(value))}:{_object(value.scope)}"


def _regex(value: Regex[Any]) -> tuple[str, str]:
    pattern = value.pattern if isinstance(value.pattern, str) else value.pattern.decode("utf-8", "replace")
    return "regex", f"{_quoted(pattern)}:{option_text(value.flags)}"


def _object(value: Mapping[str, Any]) -> str:
    """Give canonical JSON. A field name that starts with ``$`` gets another one: it is no tag."""
    # A list, not a generator: every frame counts in a key of 200 levels.
    fields = [f"{_quoted('$' + name if name[:1] == '$' else name)}:{_nested(item)}" for name, item in value.items()]
    return f"{{{','.join(fields)}}}"


def _array(value: list[Any]) -> str:
    return f"[{','.join([_nested(item) for item in value])}]"


def _nested(value: Value) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if kind is dict:
        return _object(value)
    if kind is list:
        return _array(value)
    tag, content = _parts(value)
    if tag in {"object", "boolean"} or (tag == "number" and content[-1].isdigit()):
        return content
    return "null" if tag == "null" else f'{{"${tag}":{_quoted(content)}}}'


_ENCODERS: dict[type, Callable[[Any], tuple[str, str]]] = {
    ObjectId: lambda value: ("oid", value.binary.hex()),
    str: lambda value: ("string", _quoted(value)),
    int: lambda value: ("number", exact_number(value)),
    Int64: lambda value: ("number", exact_number(value)),
    float: lambda value: ("number", exact_number(value)),
    Decimal128: lambda value: ("number", exact_number(value)),
    bool: lambda value: ("boolean", "true" if value else "false"),
    NoneType: lambda _: ("null", ""),
    datetime: _date,
    DatetimeMS: _date,
    bytes: _binary,
    Binary: _binary,
    UUID: lambda value: _binary(Binary.from_uuid(value, UuidRepresentation.STANDARD)),
    dict: lambda value: ("object", _object(value)),
    SON: lambda value: ("object", _object(value)),
    list: lambda value: ("array", _array(value)),
    DBRef: lambda value: ("object", _object(value.as_doc())),
    Code: _code,
    Regex: _regex,
    Timestamp: lambda value: ("timestamp", f"{value.time}:{value.inc}"),
    MinKey: lambda _: ("minKey", ""),
    MaxKey: lambda _: ("maxKey", ""),
}
