"""Keys: readable, equal for what MongoDB holds equal, different for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import pytest
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
from bson.son import SON
from bson.timestamp import Timestamp

from replicator_service.core.codec import CODEC_OPTIONS, TOLERANT_OPTIONS, encode_key
from replicator_service.core.codec.key import MAX_BYTES, is_digest
from tests.support import bson_bytes
from tests.support.bson_values import utc

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value

OID = ObjectId("0123456789abcdef01234567")


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (OID, "0123456789abcdef01234567"),
        ("order-17", "order-17"),
        ("", ""),
        ("tab\tand \\", "tab\tand \\"),
        ("0123456789abcdef01234567", '$string:"0123456789abcdef01234567"'),
        ("0123456789ABCDEF01234567", "0123456789ABCDEF01234567"),
        ("$number:1", '$string:"$number:1"'),
        ("a\0b", '$string:"a\\u0000b"'),
        (7, "$number:7"),
        (0.1, "$number:0.1000000000000000055511151231257827021181583404541015625"),
        (Decimal128("0.10"), "$number:0.1"),
        (Decimal128("12.5"), "$number:12.5"),
        (-1.5, "$number:-1.5"),
        (1e21, "$number:1000000000000000000000"),
        (Decimal128("1E+6000"), "$number:1.0e6000"),
        (float("-inf"), "$number:-Infinity"),
        (True, "$boolean:true"),
        (None, "$null"),
        (utc(2024, 1, 2, 3, 4, 5, 678000), "$date:2024-01-02T03:04:05.678Z"),
        (DatetimeMS(2**62), "$date:4611686018427387904"),
        (Binary(bytes(range(16)), 4), "$uuid:00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (Binary(b"ab", 5), "$binary:05:6162"),
        (b"ab", "$binary:00:6162"),
        (Timestamp(5, 6), "$timestamp:5:6"),
        (MinKey(), "$minKey"),
        (MaxKey(), "$maxKey"),
        ({"a": 1, "b": {"c": "d"}}, '$object:{"a":1,"b":{"c":"d"}}'),
        ({"u": OID, "t": None, "f": False}, '$object:{"u":{"$oid":"0123456789abcdef01234567"},"t":null,"f":false}'),
        ({"$a": float("nan")}, '$object:{"$$a":{"$number":"NaN"}}'),
        ({"a": [1, "x"]}, '$object:{"a":[1,"x"]}'),
        (DBRef("c", 1), '$object:{"$$ref":"c","$$id":1}'),
        (Regex("^a", "i"), '$regex:"^a":i'),
        (Code("f()"), '$code:"f()"'),
        (Code("f()", {"x": 1}), '$codeWithScope:"f()":{"x":1}'),
    ],
)
def test_every_type_has_a_readable_key(value: Value, key: str) -> None:
    assert encode_key(value) == key


@pytest.mark.parametrize(
    "equal",
    [
        [1, 1.0, Int64(1), Decimal128("1"), Decimal128("1.0"), Decimal128("0.1E+1")],
        [0, 0.0, -0.0, Int64(0), Decimal128("0"), Decimal128("-0.00"), Decimal128("0E+6000")],
        [0.5, Decimal128("0.50")],
        [2.0**62, Int64(2**62), Decimal128("4611686018427387904")],
        [float("nan"), Decimal128("NaN"), Decimal128("sNaN"), Decimal128("-NaN")],
        [float("inf"), Decimal128("Infinity")],
        [1e300, float(10**300)],
        [{"a": 1}, {"a": 1.0}, {"a": Decimal128("1.00")}],
        [utc(1970, 1, 1), DatetimeMS(0)],
    ],
)
def test_what_mongodb_holds_equal_has_one_key(equal: list[Any]) -> None:
    assert len({encode_key(value) for value in equal}) == 1


def test_distinct_ids_have_distinct_keys() -> None:
    distinct: list[Any] = [
        OID,
        str(OID),
        1,
        "1",
        True,
        "$number:1",
        0.1,
        Decimal128("0.1"),
        2**53,
        Int64(2**53 + 1),
        None,
        "null",
        "$null",
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        {"$oid": str(OID)},
        {"a": OID},
        {"a": {"$oid": str(OID)}},
        {"a": {"$$oid": str(OID)}},
        {"a": str(OID)},
        {"a": [1]},
        {"a": {"0": 1}},
        {},
        "",
        b"",
        Binary(b"", 5),
        b"ab",
        Binary(bytes(16), 3),
        Binary(bytes(16), 4),
        bytes(16),
        "a\0",
        "a\\u0000",
        '$string:"a"',
        Timestamp(0, 1),
        Timestamp(1, 0),
        utc(1970, 1, 1),
        MinKey(),
        MaxKey(),
        "$minKey",
    ]
    assert len({encode_key(value) for value in distinct}) == len(distinct)


def test_a_long_key_is_a_digest_with_a_readable_prefix() -> None:
    first, second = "customer-" + "x" * MAX_BYTES, "customer-" + "x" * MAX_BYTES + "y"
    assert is_digest(encode_key(first))
    assert encode_key(first) != encode_key(second)
    assert ":customer-xxx" in encode_key(first)
    assert len(encode_key("漢" * 5000).encode()) < MAX_BYTES
    assert not is_digest(encode_key("x" * MAX_BYTES))
    assert not is_digest(encode_key("$sha256:" + "0" * 64))


def test_strings_that_are_no_utf8_stay_distinct() -> None:
    ids = [
        bson.decode(bson_bytes.document(bson_bytes.text("_id", raw)), TOLERANT_OPTIONS)["_id"]
        for raw in (b"a\xff", b"a\xfe", "a\ufffd".encode())
    ]
    keys = {encode_key(value) for value in ids}
    assert len(keys) == 3
    assert all(key.encode() for key in keys)


def test_a_symbol_and_the_string_are_one_key() -> None:
    raw = bson_bytes.document(bson_bytes.symbol("_id", b"abc"))
    assert encode_key(bson.decode(raw, CODEC_OPTIONS)["_id"]) == "abc"


def test_the_order_of_fields_counts_in_the_drivers_ordered_type_too() -> None:
    assert encode_key(SON([("b", 1), ("a", 2)])) == encode_key({"b": 1, "a": 2})


def test_a_key_of_two_hundred_levels_is_encoded() -> None:
    value: Any = 1
    for _ in range(200):
        value = {"a": value}
    assert encode_key(value).startswith("$sha256:")


def test_what_is_no_bson_value_is_refused() -> None:
    with pytest.raises(TypeError, match="complex is not a BSON type"):
        encode_key(1j)
