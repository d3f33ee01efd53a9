"""A good mapping file becomes the model; a bad one is refused with its places and fixes, all at once."""

from __future__ import annotations

import pytest

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import (
    ChildTable,
    ColumnType,
    KeepBson,
    MappedColumn,
    Mapping,
    TypedCollection,
)
from replicator_service.core.mapping.problems import MappingError, MappingProblem

HEAD = "version: 1\ncollections:\n  UserSessions:\n"


def problems_of(text: str | bytes) -> tuple[MappingProblem, ...]:
    with pytest.raises(MappingError) as caught:
        load_mapping(text, name="test.yml")
    return caught.value.problems


def the_problem_of(text: str | bytes) -> MappingProblem:
    (problem,) = problems_of(text)
    return problem


def collection(text: str) -> TypedCollection:
    (typed,) = load_mapping(text, name="test.yml").collections
    return typed


def test_a_whole_mapping_becomes_the_model() -> None:
    text = """
version: 1
keep_bson: always
collections:
  UserSessions:
    table: sessions
    keep_bson: when_needed
    columns:
      session_id: text
      pages: text[]
      device_type: {path: device.type, type: text}
      odd: {path: ["a.b", ""], type: "numeric[]"}
    children:
      log.actions:
        table: session_actions
        columns:
          session_id: {path: session_id, from: parent, type: text}
          action_id: {path: _id, type: text}
        indexes:
          - [session_id, _ordinal]
    indexes:
      - session_id
      - [session_id, etl_valid_from]
"""
    typed = TypedCollection(
        collection="UserSessions",
        table="sessions",
        columns=(
            MappedColumn("session_id", ("session_id",), ColumnType.TEXT),
            MappedColumn("pages", ("pages",), ColumnType.TEXT_ARRAY),
            MappedColumn("device_type", ("device", "type"), ColumnType.TEXT),
            MappedColumn("odd", ("a.b", ""), ColumnType.NUMERIC_ARRAY),
        ),
        children=(
            ChildTable(
                table="session_actions",
                path=("log", "actions"),
                columns=(
                    MappedColumn("session_id", ("session_id",), ColumnType.TEXT, from_parent=True),
                    MappedColumn("action_id", ("_id",), ColumnType.TEXT),
                ),
                indexes=(("session_id", "_ordinal"),),
            ),
        ),
        indexes=(("session_id",), ("session_id", "etl_valid_from")),
        keep_bson=KeepBson.WHEN_NEEDED,
    )
    assert load_mapping(text, name="test.yml") == Mapping((typed,), KeepBson.ALWAYS)


@pytest.mark.parametrize("text", ["version: 1", "version: 1\ncollections: {}\n", b"\xef\xbb\xbfversion: 1\r\n"])
def test_a_mapping_may_name_no_collections(text: str | bytes) -> None:
    assert load_mapping(text, name="test.yml") == Mapping()


def test_tables_are_named_after_their_collection_and_array_by_default() -> None:
    typed = collection(HEAD + "    columns: {a: text}\n    children: {log.items: {columns: {b: text}}}\n")
    assert typed.table == "user_sessions"
    assert typed.children[0].table == "user_sessions_log_items"


def test_a_collection_takes_keep_bson_from_the_top_of_the_file() -> None:
    assert collection("keep_bson: always\n" + HEAD + "    columns: {a: text}").keep_bson is KeepBson.ALWAYS


def test_the_path_of_an_array_may_be_a_list_of_fields() -> None:
    text = HEAD + '    children: {log: {path: ["a.b", c], columns: {b: text}}}\n'
    assert collection(text).children[0].path == ("a.b", "c")


def test_an_alias_repeats_what_its_anchor_holds() -> None:
    text = """
version: 1
collections:
  A: {columns: &shared {a: text}}
  B: {columns: *shared}
"""
    first, second = load_mapping(text, name="test.yml").collections
    assert first.columns == second.columns


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
versoin: 1
collections:
  UserSessions:
    tabel: user_sessions
    columns:
      start_time: {path: start, type: timestamp}
      _extra: jsonb
    indexes:
      - [nobody]
  Empty: {}
