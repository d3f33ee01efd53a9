"""Where the values of a document go: columns, child rows, ``_extra``, ``_bson``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from replicator_service.core.errors import RecordRejected
from replicator_service.core.mapping.model import (
    ChildTable,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
    TypedCollection,
)
from replicator_service.core.transform import compile_transform
from tests.support import bson_bytes
from tests.support.bson_values import utc
from tests.support.transforms import VALID_FROM, rows_of, write

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value

OID = ObjectId("0123456789abcdef01234567")
KEY = str(OID)


def typed(
    *columns: tuple[str, ColumnType], children: tuple[ChildTable, ...] = (), keep: KeepBson = KeepBson.WHEN_NEEDED
) -> TypedCollection:
    """A mapping; a column's name is its path, with dots."""
    return TypedCollection("C", "t", mapped(*columns), children, (), keep)


def mapped(*columns: tuple[str, ColumnType]) -> tuple[MappedColumn, ...]:
    return tuple(MappedColumn(name, tuple(name.split(".")), column_type) for name, column_type in columns)


def row(mapping: TypedCollection, fields: dict[str, Any]) -> list[str | None]:
    """The parent's row without its key and ``etl_valid_from``."""
    (found,) = rows_of(mapping, bson.encode({"_id": OID, **fields}))[0]
    assert found[0] == KEY
    assert found[-1] == VALID_FROM
    return found[1:-1]


def extra(mapping: TypedCollection, fields: dict[str, Any]) -> dict[str, Any] | None:
    text = row(mapping, fields)[-2]
    return None if text is None else json.loads(text)


TEXT = typed(("a", ColumnType.TEXT))


