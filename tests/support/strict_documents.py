"""Documents in a form that keeps every BSON type apart, from BSON and from Extended JSON, without the driver's help.

Two forms are equal when the documents are, up to what `docs/reference/types.md` gives up: the order of fields, the
width of an integer, the bits of a NaN, and the order of a regular expression's options.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from typing import TYPE_CHECKING, Any

from bson.decimal128 import Decimal128

if TYPE_CHECKING:
    from collections.abc import Iterator

Form = tuple[Any, ...]

_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
_PREFIXED = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}


def form_of_bson(raw: bytes) -> Form:
    """The form of a document given as BSON. Of fields with one name the last one counts."""
    return ("object", {name: _bson_value(kind, value) for kind, name, value in _elements(raw)})


def form_of_json(text: str) -> Form:
    """The form of a document given as relaxed Extended JSON v2."""
    parsed = json.loads(text, parse_int=lambda digits: ("int", int(digits)), parse_float=_json_double)
    return ("object", {name: _json_value(value) for name, value in parsed.items()})


def _elements(raw: bytes) -> Iterator[tuple[int, str, bytes]]:
    position = 4
    while position < len(raw) - 1:
        kind = raw[position]
        start = raw.index(b"\0", position + 1) + 1
        name = raw[position + 1 : start - 1].decode()
        if kind in _FIXED:
            end = start + _FIXED[kind]
        elif kind == 0x0B:
            end = raw.index(b"\0", raw.index(b"\0", start) + 1) + 1
        else:
            end = start + _PREFIXED[kind] + _int(raw[start : start + 4])
        yield kind, name, raw[start:end]
        position = end


def _int(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _string(raw: bytes) -> str:
    return raw[4:-1].decode()


def _bson_value(kind: int, raw: bytes) -> Form:  # noqa: C901, PLR0911, PLR0912 - one line a type
    match kind:
        case 0x01:
            return _double(struct.unpack("<d", raw)[0])
        case 0x02:
            return ("string", _string(raw))
        case 0x03:
            return form_of_bson(raw)
        case 0x04:
            return ("array", [_bson_value(inner, value) for inner, _, value in _elements(raw)])
        case 0x05:
            return ("binary", raw[4], raw[9:] if raw[4] == 2 else raw[5:])
        case 0x06:
            return ("undefined",)
        case 0x07:
            return ("oid", raw.hex())
        case 0x08:
            return ("boolean", raw != b"\0")
        case 0x09:
            return ("date", _int(raw))
        case 0x0A:
            return ("null",)
        case 0x0B:
            pattern, options, _ = raw.split(b"\0")
            return ("regex", pattern.decode(), "".join(sorted(options.decode())))
        case 0x0C:
            return ("pointer", _string(raw[:-12]), raw[-12:].hex())
        case 0x0D:
            return ("code", _string(raw))
        case 0x0E:
            return ("symbol", _string(raw))
        case 0x0F:
            length = _int(raw[4:8])
            return ("code", raw[8 : 7 + length].decode(), form_of_bson(raw[8 + length :]))
        case 0x10 | 0x12:
            return ("int", _int(raw))
        case 0x11:
            increment, seconds = struct.unpack("<II", raw)
            return ("timestamp", seconds, increment)
        case 0x13:
            return ("decimal", str(Decimal128.from_bid(raw)))
        case 0x7F:
            return ("maxKey",)
        case 0xFF:
            return ("minKey",)
    raise AssertionError(f"unknown BSON type {kind}")


def _double(value: float) -> Form:
    return ("double", "NaN" if value != value else repr(value))  # noqa: PLR0124 - only NaN differs from itself


def _json_double(digits: str) -> Form:
    return _double(float(digits))


def _json_value(value: Any) -> Form:
    match value:
        case tuple():
            return value
        case None:
            return ("null",)
        case bool():
            return ("boolean", value)
        case str():
            return ("string", value)
        case list():
            return ("array", [_json_value(item) for item in value])
    found = _typed(value)
    return found or ("object", {name: _json_value(item) for name, item in value.items()})


def _typed(value: dict[str, Any]) -> Form | None:  # noqa: C901, PLR0911, PLR0912 - one line a type
    match value:
        case {"$oid": str(digits), **rest} if not rest:
            return ("oid", digits)
        case {"$numberDouble": str(digits), **rest} if not rest:
            return _double(float(digits))
        case {"$numberDecimal": str(digits), **rest} if not rest:
            return ("decimal", str(Decimal128(digits)))
        case {"$date": str(text), **rest} if not rest:
            since = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            return ("date", since // dt.timedelta(milliseconds=1))
        case {"$date": {"$numberLong": str(digits)}, **rest} if not rest:
            return ("date", int(digits))
        case {"$binary": {"base64": str(text), "subType": str(subtype)}, **rest} if not rest:
            return ("binary", int(subtype, 16), base64.b64decode(text, validate=True))
        case {"$undefined": True, **rest} if not rest:
            return ("undefined",)
        case {"$regularExpression": {"pattern": str(pattern), "options": str(options)}, **rest} if not rest:
            return ("regex", pattern, "".join(sorted(options)))
        case {"$dbPointer": {"$ref": str(namespace), "$id": {"$oid": str(digits)}}, **rest} if not rest:
            return ("pointer", namespace, digits)
        case {"$code": str(text), "$scope": dict(scope), **rest} if not rest:
            return ("code", text, ("object", {name: _json_value(item) for name, item in scope.items()}))
        case {"$code": str(text), **rest} if not rest:
            return ("code", text)
        case {"$symbol": str(text), **rest} if not rest:
            return ("symbol", text)
        case {"$timestamp": {"t": ("int", seconds), "i": ("int", increment)}, **rest} if not rest:
            return ("timestamp", seconds, increment)
        case {"$minKey": ("int", 1), **rest} if not rest:
            return ("minKey",)
        case {"$maxKey": ("int", 1), **rest} if not rest:
            return ("maxKey",)
    return None
