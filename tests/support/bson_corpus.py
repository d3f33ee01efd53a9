"""Values of every BSON type at their edges (bsonspec.org, version 1.1): a name, a type byte and the value's bytes.

Some of them a server refuses, and none of them may do harm.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bson.decimal128 import Decimal128

from tests.support.bson_bytes import array, document, element, embedded, integer, string, symbol, text, undefined

if TYPE_CHECKING:
    from collections.abc import Iterator

_OID = bytes(range(12))


def corpus() -> Iterator[tuple[str, int, bytes]]:
    """Every value, each name once."""
    for kind, found in (
        (0x01, _doubles()),
        (0x02, ((name, string(value)) for name, value in _TEXTS.items())),
        (0x03, _DOCUMENTS.items()),
        (0x04, _ARRAYS.items()),
        (0x05, _binaries()),
        (0x06, [("undefined", b"")]),
        (0x07, [("oid", _OID), ("oid zero", bytes(12)), ("oid ones", b"\xff" * 12)]),
        (0x08, [("true", b"\1"), ("false", b"\0")]),
        (0x09, ((f"date {value}", struct.pack("<q", value)) for value in _DATES)),
        (0x0A, [("null", b"")]),
        (0x0B, ((f"regex {value!r}", value) for value in _REGEXES)),
        (0x0C, [("pointer", string(b"db.c") + _OID), ("pointer to nowhere", string("é".encode()) + _OID)]),
        (0x0D, ((f"code {name}", string(value)) for name, value in _TEXTS.items())),
        (0x0E, ((f"symbol {name}", string(value)) for name, value in _TEXTS.items())),
        (0x0F, ((f"scope {name}", _scoped(b"f()", value)) for name, value in _DOCUMENTS.items())),
        (0x10, ((f"int {value}", struct.pack("<i", value)) for value in (0, 1, -1, 2**31 - 1, -(2**31)))),
        (0x11, ((f"timestamp {value}", struct.pack("<II", *value)) for value in ((0, 0), (1, 2), (2**32 - 1,) * 2))),
        (0x12, ((f"long {value}", struct.pack("<q", value)) for value in (0, -1, 2**53 + 1, 2**63 - 1, -(2**63)))),
        (0x13, _decimals()),
        (0x7F, [("maxKey", b"")]),
        (0xFF, [("minKey", b"")]),
    ):
        for name, value in found:
            yield f"{kind:02x} {name}", kind, value


def _scoped(code: bytes, scope: bytes) -> bytes:
    body = string(code) + scope
    return (len(body) + 4).to_bytes(4, "little") + body


def _doubles() -> Iterator[tuple[str, bytes]]:
    for value in (0.0, -0.0, 1.0, 1.5, -1.0001220703125, 1e16, 1e22, 1.7976931348623157e308, 5e-324, 0.1 + 0.2):
        yield repr(value), struct.pack("<d", value)
    for bits in (
        *(0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000, 0xFFF8000000000000),
        *(0x7FF0000000000001, 0x7FF8000000000012, 0xFFFFFFFFFFFFFFFF),
    ):
        yield f"bits {bits:x}", bits.to_bytes(8, "little")


def _binaries() -> Iterator[tuple[str, bytes]]:
    for subtype in (*range(10), 0x7F, 0x80, 0xFF):
        for content in (b"", b"\0", bytes(range(16)), b"\xff" * 300):
            body = struct.pack("<i", len(content)) + content if subtype == 2 else content
            yield f"subtype {subtype} of {len(content)}", struct.pack("<i", len(body)) + bytes([subtype]) + body


def _decimals() -> Iterator[tuple[str, bytes]]:
    for text_ in (
        *("0", "-0", "0E+6111", "-0E-6176", "0.000", "1", "1.0", "-1.00", "1E+3", "1.2E-5", "12345678901234567"),
        *("9.999999999999999999999999999999999E+6144", "1E-6176", "-1E-6176", "1E+6144", "0.1", "NaN", "-NaN"),
        *("sNaN", "Infinity", "-Infinity", "1234567890123456789012345678901234", "9007199254740993", "1E+16"),
    ):
        yield text_, Decimal128(text_).bid
    # Coefficients beyond 34 digits count as zero, and the low bits of NaN and infinity say nothing.
    for high in (0x3041ED09BEAD87C0, 0x6C10000000000000, 0x7800000000000001, 0x7C00000000000012, 0xFE00000000000000):
        yield f"bits {high:x}", struct.pack("<QQ", 0x378D8E6400000000, high)


_DATES = (
    *(0, -1, 1, 1_000, 253_402_300_799_999, 253_402_300_800_000, -62_135_596_800_000, -62_135_596_800_001),
    *(2**63 - 1, -(2**63), 9_224_318_015_999_999, 9_224_318_016_000_000, -210_866_803_200_000, -210_866_803_200_001),
)

_REGEXES = (
    *(b"\0\0", b"a\0\0", b"a\0ilmsux\0", b"a\0xi\0", "é\\d/\"'".encode() + b"\0i\0", b"\t\\\n\0m\0"),
    *(b"\xff\0\0", b"a\0\xff\0", b"a\0qq\0"),
)

_TEXTS = {
    "empty": b"",
    "plain": b"abc",
    "zero": b"a\0b",
    "only zero": b"\0",
    "zeros": b"\0\0\0",
    "controls": bytes(range(1, 32)) + b"\x7f",
    "copy end": b"\\.",
    "copy null": b"\\N",
    "copy separators": b"a\tb\nc\rd\\e\\te",
    "json": b'{"a": "\\u0000"}',
    "accents": "éß漢字😀".encode(),
    "last characters": "\ufffd\ufffe\uffff\U0010ffff".encode(),
    "line separators": "\u2028\u2029\u0085".encode(),
    "alone": b"\xff",
    "cut short": b"a\xe2\x82",
    "overlong": b"\xc0\x80",
    "surrogate": b"\xed\xa0\x80",
    "surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond": b"\xf4\x90\x80\x80",
    "hexadecimal": b"0123456789abcdef01234567",
    "long": b"x" * 300_000,
}

_HEX = b"0123456789abcdef01234567"
_DOCUMENTS = {
    "empty": document(),
    "empty name": document(text("", b"")),
    "deeper": document(embedded("a", embedded("b", array("c", integer("0", 1))))),
    "twice": document(integer("a", 1), integer("a", 2)),
    "twice, odd": document(symbol("a", b"x"), integer("a", 2), symbol("a", b"y")),
    "dots": document(integer("a.b", 1), integer(".", 2), integer("..", 3), integer("a.", 4)),
    "dollars": document(integer("$", 1), integer("$a", 2), integer("a$", 3), integer("$$a", 4)),
    "cases": document(integer("a", 1), integer("A", 2), integer("ä", 3), integer("Ä", 4)),
    "long names": document(integer("x" * 63, 1), integer("x" * 63 + "a", 2), integer("x" * 63 + "b", 3)),
    "very long name": document(integer("y" * 100_000, 1)),
    "odd names": document(integer("\t\\\n\"'", 1), integer("%s", 2), integer(" ", 3), integer("\x01", 4)),
    "name no text": document(integer(b"\xff", 1), integer(b"\xfe", 2)),
    "digits": document(integer("0", 1), integer("1", 2)),
    "looks like oid": document(text("$oid", _HEX)),
    "looks like oid and more": document(text("$oid", _HEX), integer("a", 1)),
    "looks like long": document(text("$numberLong", b"1")),
    "looks like int": document(text("$numberInt", b"1")),
    "looks like double": document(text("$numberDouble", b"NaN")),
    "looks like decimal": document(text("$numberDecimal", b"1")),
    "looks like date": document(text("$date", b"2020-01-01T00:00:00Z")),
    "looks like date, deeper": document(embedded("$date", text("$numberLong", b"1"))),
    "looks like binary": document(embedded("$binary", text("base64", b"AA=="), text("subType", b"00"))),
    "looks like binary, old": document(text("$binary", b"AA=="), text("$type", b"00")),
    "looks like uuid": document(text("$uuid", b"00010203-0405-0607-0809-0a0b0c0d0e0f")),
    "looks like regex": document(text("$regex", b"a"), text("$options", b"i")),
    "looks like regular expression": document(
        embedded("$regularExpression", text("pattern", b"a"), text("options", b""))
    ),
    "looks like symbol": document(text("$symbol", b"a")),
    "looks like code": document(text("$code", b"a")),
    "looks like scope": document(text("$code", b"a"), embedded("$scope")),
    "looks like pointer": document(
        embedded("$dbPointer", text("$ref", b"a"), embedded("$id", text("$oid", _HEX))),
    ),
    "looks like timestamp": document(embedded("$timestamp", integer("t", 1), integer("i", 1))),
    "looks like undefined": document(element(0x08, "$undefined", b"\1")),
    "looks like min": document(integer("$minKey", 1)),
    "looks like max": document(integer("$maxKey", 1)),
    "reference": document(text("$ref", b"c"), element(0x07, "$id", _OID)),
    "reference with database": document(text("$ref", b"c"), integer("$id", 1), text("$db", b"d")),
    "reference with more": document(text("$ref", b"c"), integer("$id", 1), integer("more", 2)),
    "reference after more": document(integer("more", 2), text("$ref", b"c"), integer("$id", 1)),
    "reference in disorder": document(integer("$id", 1), text("$ref", b"c")),
    "reference without id": document(text("$ref", b"c")),
    "reference to a number": document(integer("$ref", 1), integer("$id", 1)),
    "reference with a number as database": document(text("$ref", b"c"), integer("$id", 1), integer("$db", 1)),
    "deprecated": document(undefined("a"), symbol("b", b"x"), undefined("")),
}

_ARRAYS = {
    "empty": document(),
    "one": document(integer("0", 1)),
    "mixed": document(integer("0", 1), text("1", b"a"), element(0x0A, "2"), embedded("3"), array("4")),
    "without names": document(integer("", 1), integer("", 2)),
    "in disorder": document(integer("1", 1), integer("0", 2)),
    "twice": document(integer("0", 1), integer("0", 2)),
    "with names": document(integer("a", 1), text("b", b"c")),
    "with holes": document(integer("0", 1), integer("7", 2)),
    "nested": document(array("0", array("0", array("0", undefined("0"))))),
    "deprecated": document(undefined("0"), symbol("1", b"s"), element(0x0A, "2")),
}
