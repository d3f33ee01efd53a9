"""Which columns, child tables and comments are inferred from which documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MinKey, ObjectId, Timestamp, json_util
from bson.datetime_ms import DatetimeMS

from replicator_service.core.mapping.inference import ProposedCollection, Sampled, Skipped, fold, merged, propose
from replicator_service.core.mapping.inference.notes import share
from replicator_service.core.mapping.inference.proposal import MAX_PROPOSED_COLUMNS, ProposedTable
from replicator_service.core.mapping.inference.shape import MAX_DOCUMENT_FIELDS, MAX_OBJECT_FIELDS, Shape
from replicator_service.core.mapping.loader import load_mapping
from tests.support import bson_bytes
from tests.support.bson_values import utc
from tests.support.inference import documents_as_bson, file_of, proposal_of

UUID_TEXT = "00010203-0405-0607-0809-0a0b0c0d0e0f"
UUID_BINARY = Binary(bytes(16), 4)


def proposed(*documents: dict[str, Any]) -> ProposedCollection:
    (found,) = proposal_of(*documents).collections
    return found


def columns(table: ProposedTable) -> dict[str, str]:
    return {each.column.name: each.column.type.value for each in table.columns}


def notes(table: ProposedTable) -> dict[str, str]:
    return {each.column.name: each.note for each in table.columns}


def reasons(table: ProposedTable) -> dict[str, str]:
    return {".".join(each.path): each.reason for each in table.left}


def type_of(*values: Any) -> str:
    return columns(proposed(*({"v": value} for value in values)).table)["v"]


def note_of(*values: Any) -> str:
    return notes(proposed(*({"v": value} for value in values)).table)["v"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", ""], "text"),
        ([UUID_TEXT], "text"),
        ([UUID_BINARY], "uuid"),
        ([UUID_BINARY, UUID_TEXT], "uuid"),
        ([UUID_BINARY, "other"], "jsonb"),
        ([ObjectId(), "a"], "text"),
        ([1, -1], "integer"),
        ([1, None], "integer"),
        ([2**30], "bigint"),
        ([1, Int64(1)], "bigint"),
        ([Int64(2**62)], "bigint"),
        ([1, 1.5], "double precision"),
        ([1.0], "double precision"),
        ([float("nan"), -0.0], "double precision"),
        ([1.5, Int64(2**53)], "double precision"),
        ([1.5, Int64(2**53 + 1)], "numeric"),
        ([Decimal128("1.5"), 1, 2.5, Int64(2**60)], "numeric"),
        ([True], "boolean"),
        ([True, 1], "jsonb"),
        ([utc(2024, 1, 2), DatetimeMS(-62135596800001)], "timestamptz"),
        ([DatetimeMS(2**62)], "jsonb"),
        ([utc(2024, 1, 2), "2024-01-02"], "jsonb"),
        ([b"a"], "bytea"),
        ([Binary(b"a", 128)], "jsonb"),
        ([1, "a"], "jsonb"),
        ([Timestamp(1, 2)], "jsonb"),
        ([Code("f")], "jsonb"),
        ([MinKey()], "jsonb"),
        ([DBRef("c", ObjectId())], "jsonb"),
        ([["a"], [], [None]], "text[]"),
        ([[1], [2.5]], "double precision[]"),
        ([[1, "a"]], "jsonb"),
        ([[[1]]], "jsonb"),
        ([["a"], "a"], "jsonb"),
        ([[{"a": 1}, 1]], "jsonb"),
        ([[{"a": 1}, None]], "jsonb"),
        ([[{}]], "jsonb"),
        ([{"a": 1}, "a"], "jsonb"),
    ],
)
def test_a_column_has_the_type_that_people_expect_of_its_values(values: list[Any], expected: str) -> None:
    assert type_of(*values) == expected
    assert type_of(*reversed(values)) == expected


@pytest.mark.parametrize("name", ["id", "user_id", "userId", "orderID", "uuid", "ref ids"])
def test_an_identifier_of_several_kinds_is_text_and_says_how_it_reads(name: str) -> None:
    found = proposed({name: 1}, {name: "a"}, {name: ObjectId()}, {name: UUID_BINARY}).table
    assert list(columns(found).values()) == ["text"]
    assert next(iter(notes(found).values())).endswith("what is no string reads as in _id, like $number:1")
    assert list(columns(proposed({name: [1, "a"]}).table).values()) == ["text[]"]


@pytest.mark.parametrize(("value", "expected"), [(1, "integer"), (UUID_BINARY, "uuid"), (True, "boolean")])
def test_an_identifier_of_one_kind_has_that_type(value: Any, expected: str) -> None:
    assert columns(proposed({"user_id": value}).table)["user_id"] == expected


@pytest.mark.parametrize("values", [(1, "a", 1.5), (1, {"a": 1}), (1, True)])
def test_what_no_text_column_holds_is_json_whatever_it_is_called(values: tuple[Any, ...]) -> None:
    type_ = columns(proposed(*({"user_id": value} for value in values)).table)["user_id"]
    assert type_ == ("text" if values == (1, True) else "jsonb")


@pytest.mark.parametrize("name", ["paid", "grid", "kids", "Id_card", "video"])
def test_a_word_that_ends_like_an_identifier_is_none(name: str) -> None:
    assert next(iter(columns(proposed({name: 1}, {name: "a"}).table).values())) == "jsonb"


def test_a_symbol_is_a_text_and_an_undefined_is_a_json_value() -> None:
    raws = [
        bson_bytes.document(bson_bytes.integer("_id", 1), bson_bytes.symbol("s", b"x"), bson_bytes.undefined("u")),
        bson.encode({"_id": 2, "s": "y"}),
    ]
    (found,) = propose([Sampled("C", 2, fold(raws))]).collections
    assert columns(found.table) == {"id": "bigint", "s": "text", "u": "jsonb"}


def test_sub_documents_become_columns_down_to_three_names() -> None:
    found = proposed({"a": {"b": {"c": 1, "d": {"e": 1}}, "_id": 1}, "x": {}})
    paths = {each.column.name: (each.column.path, each.column.type.value) for each in found.table.columns}
    assert paths == {
        "a_b_c": (("a", "b", "c"), "integer"),
        "a_b_d": (("a", "b", "d"), "jsonb"),
        "a_id": (("a", "_id"), "integer"),
    }
    assert notes(found.table)["a_b_d"] == "object nested too deep for columns"
    assert reasons(found.table) == {"x": "always an empty object"}


def test_arrays_of_sub_documents_become_child_tables_and_arrays_inside_them_columns() -> None:
    found = proposed(
        {"lines": [{"_id": 1, "tags": ["a"], "of": {"x": 1}, "parts": [{"n": 1}]}], "in": {"lines": [{"y": 1}]}},
        {"lines": [], "in": {"lines": None}},
    )
    assert [(child.name, child.path, child.rows) for child in found.children] == [
        ("things_lines", ("lines",), 1),
        ("things_in_lines", ("in", "lines"), 1),
    ]
    assert columns(found.children[0]) == {"id": "integer", "tags": "text[]", "of_x": "integer", "parts": "jsonb"}
    assert notes(found.children[0])["parts"] == "array of object inside another array"
    assert found.table.columns == ()


def test_objects_whose_names_of_fields_are_data_become_one_json_column() -> None:
    ids = {str(ObjectId(bytes([number] * 12))): 1 for number in (0xAA, 0xBB)}
    sparse = [{f"name{number}": 1} for number in range(40)]
    assert note_of(*({"2024-01-01": 1, "2024-01-02": each} for each in (1, 2))) == (
        "object whose field names look like data"
    )
    assert note_of(ids) == "object whose field names look like data"
    assert note_of(*sparse) == "object with 40 field names, most of them rare"
    assert type_of(*sparse) == "jsonb"
    many = {f"name{number}": 1 for number in range(MAX_OBJECT_FIELDS + 1)}
    assert note_of(many) == "object with over 200 field names"
    assert note_of([many]) == "array of object with over 200 field names"


def test_a_shape_stops_looking_into_objects_whatever_the_order_of_merging() -> None:
    def shape(*names: str) -> Shape:
        made = Shape(3)
        for name in names:
            made.add_document({name: 1})
        return made

    whole = shape("a", "b", "c", "d", "a")
    assert whole.has_too_many_fields
    assert whole.fields == {}
    assert merged(shape("a", "b"), shape("c", "d", "a")) == whole
    assert merged(shape("a"), merged(shape("b", "c", "d"), shape("a"))) == whole
    assert merged(merged(shape("a", "b", "c", "d"), shape()), shape("a")) == whole


def test_a_collection_with_names_as_data_stays_a_document_table() -> None:
    proposal = proposal_of({f"name{number}": 1 for number in range(MAX_DOCUMENT_FIELDS + 1)})
    assert proposal.collections == ()
    assert proposal.document_tables == (Skipped("Things", "over 2,000 field names"),)


def test_collections_without_anything_to_type_stay_document_tables() -> None:
    assert proposal_of().document_tables == (Skipped("Things", "no documents yet"),)
    assert proposal_of({}, {"a": None}).document_tables == (
        Skipped("Things", "no field that a column could be made of"),
    )


def test_a_wide_collection_keeps_its_most_frequent_fields_in_their_order() -> None:
    wide = {f"f{number}": 1 for number in range(MAX_PROPOSED_COLUMNS + 5)}
    common = {name: 1 for name in wide if int(name[1:]) >= 5}
    found = proposed(wide, common)
    assert list(columns(found.table)) == list(common)
    assert reasons(found.table) == {f"f{number}": "rare, and the table is wide already" for number in range(5)}


def test_what_is_never_anything_is_left_and_says_how_often_it_is_there() -> None:
    found = proposed({"a": 1, "n": None, "e": [], "z": [None]}, {"a": 1, "n": None}, {"a": 1, "n": None}, {"a": 1})
    assert columns(found.table) == {"a": "integer"}
    assert reasons(found.table) == {
        "n": "always null, in 75 %",
        "e": "always an empty array, in 25 %",
        "z": "an array of nothing but null, in 25 %",
    }


def test_notes_tell_kinds_and_how_often_there_is_no_value() -> None:
    found = proposed({"a": 1, "b": {"c": "x"}, "d": [1, "x"]}, {"a": None, "b": {}}, {"a": 2.5}, {})
    assert notes(found.table) == {
        "a": "int32 50 %, double 50 %; missing in 25 %; null in 25 %",
        "b_c": "string; missing in 75 %",
        "d": "array of mixed int32 50 %, string 50 %; missing in 75 %",
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([UUID_TEXT], "string; all are UUIDs, so uuid would do"),
        ([1.0, 2.0], "double; all are whole, so bigint would do"),
        ([2**31 - 1], "int32; some are near the limit of integer"),
        ([1.5, Int64(2**60)], "double 50 %, int64 50 %; some int64 are too large for double precision"),
        ([DatetimeMS(2**62)], "date; some are outside the calendar of timestamptz"),
        ([[{"a": 1}, None]], "array of object and null"),
        ([["a", None]], "array of string and null"),
        ([1, "a"], "mixed: int32 50 %, string 50 %"),
    ],
)
def test_notes_say_what_to_consider(values: list[Any], expected: str) -> None:
    assert note_of(*values) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (1, 3, "33 %"),
        (1, 1, "100 %"),
        (1, 10_000, "<0.1 %"),
        (9_999, 10_000, ">99.9 %"),
        (996, 1_000, "99.6 %"),
        (3, 1_000, "0.3 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(part: int, whole: int, expected: str) -> None:
    assert share(part, whole) == expected


def test_columns_are_named_in_snake_case_and_no_name_is_taken_twice() -> None:
    long = "x" * 80
    found = proposed(
        {"createdAt": 1, "created_at": 1, "userIdx": 1, "xmin": 1, "_extra": 1, "a.b": 1, "a": {"b": 1}}
        | {"": 1, "$": 1, "etl_valid_from": 1, "Имя": 1, long: 1, "e\u2028\n#": 1}
    )
    named = {".".join(each.column.path): each.column.name for each in found.table.columns}
    assert named["created_at"] == "created_at"
    assert named["createdAt"] == "created_at_2"
    assert named["userIdx"] == "user_idx"
    assert named["xmin"] == "xmin_2"
    assert named["_extra"] == "extra"
    assert named["etl_valid_from"] == "etl_valid_from_2"
    assert named["Имя"] == "имя"
    assert named["e\u2028\n#"] == "e"
    assert sorted(each.column.name for each in found.table.columns if each.column.name.startswith("a_b")) == [
        "a_b",
        "a_b_2",
    ]
    assert all(len(name.encode()) <= 63 for name in named.values())
    assert len({each.column.name for each in found.table.columns}) == len(found.table.columns) == 13
    assert load_mapping(file_of(proposal_of({"a.b": 1, "": 1, long: 1, "e\u2028\n#": 1})), name="x").collections


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([1, 2], {"id": "bigint"}),
        ([1, 2**40], {"id": "bigint"}),
        ([UUID_BINARY, UUID_BINARY], {"id": "uuid"}),
        ([utc(2026, 1, 1)], {"id": "timestamptz"}),
        ([{"shop": 1, "day": "mon"}, {"shop": 2, "day": "tue"}], {"id_shop": "integer", "id_day": "text"}),
        # These read in _id as they are.
        ([ObjectId(), ObjectId()], {}),
        (["a", "b"], {}),
        ([1, "a"], {}),
    ],
)
def test_keys_of_one_kind_get_a_column_that_joins_with_other_columns(keys: list[Any], expected: dict[str, str]) -> None:
    documents = [{"_id": key, "n": 1} for key in keys]
    found = proposed(*documents)
    assert {name: kind for name, kind in columns(found.table).items() if name != "n"} == expected
    (read,) = load_mapping(file_of(proposal_of(*documents)), name="proposed").collections
    assert read == found.as_typed()


def test_a_key_with_more_room_than_its_values_take_says_why() -> None:
    assert notes(proposed({"_id": 1, "n": 1}).table)["id"] == "int32; keys grow"
    assert notes(proposed({"_id": 2**31 - 1, "n": 1}).table)["id"] == "int32; some are near the limit of integer"


def test_words_of_sql_are_no_names_of_columns() -> None:
    found = proposed({"user": 1, "order": 2, "user_value": 3, "name": 4, "Select": 5})
    assert set(columns(found.table)) == {"user_value_2", "order_value", "user_value", "name", "select_value"}


def test_names_that_no_mapping_can_hold_are_left() -> None:
    raw = bson_bytes.document(
        bson_bytes.integer("_id", 1), bson_bytes.integer(b"\xff", 1), bson_bytes.integer("y" * 300, 1)
    )
    raws = [raw, *documents_as_bson([{"a": 1}])]
    proposal = propose([Sampled("C", 2, fold(raws))])
    (found,) = proposal.collections
    assert set(reasons(found.table).values()) == {"its name is not UTF-8", "its name is too long"}
    assert load_mapping(file_of(proposal), name="x").collections == (found.as_typed(),)


def test_an_object_like_a_dbref_is_one_value_however_it_was_decoded() -> None:
    reference = bson_bytes.embedded("r", bson_bytes.text("$ref", b"c"), bson_bytes.integer("$id", 1))
    raw = bson_bytes.document(bson_bytes.integer("_id", 1), reference, bson_bytes.undefined("u"))
    (found,) = propose([Sampled("C", 1, fold([raw]))]).collections
    assert columns(found.table) == {"id": "bigint", "r": "jsonb", "u": "jsonb"}


def test_tables_never_share_a_name() -> None:
    with_child = documents_as_bson([{"lines": [{"a": 1}]}])
    samples = [Sampled(name, 1, fold(with_child)) for name in ("Orders", "orders", "ordersLines")]
    found = propose(samples).collections
    names = [table.name for each in found for table in (each.table, *each.children)]
    assert names[0] == "orders"
    assert "orders_lines" in names
    assert found[2].table.name == "orders_lines"
    assert len(set(names)) == len(names) == 6


def test_a_reason_in_a_comment_cannot_end_the_comment() -> None:
    shape = fold(documents_as_bson([{"a": 1}]))
    proposal = propose(
        [Sampled("a\nb: c", 1, shape), Sampled("empty\nversion: 2", 0, fold([]))], [Skipped("v\n- x", "a view")]
    )
    assert [each.collection for each in load_mapping(file_of(proposal), name="x").collections] == ["a\nb: c"]


EXPECTED = """\
version: 1

