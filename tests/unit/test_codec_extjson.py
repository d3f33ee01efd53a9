"""Relaxed Extended JSON: by the specification, acceptable to jsonb, and nothing confused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util
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

from replicator_service.core.codec.extjson import InexactValue, is_faithful, json_text, relaxed
from tests.support.bson_values import utc

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value

OID = ObjectId("0123456789abcdef01234567")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (Int64(2**63 - 1), "9223372036854775807"),
        (1.0, "1.0"),
        (1e16, "10000000000000000.0"),
        (1.5e300, "15" + "0" * 299 + ".0"),
        (1e-7, "1e-07"),
        (-0.0, '{"$numberDouble":"-0.0"}'),
        (float("nan"), '{"$numberDouble":"NaN"}'),
        (float("inf"), '{"$numberDouble":"Infinity"}'),
        (float("-inf"), '{"$numberDouble":"-Infinity"}'),
        (Decimal128("-1.50"), '{"$numberDecimal":"-1.50"}'),
        (Decimal128("1E+3"), '{"$numberDecimal":"1E+3"}'),
        (True, "true"),
        (None, "null"),
        ('"\n\u2028é', '"\\"\\n\u2028é"'),
        (OID, '{"$oid":"0123456789abcdef01234567"}'),
        (utc(2024, 1, 2, 3, 4, 5), '{"$date":"2024-01-02T03:04:05Z"}'),
        (utc(2024, 1, 2, 3, 4, 5, 7000), '{"$date":"2024-01-02T03:04:05.007Z"}'),
        (utc(9999, 12, 31, 23, 59, 59, 999000), '{"$date":"9999-12-31T23:59:59.999Z"}'),
        (utc(1969, 12, 31, 23, 59, 59, 999000), '{"$date":{"$numberLong":"-1"}}'),
        (DatetimeMS(253402300800000), '{"$date":{"$numberLong":"253402300800000"}}'),
        (DatetimeMS(0), '{"$date":"1970-01-01T00:00:00Z"}'),
        (b"\xff\xfe", '{"$binary":{"base64":"//4=","subType":"00"}}'),
        (Binary(b"\xff\xfe", 0x80), '{"$binary":{"base64":"//4=","subType":"80"}}'),
        (Binary(bytes(16), 4), '{"$binary":{"base64":"AAAAAAAAAAAAAAAAAAAAAA==","subType":"04"}}'),
        (Timestamp(4294967295, 1), '{"$timestamp":{"t":4294967295,"i":1}}'),
        (MinKey(), '{"$minKey":1}'),
        (MaxKey(), '{"$maxKey":1}'),
        (Regex("a/b", "xi"), '{"$regularExpression":{"pattern":"a/b","options":"ix"}}'),
        (Code("f"), '{"$code":"f"}'),
        (Code("f", {"x": 1}), '{"$code":"f","$scope":{"x":1}}'),
        (DBRef("c", OID, "d"), '{"$ref":"c","$id":{"$oid":"0123456789abcdef01234567"},"$db":"d"}'),
        ({"": {"A.b": [1, "x", {}]}, "$x": []}, '{"":{"A.b":[1,"x",{}]},"$x":[]}'),
    ],
)
def test_every_type_is_written_as_the_specification_says(value: Value, text: str) -> None:
    assert relaxed(value) == text


@pytest.mark.parametrize("value", [5e-324, 1.7976931348623157e308, 0.1, 123456789.125, -1e20, 2.0**53, 9.9e15])
def test_a_double_stays_a_double_and_keeps_its_value(value: float) -> None:
    text = relaxed(value)
    assert "." in text or "e-" in text
    assert float(text) == value


def test_nul_becomes_the_replacement_character_and_says_so() -> None:
    assert relaxed({"a": "x\0y"}) == '{"a":"x\ufffdy"}'
    assert not is_faithful({"a": "x\0y"})
    assert not is_faithful({"a\0": 1})


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "\ufffd", "\\", "x\\u0000\\"])
def test_text_that_looks_like_an_escape_is_left_alone(text: str) -> None:
    assert is_faithful({text: text})
    assert json_util.loads(relaxed({text: text})) == {text: text}


def test_backslashes_next_to_a_real_nul_are_told_apart() -> None:
    assert json_util.loads(relaxed("\\\0\\u0000\\\\\0")) == "\\\ufffd\\u0000\\\\\ufffd"


@pytest.mark.parametrize("name", ["$oid", "$date", "$numberLong", "$uuid", "$regex", "$binary"])
def test_a_field_named_like_a_type_is_ambiguous(name: str) -> None:
    # Written twice: names are remembered after the first time.
    for _ in range(2):
        assert relaxed({"a": {name: "x"}}) == f'{{"a":{{"{name}":"x"}}}}'
        assert not is_faithful({"a": {name: "x"}})


def test_other_dollar_names_are_not_ambiguous() -> None:
    assert is_faithful({"$gt": 1, "$set": {"$ref": "c", "$id": 1, "$db": "d"}})


@pytest.mark.parametrize("value", [DBRef("c", 1), Regex("a"), [DBRef("c", 1)], {"a": {"b": Regex("a")}}])
def test_values_that_the_driver_may_have_changed_ask_for_exact_decoding(value: Value) -> None:
    with pytest.raises(InexactValue):
        json_text(value)


def test_more_names_than_are_remembered_are_all_written() -> None:
    names = [f"name{number}" for number in range(25_000)]
    assert json_util.loads(relaxed(dict.fromkeys(names, 1))) == dict.fromkeys(names, 1)


def test_two_hundred_levels_are_written() -> None:
    value: Any = 1
    for level in range(200):
        value = [value] if level % 2 else {"a": value}
    assert json_util.loads(relaxed(value)) == value


def test_what_is_no_bson_value_is_refused() -> None:
    with pytest.raises(TypeError, match="complex is not a BSON type"):
        relaxed({"a": 1j})