"""
    assert [(problem.line, problem.column, problem.path) for problem in problems_of(text)] == [
        (1, 1, "versoin"),
        (1, 1, ""),
        (4, 5, "collections.UserSessions.tabel"),
        (6, 39, "collections.UserSessions.columns.start_time.type"),
        (7, 7, "collections.UserSessions.columns._extra"),
        (9, 10, "collections.UserSessions.indexes[0][0]"),
        (10, 3, "collections.Empty"),
    ]


def test_the_error_is_one_of_configuration_and_reads_well() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(HEAD + "    columns: {a: strin}\n", name="shop.yml")
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "mapping shop.yml: 1 problem\n"
        '  line 4, column 18: collections.UserSessions.columns.a: unknown column type "strin"; did you mean text?'
    )
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "line", "column", "path", "message", "fix"),
    [
        ("- a", 1, 1, "", "expected a map with version and collections, found a list", "name: value"),
        ("version: 2", 1, 10, "version", "the number 1", "version: 1"),
        ('version: "1"', 1, 10, "version", "the number 1", "version: 1"),
        ("collections: {}", 1, 1, "", "version of the format is missing", "version: 1"),
        ("version: 1\ncollections:", 2, 13, "collections", "found nothing", "fill it"),
        ("version: 1\nkeep_bson: allways", 2, 12, "keep_bson", '"allways"', "did you mean always?"),
        ("version: 1\nkeep_bson: zzz", 2, 12, "keep_bson", '"zzz"', "write when_needed or always"),
        ("version: 1\ncollections: {A: 3}", 2, 18, "collections.A", "found a number (3)", "indented"),
        ("version: 1\nkeep_bson: yes", 2, 12, "keep_bson", "a boolean (yes)", '"yes" in quotes'),
        ("version: 1\ncollections: {system.views: {columns: {a: text}}}", 2, 15, "collections", "MongoDB", "remove"),
        ('version: 1\ncollections: {"": {columns: {a: text}}}', 2, 15, "collections", "is empty", "MongoDB"),
    ],
)
def test_a_problem_at_the_top_has_its_place_and_fix(
    text: str, line: int, column: int, path: str, message: str, fix: str
) -> None:
    problem = the_problem_of(text)
    assert (problem.line, problem.column) == (line, column)
    assert problem.path.startswith(path)
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("body", "column", "path", "message", "fix"),
    [
        ("columns: 3", 14, "columns", "found a number (3)", "indented"),
        ("columns: {on: text}", 15, "columns", "found a boolean (on)", 'write "on" in quotes'),
        ("columns: {2024-01-01: text}", 15, "columns", "a date (2024-01-01)", "in quotes"),
        ("columns: {<<: {a: text}}", 15, "columns", "a merge key", "write the keys out"),
        ("columns: {a: text, a: text}", 24, "columns.a", "for the second time, first in line 4", "keep one"),
        ("columns: {a: no}", 18, "columns.a", "expected a type, found a boolean", 'write "no" in quotes'),
        ("columns: {a: !!python/name:os.system x}", 18, "columns.a", "the tag", "write a name"),
        ("columns: {a: {path: b}}", 15, "columns.a", "no type", "type: text"),
        ("columns: {a: {type: text, pth: b}}", 31, "columns.a.pth", "unknown key", "did you mean path?"),
        ("columns: {a: {type: text, zzz: b}}", 31, "columns.a.zzz", "unknown key", "known here: path, type"),
        ("columns: {a: {type: text, from: parent}}", 31, "columns.a.from", "unknown key", "known here"),
        ("columns: {a: [text]}", 18, "columns.a", "found a list", "path and type"),
        ("columns: {ctid: text}", 15, "columns.ctid", "PostgreSQL keeps", "another name"),
        ("columns: {etl_valid_from: timestamptz}", 15, "columns.etl_valid_from", "has its own", "another"),
        ('columns: {"": {path: a, type: text}}', 15, 'columns.""', "name is empty", "give it a name"),
        ('columns: {"a\\0b": text}', 15, "columns", "U+0000", "remove it"),
        ('columns: {"\\ud800": text}', 15, "columns", "surrogate", "whole character"),
        ("columns: {a.b: text}", 15, 'columns."a.b"', "needs a path", 'path: ["a.b"]'),
        ("columns: {a: {path: b..c, type: text}}", 25, "columns.a.path", "part without a name", "list"),
        ("columns: {a: {path: [], type: text}}", 25, "columns.a.path", "path is empty", "at least one"),
        ("columns: {a: {path: [b, 3], type: text}}", 29, "columns.a.path[1]", "a number (3)", "in quotes"),
        (
            "columns: {a: bigint, b: {path: _id, type: text}, c: {path: _id.d, type: text}}",
            58,
            "columns.c.path",
            "taken in line 4",
            "once",
        ),
        (
            'columns: {a: {type: text, description: "x\\0"}}',
            44,
            "columns.a.description",
            "U+0000",
            "remove",
        ),
        ("columns: {a: text}\n    description: [x]", 18, "description", "expected a text", "a name"),
        ("columns: {a: text, b: {path: a, type: text}}", 28, "columns.b.path", "taken in line 4", "once"),
        ("columns: {a: jsonb, b: {path: a.b, type: text}}", 29, "columns.b.path", "taken in line 4", "once"),
        ("columns: {b: {path: a.b, type: text}, a: jsonb}", 43, "columns.a", "taken in line 4", "once"),
        ("columns: {a: jsonb}\n    indexes: a", 14, "indexes", "expected a list", "[a, b]"),
        ("columns: {a: jsonb}\n    indexes: [a]", 15, "indexes[0]", "is jsonb", "by hand"),
        ('columns: {a: "text[]"}\n    indexes: [[a]]', 16, "indexes[0][0]", "is text[]", "by hand"),
        ("columns: {user: text}\n    indexes: [usr]", 15, "indexes[0]", '"usr"', "did you mean user?"),
        ("columns: {a: text}\n    indexes: [_ordinal]", 15, "indexes[0]", '"_ordinal"', "column of this table"),
        ("columns: {a: text}\n    indexes: [[]]", 15, "indexes[0]", "no columns", "at least one"),
        ("columns: {a: text}\n    indexes: [[a, a]]", 15, "indexes[0]", "twice", "once"),
        ("columns: {a: text}\n    indexes: [a, [a]]", 18, "indexes[1]", "second time", "remove one"),
        ("columns: {a: text}\n    indexes: [1]", 15, "indexes[0]", "found a number", "[a, b]"),
        ("columns: {a: text}\n    table: t_pkey", 12, "table", "belong to keys and indexes", "another name"),
        ("columns: {a: text}\n    table: ''", 12, "table", "name is empty", "give it a name"),
        ("columns: {a: text}\n    keep_bson: 1", 16, "keep_bson", "a number (1)", "in quotes"),
        ("columns: {a: text}\n    table: 7", 12, "table", "found a number (7)", '"7" in quotes'),
        ("children: {b: 3}", 19, "children.b", "found a number (3)", "indented"),
        ("children: {b: {table: t}}", 16, "children.b", "no columns", "jsonb"),
        ("children: {b..c: {columns: {a: text}}}", 16, 'children."b..c"', "without a name", "list"),
        ("children: {b: {columns: {a: text}, x: 1}}", 40, "children.b.x", "unknown key", "known here"),
        ("children: {_id: {columns: {a: text}}}", 16, "children._id", "no array as _id", "as a column"),
        (
            "children: {b: {columns: {a: {from: prent, type: text}}}}",
            40,
            "children.b.columns.a.from",
            '"prent"',
            "write parent",
        ),
        (
            "columns: {b: jsonb}\n    children: {b: {columns: {a: text}}}",
            16,
            "children.b",
            "taken in line 4",
            "once",
        ),
        (
            "columns: {c: {path: b.c, type: text}}\n    children: {b: {columns: {a: text}}}",
            16,
            "children.b",
            "taken in line 4",
            "once",
        ),
        (
            "children: {b: {columns: {a: text, c: {path: a.x, type: text}}}}",
            43,
            "children.b.columns.c.path",
            "taken in line 4",
            "once",
        ),
    ],
)
def test_a_problem_in_a_collection_has_its_place_and_fix(
    body: str, column: int, path: str, message: str, fix: str
) -> None:
    problem = the_problem_of(f"{HEAD}    {body}\n")
    assert (problem.line, problem.column) == (4 + body.count("\n"), column)
    assert problem.path == f"collections.UserSessions.{path}"
    assert message in problem.message
    assert fix in problem.fix


def test_columns_that_children_repeat_from_the_document_take_no_field() -> None:
    text = HEAD + (
        "    columns: {a: text, d: jsonb}\n"
        "    children:\n"
        "      b:\n"
        "        columns:\n"
        "          a: {from: parent, type: text}\n"
        "          d: {path: d.e, from: parent, type: text}\n"
        "          e: {path: d, type: text}\n"
    )
    assert len(collection(text).children[0].columns) == 3


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("string", "write text"),
        ("TEXT", "write text"),
        ("varchar(20)", "write text"),
        ("int", "write integer"),
        ("long", "write bigint"),
        ("float", "write double precision"),
        ("double  precision", "write double precision"),
        ("numeric(10, 2)", "write numeric"),
        ("decimal", "write numeric"),
        ("bool", "write boolean"),
        ("timestamp", "write timestamptz"),
        ("timestamp with time zone", "write timestamptz"),
        ("date", "write timestamptz"),
        ("json", "write jsonb"),
        ("array", "write jsonb"),
        ("string[]", "write text[]"),
        ("int[][]", "write integer[]"),
        ("timestampz", "did you mean timestamptz?"),
        ("boolen", "did you mean boolean?"),
        ("xyzzy", "known types: text, integer"),
        ("", "known types: text, integer"),
    ],
)
def test_an_unknown_type_gets_the_type_that_was_meant(written: str, fix: str) -> None:
    problem = the_problem_of(f'{HEAD}    columns:\n      a: "{written}"\n')
    assert (problem.line, problem.column) == (5, 10)
    assert problem.message.startswith("unknown column type")
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize("type_", list(ColumnType))
def test_every_type_of_the_model_can_be_written(type_: ColumnType) -> None:
    assert collection(f"{HEAD}    columns:\n      a: {type_.value}\n").columns[0].type is type_


@pytest.mark.parametrize("name", ["x" * 63, "é" * 31])
def test_a_name_of_63_bytes_is_accepted(name: str) -> None:
    assert collection(f"{HEAD}    table: {name}\n    columns:\n      {name}: text\n").table == name


def test_names_over_63_bytes_are_refused_and_so_are_twins_after_the_cut() -> None:
    long = "é" * 32
    problems = problems_of(f"{HEAD}    table: {long}\n    columns:\n      {long}a: text\n      {long}b: text\n")
    assert [(problem.line, problem.message.split(",")[0]) for problem in problems] == [
        (4, "the table name has 64 bytes"),
        (6, "the column name has 65 bytes"),
        (7, "the column name has 65 bytes"),
        (7, "cut to 63 bytes"),
    ]


def test_two_sources_of_one_table_are_refused_also_when_a_default_causes_it() -> None:
    text = """\