@pytest.mark.parametrize(
    ("column_type", "value", "cell"),
    [
        (ColumnType.TEXT, "a\\b\tc\nd\re", "a\\b\tc\nd\re"),
        (ColumnType.TEXT, "\\N", "\\N"),
        (ColumnType.TEXT, "", ""),
        (ColumnType.TEXT, OID, KEY),
        (ColumnType.TEXT, 1001, "$number:1001"),
        (ColumnType.TEXT, "$number:1001", '$string:"$number:1001"'),
        (ColumnType.TEXT, "costs $5\t", "costs $5\t"),
        (ColumnType.INTEGER, 2**31 - 1, "2147483647"),
        (ColumnType.INTEGER, Int64(5), "5"),
        (ColumnType.INTEGER, 5.0, "5"),
        (ColumnType.INTEGER, Decimal128("5.00"), "5"),
        (ColumnType.BIGINT, Int64(-(2**63)), "-9223372036854775808"),
        (ColumnType.BIGINT, 2.0**62, "4611686018427387904"),
        (ColumnType.DOUBLE_PRECISION, -0.0, "-0.0"),
        (ColumnType.DOUBLE_PRECISION, float("nan"), "NaN"),
        (ColumnType.DOUBLE_PRECISION, float("-inf"), "-Infinity"),
        (ColumnType.DOUBLE_PRECISION, Int64(2**53), "9007199254740992"),
        (ColumnType.NUMERIC, 0.1, "0.1"),
        (ColumnType.NUMERIC, Int64(2**63 - 1), "9223372036854775807"),
        (ColumnType.NUMERIC, Decimal128("1.50"), "1.50"),
        (ColumnType.NUMERIC, Decimal128("sNaN"), "NaN"),
        (ColumnType.NUMERIC, float("inf"), "Infinity"),
        (ColumnType.BOOLEAN, False, "f"),
        (ColumnType.TIMESTAMPTZ, utc(2024, 1, 2, 3, 4, 5, 678000), "2024-01-02T03:04:05.678Z"),
        (ColumnType.TIMESTAMPTZ, DatetimeMS(-62135596800001), "0001-12-31T23:59:59.999Z BC"),
        (ColumnType.UUID, Binary(bytes(16), 4), "0" * 32),
        (ColumnType.UUID, "00010203-0405-0607-0809-0a0b0c0d0e0f", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (ColumnType.BYTEA, b"\xff", "\\xff"),
        (ColumnType.JSONB, {"a": "\\"}, '{"a":"\\\\"}'),
        (ColumnType.JSONB, 1, "1"),
        (ColumnType.TEXT_ARRAY, ["a", 'b"\\', None, "NULL", ""], '{"a","b\\"\\\\",NULL,"NULL",""}'),
        (ColumnType.TEXT_ARRAY, [], "{}"),
        (ColumnType.TEXT_ARRAY, ["a", OID], f'{{"a","{KEY}"}}'),
        (ColumnType.TEXT_ARRAY, ["x", 1], '{"x","$number:1"}'),
        (ColumnType.TEXT_ARRAY, ["$number:1"], '{"$string:\\"$number:1\\""}'),
        (ColumnType.INTEGER_ARRAY, [1, None, 2.0], '{"1",NULL,"2"}'),
        (ColumnType.BYTEA_ARRAY, [b"\xff"], '{"\\\\xff"}'),
        (ColumnType.JSONB_ARRAY, [[1], "x"], '{"[1]","\\"x\\""}'),
    ],
)
def test_a_value_that_equals_the_column_fits(column_type: ColumnType, value: Value, cell: str) -> None:
    assert row(typed(("a", column_type)), {"a": value}) == [cell, None, None]


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        (ColumnType.TEXT, 1.5),
        (ColumnType.TEXT, float("nan")),
        (ColumnType.TEXT, float("inf")),
        (ColumnType.TEXT, Decimal128("NaN")),
        (ColumnType.TEXT, b"x"),
        (ColumnType.TEXT, Binary(bytes(16), 3)),
        (ColumnType.TEXT, {"a": "x"}),
        (ColumnType.TEXT, Regex("x")),
        (ColumnType.TEXT, Timestamp(1, 1)),
        (ColumnType.TEXT, Code("f")),
        (ColumnType.TEXT, ["x"]),
        (ColumnType.INTEGER, Int64(2**31)),
        (ColumnType.INTEGER, 1.5),
        (ColumnType.INTEGER, -0.0),
        (ColumnType.INTEGER, True),
        (ColumnType.INTEGER, "1"),
        (ColumnType.INTEGER, float("nan")),
        (ColumnType.INTEGER, Decimal128("1.5")),
        (ColumnType.BIGINT, 2.0**63),
        (ColumnType.BIGINT, Decimal128("1E+30")),
        (ColumnType.DOUBLE_PRECISION, Int64(2**53 + 1)),
        (ColumnType.DOUBLE_PRECISION, Decimal128("1")),
        (ColumnType.NUMERIC, "1"),
        (ColumnType.BOOLEAN, 1),
        (ColumnType.TIMESTAMPTZ, DatetimeMS(2**60)),
        (ColumnType.TIMESTAMPTZ, "2024-01-01"),
        (ColumnType.UUID, Binary(bytes(16), 3)),
        (ColumnType.UUID, Binary(b"short", 4)),
        (ColumnType.UUID, "00010203-0405-0607-0809-0A0B0C0D0E0F"),
        (ColumnType.UUID, "00010203040506070809" + "0" * 12),
        (ColumnType.BYTEA, Binary(b"x", 5)),
        (ColumnType.BYTEA, "x"),
        (ColumnType.TEXT_ARRAY, "x"),
        (ColumnType.TEXT_ARRAY, ["x", 1.5]),
        (ColumnType.TEXT_ARRAY, [Code("f")]),
        (ColumnType.INTEGER_ARRAY, [[1]]),
    ],
)
def test_a_value_that_does_not_fit_goes_whole_to_extra_and_is_counted(column_type: ColumnType, value: Value) -> None:
    mapping = typed(("a", column_type))
    cell, other, kept = row(mapping, {"a": value})
    assert cell is None
    assert kept is None
    assert other is not None
    assert list(json.loads(other)) == ["a"]
    transform = compile_transform(mapping)
    write(transform, bson.encode({"_id": OID, "a": value}), [[]])
    assert transform.altered == 1


