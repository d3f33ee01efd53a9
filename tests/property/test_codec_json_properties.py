"""Extended JSON: what is written is read back equal, by the driver and through PostgreSQL's jsonb."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import bson
import psycopg
import pytest
from bson import json_util
from bson.binary import UuidRepresentation
from bson.code import Code
from bson.codec_options import DatetimeConversion
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from replicator_service.core.codec import CODEC_OPTIONS, relaxed
from replicator_service.core.codec.exact import decode_exact
from replicator_service.core.codec.extjson import is_faithful
from tests.support.bson_values import LEAVES, VALUES
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import PostgresServer
    from replicator_service.core.bson.declaration import Value

READING = json_util.JSONOptions(
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def comparable(value: Value) -> tuple[object, ...]:
    """Values in a form in which equal means the same type, bits and text; NaN equals itself."""
    if isinstance(value, float):
        return "double", "NaN" if math.isnan(value) else repr(value)
    if isinstance(value, int):
        return "boolean" if isinstance(value, bool) else "integer", int(value)
    if isinstance(value, Code):
        return "code", str(value), comparable(value.scope)
    if isinstance(value, dict | DBRef):
        fields = value if isinstance(value, dict) else value.as_doc()
        return type(value).__name__, {name: comparable(item) for name, item in fields.items()}
    if isinstance(value, list):
        return "array", [comparable(item) for item in value]
    return type(value).__name__, str(value) if isinstance(value, Decimal128) else value


@given(VALUES)
@examples(250)
def test_the_driver_reads_back_what_was_written(value: Value) -> None:
    text = relaxed(value)
    json.loads(text)
    if is_faithful(value):
        assert comparable(json_util.loads(text, json_options=READING)) == comparable(value)


@given(st.dictionaries(st.sampled_from(["a", "b", ""]), VALUES, max_size=3))
@examples(150)
def test_exact_decoding_agrees_with_the_driver(document: dict[str, Any]) -> None:
    raw = bson.encode(document)
    text = relaxed(decode_exact(raw).fields)
    expected = relaxed(bson.decode(raw, CODEC_OPTIONS))
    # A DBRef has its three fields first in the driver.
    assert json.loads(text) == json.loads(expected)


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """A connection for expressions."""
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        yield connection


@given(st.lists(VALUES | LEAVES, min_size=1, max_size=20))
@examples(80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_jsonb_keeps_every_value(postgres: psycopg.Connection[Any], values: list[Any]) -> None:
    texts = [relaxed(value) for value in values]
    query = "select value::jsonb::text from unnest(%s::text[]) with ordinality as each(value, place) order by place"
    for (stored,), value in zip(postgres.execute(query, (texts,)).fetchall(), values, strict=True):
        if is_faithful(value):
            assert comparable(json_util.loads(stored, json_options=READING)) == comparable(value)


def test_jsonb_keeps_two_hundred_levels_and_two_thousand_fields(postgres: psycopg.Connection[Any]) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    wide = {f"field {number}": number for number in range(2000)}
    for value in (deep, wide):
        row = postgres.execute("select %s::jsonb::text", (relaxed(value),)).fetchone()
        assert row is not None
        assert json_util.loads(row[0]) == value
