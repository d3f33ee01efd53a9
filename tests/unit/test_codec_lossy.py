"""Finding the types that the driver silently changes, in whole replies."""

from __future__ import annotations

import random

import bson
import pytest
from bson.code import Code
from bson.objectid import ObjectId

from replicator_service.core.codec import may_hold_lossy_types
from tests.support.bson_bytes import array, document, element, embedded, integer, string, symbol, text, undefined


@pytest.mark.parametrize(
    "fields",
    [
        undefined("a"),
        symbol("a", b"s"),
        undefined("é"),
        text("x", b"y" * 13) + symbol("long name", b"s" * 300),
        embedded("a", integer("b", 6), undefined("c")),
        array("a", undefined("0")),
        array("a", embedded("0", embedded("b", undefined("c")))),
        # Without a name.
        undefined(""),
        undefined("") + integer("a", 1),
        embedded("a", undefined("")) + integer("b", 1),
        symbol("", b"s"),
        symbol("", b"s" * 255),
        element(0x0F, "a", (20).to_bytes(4, "little") + string(b"f") + document(undefined("x"))),
        # After a double that looks like one.
        element(0x01, "d", b"\x0eabcdef@") + undefined("a"),
    ],
)
def test_undefined_and_symbol_are_found(fields: bytes) -> None:
    for raw in (
        document(integer("_id", 1), fields),
        document(fields, integer("_id", 1)),
        document(element(0x03, "0", document(fields)), element(0x03, "1", document(integer("a", 1)))),
    ):
        assert may_hold_lossy_types(raw)


@pytest.mark.parametrize(
    "raw",
    [
        bson.encode({"a": 6, "b": 14, "c": "x" * 5, "d": "y" * 13, "e": "z" * 261, "f": "\x06abc"}),
        bson.encode({"oid": ObjectId(b"\x06ab\0cdefghij"), "end": ObjectId(b"abcdefg\x0ehij@")}),
        document(element(0x01, "last", b"\x0eabcdef@")),
        bson.encode({"binary": b"\x06abc\0", "code": Code("\x0eabc", {"a": "\x06b"})}),
        bson.encode({"a": [{"price": 1.0}, {"text": "\x0e\x06x"}]}),
        document(),
    ],
)
def test_bytes_that_only_look_like_them_are_not_taken_for_them(raw: bytes) -> None:
    assert not may_hold_lossy_types(raw)


def test_random_ordinary_documents_hold_none() -> None:
    source = random.Random(7)  # noqa: S311 - test data
    documents = {
        str(number): {"_id": ObjectId(source.randbytes(12)), "b": source.randbytes(20), "d": source.random()}
        for number in range(3000)
    }
    assert not may_hold_lossy_types(bson.encode(documents))


def test_bytes_that_are_no_bson_count_as_lossy() -> None:
    assert may_hold_lossy_types(b"\x10\0\0\0\x20x\0\x06abc\0\0\0\0\0")