def test_null_and_missing_are_null_and_nothing_else() -> None:
    mapping = typed(("a", ColumnType.TEXT), ("d.x", ColumnType.TEXT), ("d.y", ColumnType.INTEGER))
    documents: list[dict[str, Any]] = [{}, {"a": None}, {"d": None}, {"d": {}}, {"a": None, "d": {"x": None}}]
    for fields in documents:
        assert row(mapping, fields) == [None, None, None, None, None]


def test_unmapped_fields_are_kept_where_they_were() -> None:
    mapping = typed(("a", ColumnType.TEXT), ("d.x.y", ColumnType.TEXT))
    fields = {"a": "1", "b": None, "d": {"x": {"y": "2", "z": 3}, "": 4}, "A.b": {"$c": 5}}
    assert extra(mapping, fields) == {"b": None, "d": {"x": {"z": 3}, "": 4}, "A.b": {"$c": 5}}


def test_a_value_where_a_sub_document_was_expected_is_kept() -> None:
    mapping = typed(("d.x", ColumnType.TEXT))
    assert extra(mapping, {"d": 5}) == {"d": 5}
    assert extra(mapping, {"d": [{"x": "1"}]}) == {"d": [{"x": "1"}]}


def test_a_column_that_takes_a_whole_sub_document_leaves_nothing_over() -> None:
    mapping = typed(("d", ColumnType.JSONB), ("d.x", ColumnType.TEXT))
    assert row(mapping, {"d": {"x": "1", "y": 2}}) == ['{"x":"1","y":2}', "1", None, None]
    assert row(mapping, {"d": {"x": 1.5}}) == ['{"x":1.5}', None, None, None]


def test_two_columns_of_one_field_are_both_filled() -> None:
    mapping = TypedCollection(
        "C",
        "t",
        (MappedColumn("n", ("a",), ColumnType.INTEGER), MappedColumn("j", ("a",), ColumnType.JSONB)),
    )
    assert row(mapping, {"a": 1}) == ["1", "1", None, None]
    assert row(mapping, {"a": "x"}) == [None, '"x"', '{"a":"x"}', None]


CHILD = ChildTable(
    "child",
    ("d", "items"),
    (
        MappedColumn("owner", ("a",), ColumnType.TEXT, from_parent=True),
        MappedColumn("name", ("name",), ColumnType.TEXT),
        MappedColumn("deep", ("x", "y"), ColumnType.INTEGER),
        MappedColumn("other", ("z",), ColumnType.INTEGER, from_parent=True),
    ),
)
WITH_CHILD = typed(("a", ColumnType.TEXT), children=(CHILD,))


def test_each_element_becomes_a_child_row() -> None:
    items = [{"name": "n\t0", "x": {"y": 1, "q": 2}}, {}, {"name": 5.5, "x": {"y": 2}}, "text", None, [1]]
    raw = bson.encode({"_id": OID, "a": "own\\er", "d": {"items": items, "rest": 1}, "z": 7})
    parent, children = rows_of(WITH_CHILD, raw)
    assert parent == [[KEY, "own\\er", '{"z":7,"d":{"rest":1}}', None, VALID_FROM]]
    assert [child[1:-1] for child in children] == [
        ["0", "own\\er", "n\t0", "1", "7", '{"x":{"q":2}}', None],
        ["1", "own\\er", None, None, "7", None, None],
        ["2", "own\\er", None, "2", "7", '{"name":5.5}', None],
        ["3", "own\\er", None, None, "7", '"text"', None],
        ["4", "own\\er", None, None, "7", "null", None],
        ["5", "own\\er", None, None, "7", "[1]", None],
    ]
    assert {child[0] for child in children} == {KEY}