collections:
  # 2 documents, of about 5,000.
  Things:
    table: things
    columns:
      name: text                                          # string
      born_at: {path: bornAt, type: timestamptz}          # date; missing in 50 %
      address_tags: {path: address.tags, type: "text[]"}  # array of string; null in 50 %
      "2fa_on": {path: ["2fa.on"], type: boolean}         # boolean; missing in 50 %
      # Left in _extra:
      #   nothing  always null, in 50 %
    children:
      # 3 elements.
      "on":
        table: things_on
        columns:
          sku: text        # string
          amount: integer  # int32; missing in 33 %
"""


def test_the_file_looks_as_a_person_would_write_it() -> None:
    raws = documents_as_bson(
        [
            {"name": "x", "bornAt": utc(2024, 1, 2), "address": {"tags": ["a"]}, "2fa.on": True, "nothing": None},
            {"name": "y", "address": {"tags": None}, "on": [{"sku": "a", "amount": 1}, {"sku": "b", "amount": 2}]},
        ]
    )
    raws[0] = bson.encode({**bson.decode(raws[0]), "on": [{"sku": "c"}]})
    text = file_of(propose([Sampled("Things", 5_000, fold(raws))]))
    assert text.startswith("# yaml-language-server: $schema=mapping.schema.json\n")
    assert '"shop" as typed tables: 1 collection, 2 documents read by' in text
    assert text[text.index("version:") :] == EXPECTED


def test_the_example_of_the_how_to_is_what_is_inferred() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "new-database.md").read_text(encoding="utf-8")
    documents = json_util.loads(page.split("```json\n")[1].split("```")[0])
    proposal = proposal_of(*documents, collection="Orders")
    text = file_of(proposal)
    assert text[text.index("collections:\n") :] == page.split("```yaml\n")[1].split("```")[0]
