"""Lines of COPY against PostgreSQL itself: what is in a table afterwards equals what was in the document."""

from __future__ import annotations

import decimal
import json
import math
from typing import TYPE_CHECKING, Any

import bson
import psycopg
import pytest
from bson import json_util
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from psycopg import sql

from replicator_service.core.bson.dates import milliseconds
from replicator_service.core.codec.extjson import is_faithful
from replicator_service.core.codec.key import encode_key
from replicator_service.core.mapping.model import ColumnType, MappedColumn, TypedCollection, tables_of
from replicator_service.core.transform import compile_transform
from tests.property.test_codec_json_properties import READING, comparable
from tests.support.bson_values import (
    BINARIES,
    BOOLEANS_AND_NULL,
    DATES,
    DECIMALS,
    DOUBLES,
    FAR_DATES,
    IDENTIFIERS,
    INT32,
    INT64,
    LEAVES,
    TEXT,
    UUIDS,
    VALUES,
)
from tests.support.examples import examples
from tests.support.transforms import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import PostgresServer
    from replicator_service.core.bson.declaration import Value

MAPPING = TypedCollection("C", "copied", tuple(MappedColumn(each.value, (each.value,), each) for each in ColumnType))
LIKELY: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.TEXT: TEXT | IDENTIFIERS,
    ColumnType.INTEGER: INT32 | INT64 | DOUBLES | DECIMALS,
    ColumnType.BIGINT: INT32 | INT64 | DOUBLES | DECIMALS,
    ColumnType.DOUBLE_PRECISION: DOUBLES | INT64,
    ColumnType.NUMERIC: DECIMALS | DOUBLES | INT64,
    ColumnType.BOOLEAN: BOOLEANS_AND_NULL,
    ColumnType.TIMESTAMPTZ: DATES | FAR_DATES,
    ColumnType.UUID: UUIDS | st.uuids().map(str),
    ColumnType.BYTEA: BINARIES,
    ColumnType.JSONB: VALUES,
}


def _values(column_type: ColumnType) -> st.SearchStrategy[Any]:
    element = column_type.element
    if element is None:
        return LIKELY[column_type] | LEAVES
    return st.lists(LIKELY[element] | st.none(), max_size=4) | VALUES


DOCUMENTS = st.fixed_dictionaries({}, optional={each.value: _values(each) for each in ColumnType})


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    """A connection with a temporary table of every column type, in a time zone that is not UTC."""
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute("set timezone = 'America/St_Johns'")
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
            for column in tables_of(MAPPING)[0].columns
        )
        connection.execute(sql.SQL("create temporary table copied ({})").format(columns))
        yield connection


def _readable(column_type: ColumnType) -> sql.Composable:
    """An expression whose result Python can hold exactly."""
    name = sql.Identifier(column_type.value)
    match column_type:
        case ColumnType.TIMESTAMPTZ:
            return sql.SQL("extract(epoch from {})").format(name)
        case ColumnType.TIMESTAMPTZ_ARRAY:
            each = sql.SQL("select extract(epoch from moment) from unnest({}) as moment").format(name)
            return sql.SQL("case when {} is not null then array({}) end").format(name, each)
        case ColumnType.JSONB:
            return sql.SQL("{}::text").format(name)
        case ColumnType.JSONB_ARRAY:
            return sql.SQL("{}::text[]").format(name)
        case _:
            return name


READ = sql.SQL("select _id, _extra::text, _bson, {} from copied").format(
    sql.SQL(", ").join(_readable(each) for each in ColumnType)
)


def _read_back(value: object) -> object:
    return comparable(json_util.loads(json.dumps(value), json_options=READING))


@given(st.lists(DOCUMENTS, min_size=1, max_size=4))
@examples(80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_postgres_holds_equals_the_document(
    postgres: psycopg.Connection[Any], documents: list[dict[str, Any]]
) -> None:
    transform = compile_transform(MAPPING)
    lines: list[list[str]] = [[]]
    stored = {}
    for document in documents:
        identified = {"_id": ObjectId(), **document}
        raw = bson.encode(identified)
        stored[write(transform, raw, lines)] = (raw, document)
    postgres.execute("truncate copied")
    with postgres.cursor().copy("copy copied from stdin") as copy:
        copy.write("\n".join(lines[0]) + "\n")
    rows = postgres.execute(READ).fetchall()
    assert len(rows) == len(documents)
    for key, extra, kept, *cells in rows:
        raw, document = stored[key]
        assert kept is None or kept == raw
        # Field by field: a field that is called like a type of Extended JSON cannot be read back by anybody.
        left = {} if extra is None else json.loads(extra)
        for column_type, cell in zip(ColumnType, cells, strict=True):
            name = column_type.value
            value = document.get(name)
            if value is None:
                assert cell is None
            elif cell is not None:
                assert name not in left
                assert kept == raw or _equal(column_type, cell, value)
            else:
                assert kept == raw or not is_faithful(value) or _read_back(left[name]) == comparable(value)


def _equal(column_type: ColumnType, cell: Value, value: Value) -> bool:
    element = column_type.element
    if element is not None:
        assert len(cell) == len(value)
        pairs = zip(cell, value, strict=True)
        return all(one is other is None or _equal(element, one, other) for one, other in pairs)
    match column_type:
        case ColumnType.TEXT:
            # A string is itself where it is no tagged one; everything else reads as it does as _id.
            return bool(cell == value or cell == encode_key(value))
        case ColumnType.DOUBLE_PRECISION:
            return comparable(cell) == comparable(float(value)) and (math.isnan(cell) or cell == value)
        case ColumnType.INTEGER | ColumnType.BIGINT | ColumnType.NUMERIC:
            return _same_number(decimal.Decimal(cell), value)
        case ColumnType.TIMESTAMPTZ:
            return bool(cell * 1000 == milliseconds(value))
        case ColumnType.UUID:
            return bool(str(cell) == value if isinstance(value, str) else cell.bytes == bytes(value))
        case ColumnType.JSONB:
            return comparable(json_util.loads(cell, json_options=READING)) == comparable(value)
        case _:
            return type(cell) is type(value) and bool(cell == value)


def _same_number(cell: decimal.Decimal, value: float | Decimal128) -> bool:
    if isinstance(value, Decimal128):
        number = value.to_decimal()
    elif isinstance(value, float) and cell == value:
        # A whole double in a column of whole numbers has all digits, not only those of its shortest form.
        return True
    else:
        number = decimal.Decimal(repr(value) if isinstance(value, float) else value)
    return cell.is_nan() if number.is_nan() else cell == number