@pytest.mark.parametrize("d", [None, {}, {"items": None}, {"items": []}])
def test_no_elements_are_no_child_rows_and_no_extra(d: Value) -> None:
    assert rows_of(WITH_CHILD, bson.encode({"_id": OID, "d": d})) == [[[KEY, None, None, None, VALID_FROM]], []]


@pytest.mark.parametrize("items", [5, "x", {"name": "x"}])
def test_what_is_no_array_is_kept_by_the_parent(items: Value) -> None:
    parent, children = rows_of(WITH_CHILD, bson.encode({"_id": OID, "d": {"items": items}}))
    assert json.loads(parent[0][2] or "") == {"d": {"items": items}}
    assert children == []


def test_nul_is_spelled_out_in_text_and_replaced_in_json_and_the_document_is_kept() -> None:
    raw = bson.encode({"_id": OID, "a": "x\0y", "b": "\0"})
    assert rows_of(TEXT, raw) == [[[KEY, '$string:"x\\u0000y"', '{"b":"\ufffd"}', f"\\x{raw.hex()}", VALID_FROM]]]
    transform = compile_transform(TEXT)
    write(transform, raw, [[]])
    assert transform.altered == 2


def test_nul_in_an_element_keeps_the_element_and_the_document() -> None:
    items = [{"name": "fine"}, {"name": "x\0"}, "\0"]
    raw = bson.encode({"_id": OID, "d": {"items": items}})
    parent, children = rows_of(WITH_CHILD, raw)
    assert parent[0][-2] == f"\\x{raw.hex()}"
    assert [child[-2] for child in children] == [
        None,
        f"\\x{bson.encode({'name': chr(120) + chr(0)}).hex()}",
        f"\\x{bson.encode({'': chr(0)}).hex()}",
    ]
    assert children[1][3] == '$string:"x\\u0000"'


def test_a_field_that_reads_like_a_type_keeps_the_document() -> None:
    raw = bson.encode({"_id": OID, "b": {"$oid": "x"}})
    assert rows_of(TEXT, raw) == [[[KEY, None, '{"b":{"$oid":"x"}}', f"\\x{raw.hex()}", VALID_FROM]]]
    transform = compile_transform(TEXT)
    write(transform, raw, [[]])
    assert transform.altered == 0


def test_keep_bson_always_keeps_every_document() -> None:
    raw = bson.encode({"_id": OID, "a": "x"})
    for mapping in (typed(("a", ColumnType.TEXT), keep=KeepBson.ALWAYS), DocumentCollection("C", "t", KeepBson.ALWAYS)):
        assert rows_of(mapping, raw)[0][0][-2] == f"\\x{raw.hex()}"


def test_an_id_that_became_a_digest_is_kept_in_extra() -> None:
    name = "k" * 3000
    ((found,),) = rows_of(TEXT, bson.encode({"_id": name, "a": "x"}))
    assert found[0] is not None
    assert found[0].startswith("$sha256:")
    assert found[2] == json.dumps({"_id": name}, separators=(",", ":"))


def test_an_id_that_its_column_cannot_hold_is_kept_in_extra() -> None:
    ((found,),) = rows_of(
        typed(("_id", ColumnType.INTEGER), ("_id.a", ColumnType.TEXT)), bson.encode({"_id": {"a": "t\t"}})
    )
    assert found == ['$object:{"a":"t\\t"}', None, "t\t", '{"_id":{"a":"t\\t"}}', None, VALID_FROM]


def test_an_id_that_no_column_takes_is_held_by_the_key_alone() -> None:
    ((found,),) = rows_of(TEXT, bson.encode({"_id": {"a": "t\t"}}))
    assert found == ['$object:{"a":"t\\t"}', None, None, None, VALID_FROM]


