"""Keys against MongoDB itself: two values have one key exactly when the server's comparison calls them equal."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import pytest
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pymongo import MongoClient

from replicator_service.core.codec import encode_key
from replicator_service.core.codec.key import MAX_BYTES
from tests.support.bson_values import CODES, DECIMALS, NAMES, REGEXES, SCALARS, nested
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.collection import Collection

    from devstack.mongo import MongoReplicaSet
    from replicator_service.core.bson.declaration import Value

NUMBERS: list[Any] = [
    *(0, -0.0, 1, 1.0, Int64(1), 2**53, 2.0**53, Int64(2**53 + 1), 0.1, 0.5, 1e22, 1e300, 5e-324),
    *(float("nan"), float("inf"), float("-inf"), Int64(2**63 - 1), 2.0**63, Int64(-(2**63)), -(2.0**63)),
    *map(Decimal128, ["0", "-0", "1", "1.00", "0.1", "0.5", "1E+22", "1E+300", "NaN", "Infinity", "-Infinity"]),
    *map(Decimal128, ["9007199254740993", "9223372036854775807", "9223372036854775808", "1E+6144", "1E-6176"]),
    Decimal128("0.1000000000000000055511151231257827"),
]
LOOKALIKES: list[Any] = [
    "",
    "1",
    "$number:1",
    None,
    "null",
    True,
    "true",
    {},
    {"a": 1},
    {"a": 1.0},
    {"a": "1"},
    b"",
    b"1",
]
VALUES = nested(SCALARS | REGEXES | CODES | st.sampled_from(NUMBERS) | st.sampled_from(LOOKALIKES))


@pytest.fixture(scope="module")
def comparing(mongo_server: MongoReplicaSet) -> Iterator[Collection[Any]]:
    """A collection of one document, in which expressions are evaluated."""
    with MongoClient[dict[str, Any]](mongo_server.uri) as client:
        options: CodecOptions[Any] = CodecOptions(uuid_representation=UuidRepresentation.UNSPECIFIED)
        collection = client["comparing"].get_collection("one", codec_options=options)
        collection.insert_one({})
        yield collection
        client.drop_database("comparing")


def compared(collection: Collection[Any], values: list[Any]) -> set[tuple[int, int]]:
    """Return the pairs that the server holds equal, by position."""
    pairs = list(combinations_with_replacement(range(len(values)), 2))
    expressions = [{"$cmp": [{"$literal": values[left]}, {"$literal": values[right]}]} for left, right in pairs]
    answer = next(collection.aggregate([{"$project": {"_id": 0, "result": expressions}}]))
    return {pair for pair, order in zip(pairs, answer["result"], strict=True) if order == 0}


def same_keys(values: list[Any]) -> set[tuple[int, int]]:
    keys = [encode_key(value) for value in values]
    return {
        (left, right)
        for left, right in combinations_with_replacement(range(len(values)), 2)
        if keys[left] == keys[right]
    }


@given(st.lists(VALUES | st.sampled_from(NUMBERS), min_size=2, max_size=12))
@examples(120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_keys_are_equal_when_mongodb_holds_the_values_equal(comparing: Collection[Any], values: list[Any]) -> None:
    assert same_keys(values) == compared(comparing, values)


def test_all_numbers_that_are_nearly_equal_are_told_apart_as_mongodb_does(comparing: Collection[Any]) -> None:
    assert same_keys(NUMBERS + LOOKALIKES) == compared(comparing, NUMBERS + LOOKALIKES)
    wrapped: list[Any] = [{"a": {"b": value}} for value in NUMBERS]
    assert same_keys(wrapped) == compared(comparing, wrapped)


@given(st.lists(st.floats() | DECIMALS, min_size=2, max_size=12))
@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_doubles_and_decimals_are_compared_exactly(comparing: Collection[Any], values: list[Any]) -> None:
    assert same_keys(values) == compared(comparing, values)


@given(VALUES)
@examples(100)
def test_a_key_can_be_stored_and_indexed(value: Value) -> None:
    key = encode_key(value)
    assert "\0" not in key
    assert len(key.encode()) <= MAX_BYTES


@given(st.dictionaries(NAMES, st.sampled_from(NUMBERS), min_size=2, max_size=4))
def test_the_order_of_fields_counts(value: dict[str, Any]) -> None:
    assert encode_key(dict(reversed(value.items()))) != encode_key(value)


def test_a_uuid_and_its_bytes_are_different_keys() -> None:
    assert encode_key(Binary(bytes(16), 4)) != encode_key(bytes(16))
