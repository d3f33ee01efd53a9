"""Decoding without loss, against hand-written BSON."""

from __future__ import annotations

from typing import Any

import bson
import pytest
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

from replicator_service.core.codec.elements import element_document
from replicator_service.core.codec.exact import decode_exact, source_id
from replicator_service.core.codec.extjson import relaxed
from tests.support.bson_bytes import (
    array,
    document,
    element,
    embedded,
    integer,
    pointer,
    string,
    symbol,
    text,
    undefined,
)

OID = bytes(range(12))


def written(*elements: bytes) -> str:
    return relaxed(decode_exact(document(*elements)).fields)


@pytest.mark.parametrize(
    ("raw", "json"),
    [
        (undefined("a"), '{"a":{"$undefined":true}}'),
        (symbol("a", b"s"), '{"a":{"$symbol":"s"}}'),
        (pointer("a", b"db.c", OID), '{"a":{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"000102030405060708090a0b"}}}}'),
        (
            embedded("a", integer("x", 1), integer("$id", 2), text("$ref", b"c"), element(0x0A, "$db")),
            '{"a":{"x":1,"$id":2,"$ref":"c","$db":null}}',
        ),
        (element(0x0B, "a", b"p\0xgi\0"), '{"a":{"$regularExpression":{"pattern":"p","options":"gix"}}}'),
        (text("a", b"x\xffy"), '{"a":"x\ufffdy"}'),
        (text(b"\xfe", b""), '{"\ufffd":""}'),
        (array("a", integer("7", 1), integer("7", 2)), '{"a":[1,2]}'),
        (element(0x0D, "a", string(b"f()")), '{"a":{"$code":"f()"}}'),
        (
            element(0x0F, "a", (22).to_bytes(4, "little") + string(b"f") + document(integer("x", 1))),
            '{"a":{"$code":"f","$scope":{"x":1}}}',
        ),
        (
            element(0x05, "a", b"\x06\0\0\0\x02\x02\0\0\0\xff\xfe"),
            '{"a":{"$binary":{"base64":"//4=","subType":"02"}}}',
        ),
        (element(0x01, "a", b"\0" * 7 + b"\x80"), '{"a":{"$numberDouble":"-0.0"}}'),
    ],
)
def test_what_the_driver_loses_is_kept(raw: bytes, json: str) -> None:
    assert written(raw) == json


def test_everything_else_is_decoded_as_the_driver_does() -> None:
    value: dict[str, Any] = {
        "double": 1.5,
        "string": "é",
        "document": {"a": {}},
        "array": [1, [2]],
        "bytes": b"ab",
        "uuid": Binary(bytes(16), 4),
        "old": Binary(b"ab", 2),
        "oid": ObjectId(OID),
        "true": True,
        "date": DatetimeMS(2**60),
        "null": None,
        "code": Code("f"),
        "int32": 5,
        "timestamp": Timestamp(1, 2),
        "int64": Int64(5),
        "decimal": Decimal128("1.50"),
        "min": MinKey(),
        "max": MaxKey(),
        "": 0,
    }
    raw = bson.encode(value)
    decoded = decode_exact(raw)
    assert decoded.fields == value
    assert [type(item) for item in decoded.fields.values()] == [type(item) for item in value.values()]
    assert not decoded.has_duplicates


def test_of_a_name_that_occurs_twice_the_last_stays_and_this_is_told() -> None:
    decoded = decode_exact(document(embedded("a", integer("b", 1), integer("b", 2))))
    assert decoded.fields == {"a": {"b": 2}}
    assert decoded.has_duplicates


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x05\0\0\0",
        document(element(0x02, "a", b"\xff\xff\xff\x7fx\0")),
        document(element(0x02, "a", b"\xff\xff\xff\xffx\0")),
        document(element(0x20, "a")),
        document(b"\x10no end of name"),
        document(element(0x01, "a", b"\0\0")),
    ],
)
def test_bytes_that_are_no_bson_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidBSON):
        decode_exact(raw)


def test_the_id_is_the_drivers_wherever_it_stands() -> None:
    assert source_id(document(integer("a", 1), symbol("_id", b"s"))) == "s"
    with pytest.raises(InvalidBSON):
        source_id(document(integer("a", 1)))


def test_ids_that_are_no_utf8_stay_distinct() -> None:
    ids = [source_id(document(text("_id", raw))) for raw in (b"a\xfe", b"a\xff", "a\ufffd".encode())]
    assert len(set(ids)) == 3


def test_an_element_of_an_array_is_a_document_of_its_own() -> None:
    raw = document(embedded("a", array("b", embedded("0", integer("x", 1)), text("1", b"t"))))
    assert bson.decode(element_document(raw, ("a", "b"), 0)) == {"x": 1}
    assert bson.decode(element_document(raw, ("a", "b"), 1)) == {"": "t"}