def test_a_key_is_escaped_in_the_line_and_plain_in_the_answer() -> None:
    transform = compile_transform(TEXT)
    lines: list[list[str]] = [[]]
    assert write(transform, bson.encode({"_id": "a\tb"}), lines) == "a\tb"
    assert lines[0][0].startswith("a\\tb\t")


def test_a_document_table_holds_the_whole_document() -> None:
    raw = bson.encode({"_id": 5, "a": "\\\n\t", "b": [1.0]})
    assert rows_of(DocumentCollection("C", "t"), raw) == [
        [["$number:5", '{"_id":5,"a":"\\\\\\n\\t","b":[1.0]}', None, VALID_FROM]]
    ]


def test_lossy_types_take_the_exact_path() -> None:
    raw = bson_bytes.document(bson_bytes.symbol("_id", b"k"), bson_bytes.symbol("a", b"s"), bson_bytes.undefined("u"))
    assert rows_of(TEXT, raw) == [[["k", "s", '{"u":{"$undefined":true}}', None, VALID_FROM]]]


def test_a_dbref_takes_the_exact_path_by_itself() -> None:
    raw = bson.encode({"_id": OID, "r": DBRef("c", 1, "d", {"x": 2})})
    ((found,),) = rows_of(typed(("r.x", ColumnType.INTEGER)), raw)
    assert found == [KEY, "2", '{"r":{"$ref":"c","$id":1,"$db":"d"}}', None, VALID_FROM]


def test_invalid_utf8_is_spelled_out_in_text_and_the_document_is_kept() -> None:
    raw = bson_bytes.document(bson_bytes.integer("_id", 1), bson_bytes.text("a", b"x\xff"))
    assert rows_of(TEXT, raw) == [[["$number:1", '$string:"x\\u0000\\udcff"', None, f"\\x{raw.hex()}", VALID_FROM]]]


def test_duplicate_names_keep_the_document() -> None:
    raw = bson_bytes.document(
        bson_bytes.integer("_id", 1), bson_bytes.undefined("u"), *[bson_bytes.text("a", b"x")] * 2
    )
    assert rows_of(TEXT, raw)[0][0][-2] == f"\\x{raw.hex()}"


def test_a_document_without_an_id_is_rejected_and_no_value_is_told() -> None:
    transform = compile_transform(TEXT)
    lines: list[list[str]] = [[]]
    with pytest.raises(RecordRejected, match=r"cannot be transformed \(KeyError\)") as caught:
        transform.write({"a": "secret"}, bytes, VALID_FROM, lines)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    with pytest.raises(RecordRejected):
        transform.write_exact(b"\x05\0\0\0\0", VALID_FROM, lines)
    assert lines == [[]]


def test_names_of_fields_cannot_leave_their_quotes() -> None:
    names = ["'", '"', "\\", "{x}", "'; raise SystemExit #", "\n", "\\'", "é\u2028"]
    columns = tuple(MappedColumn(name, (name, name), ColumnType.TEXT) for name in names)
    mapping = TypedCollection("C", "'\"\n", columns)
    assert row(mapping, {name: {name: "v"} for name in names}) == ["v"] * len(names) + [None, None]


def test_two_thousand_columns_and_a_path_of_a_hundred_levels_compile() -> None:
    wide = typed(*((f"f{number}", ColumnType.TEXT) for number in range(2000)))
    assert row(wide, {f"f{number}": "x" for number in range(1999)}) == ["x"] * 1999 + [None, None, None]
    deep = typed((".".join("d" * 100), ColumnType.INTEGER))
    value: Any = 7
    for _ in range(100):
        value = {"d": value}
    assert row(deep, value) == ["7", None, None]


def test_a_document_of_sixteen_megabytes_is_written() -> None:
    raw = bson.encode({"_id": OID, "a": "x" * 13_500_000, "b": list(range(100_000)), "c": "y\0" * 500_000})
    ((found,),) = rows_of(TEXT, raw)
    assert found[1] == "x" * 13_500_000
    assert found[-2] == f"\\x{raw.hex()}"