version: 1
collections:
  userSessions: {columns: {a: text}}
  UserSessions: {columns: {a: text}}
  Other:
    table: user_sessions
    children:
      b: {table: user_sessions, columns: {a: text}}
"""
    problems = problems_of(text)
    assert [(problem.line, problem.path) for problem in problems] == [
        (4, "collections.UserSessions"),
        (6, "collections.Other.table"),
        (8, "collections.Other.children.b.table"),
    ]
    assert all("already filled from line 3" in problem.message for problem in problems)


def test_a_table_takes_1000_columns_and_not_one_more() -> None:
    columns = "".join(f"      c{number}: text\n" for number in range(1000))
    assert len(collection(f"{HEAD}    columns:\n{columns}").columns) == 1000
    problem = the_problem_of(f"{HEAD}    columns:\n{columns}      one_more: text\n")
    assert (problem.line, problem.path) == (4, "collections.UserSessions.columns")
    assert "1001 columns" in problem.message


def test_an_index_takes_32_columns_and_not_one_more() -> None:
    names = [f"c{number}" for number in range(33)]
    columns = "".join(f"      {name}: text\n" for name in names)
    text = f"{HEAD}    columns:\n{columns}    indexes:\n"
    assert collection(f"{text}      - [{', '.join(names[:32])}]\n").indexes == (tuple(names[:32]),)
    assert "33 columns" in the_problem_of(f"{text}      - [{', '.join(names)}]\n").message


def test_an_index_over_a_column_with_a_problem_is_not_reported_again() -> None:
    assert the_problem_of(f"{HEAD}    columns: {{a: strin}}\n    indexes: [a]\n").path.endswith("columns.a")


def test_a_message_shows_the_first_hundred_problems_and_keeps_all() -> None:
    text = HEAD + "    columns:\n" + "".join(f"      c{number}: strin\n" for number in range(150))
    with pytest.raises(MappingError) as caught:
        load_mapping(text, name="test.yml")
    assert len(caught.value.problems) == 150
    assert str(caught.value).endswith("and 50 more")
    assert str(caught.value).count("\n") == 101


def test_a_path_in_a_message_quotes_names_that_are_not_plain() -> None:
    problem = the_problem_of('version: 1\ncollections:\n  "my.logs \\n": {columns: {a: x}}\n')
    assert problem.path == 'collections."my.logs \\n".columns.a'
