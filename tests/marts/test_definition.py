"""Definition files: everything that is wrong is said at once, and nothing wrong is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.marts.things import DEFINITION, SELECT, things, with_column
from warehouse_jobs.marts import DefinitionError, mart_names, parse_mart, read_mart
from warehouse_jobs.marts.checks import AcceptedValues, Expression, NonNegative, NotNull, RowCountDrop, Unique


def test_a_definition_is_read_whole() -> None:
    mart = things(
        f"{SELECT};\n",
        columns=with_column("extra", "text[]", tracked=False),
        checks=[
            {"not_null": ["label", "amount"]},
            {"unique": ["label", "amount"]},
            {"accepted_values": {"column": "label", "values": ["yes", 1]}},
            {"non_negative": ["amount"]},
            {"row_count_drop": {"max_share": 0.5, "min_rows": 10}},
            {"expression": {"name": "sound", "sql": "amount > 0"}},
        ],
    )
    assert mart.sql == SELECT
    assert mart.key == ("id",)
    assert mart.tracked == ("label", "amount")
    assert mart.untracked == ("extra",)
    assert mart.checks == (
        NotNull("label"),
        NotNull("amount"),
        Unique(("label", "amount")),
        AcceptedValues("label", ("yes", 1)),
        NonNegative("amount"),
        RowCountDrop(0.5, 10),
        Expression("sound", "amount > 0"),
    )


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"key": ["nothing"]}, "key: nothing is not one of the columns"),
    ({"key": []}, "key: must be a list that is not empty"),
    ({"key": "id"}, "key: must be a list that is not empty"),
    ({"description": ""}, "description: must be text"),
    ({"colums": []}, "the file: unknown field colums"),
    ({"columns": with_column("id", "text")}, "columns: id is there twice"),
    ({"columns": with_column("etl_valid_from", "timestamptz")}, "etl_valid_from is made by the loader"),
    ({"columns": with_column("Upper", "text")}, "'Upper' is not a lower-case name"),
    ({"columns": with_column("x" * 64, "text")}, "at most 63 characters"),
    ({"columns": with_column("extra", "json")}, r"columns\[3\].type: json is none of text, "),
    ({"columns": with_column("extra", "text", tracked="no")}, r"columns\[3\].tracked: must be true or false"),
    ({"columns": with_column("extra", "text", unit="m")}, r"columns\[3\]: unknown field unit"),
    ({"columns": ["id"]}, r"columns\[0\]: must be a mapping"),
    ({"checks": {"not_null": ["id"]}}, "checks: must be a list"),
    ({"checks": [{"not_nul": ["id"]}]}, r"checks\[0\]: not_nul is none of not_null, unique"),
    ({"checks": ["not_null"]}, r"checks\[0\]: must be one of not_null"),
    ({"checks": [{"not_null": ["nothing"]}]}, r"checks\[0\].not_null: nothing is not one of the columns"),
    ({"checks": [{"non_negative": "amount"}]}, r"checks\[0\].non_negative: must be a list of columns"),
    ({"checks": [{"unique": []}]}, r"checks\[0\].unique: must be a list of columns"),
    ({"checks": [{"accepted_values": {"column": "label", "values": [True]}}]}, "quoted"),
    ({"checks": [{"accepted_values": {"column": "other", "values": ["a"]}}]}, "other is not one of the columns"),
    ({"checks": [{"accepted_values": ["a"]}]}, r"checks\[0\].accepted_values: must be a mapping"),
    ({"checks": [{"row_count_drop": {"max_share": 2}}]}, "max_share: must be a number from 0 to 1"),
    ({"checks": [{"row_count_drop": {"max_share": True}}]}, "max_share: must be a number from 0 to 1"),
    ({"checks": [{"row_count_drop": {"max_share": 1, "min_rows": -1}}]}, "min_rows: must be a whole number"),
    ({"checks": [{"row_count_drop": {"max_share": 1, "most": 1}}]}, "unknown field most"),
    ({"checks": [{"expression": {"sql": "true"}}]}, "needs a name and an sql expression"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_a_fault_is_named_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        things(**changes)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(DefinitionError) as caught:
        things(" ;", key=["nothing"], checks=[{"not_null": ["other"]}])
    assert caught.value.message.splitlines()[1:] == [
        "  key: nothing is not one of the columns",
        "  checks[0].not_null: other is not one of the columns",
        "  the .sql file is empty",
    ]


@pytest.mark.parametrize("document", [None, [], "text"])
def test_a_file_that_is_no_mapping_is_refused(document: object) -> None:
    with pytest.raises(
        DefinitionError,
        match="the file: must be a mapping with checks, children, columns, description, incremental, key",
    ):
        parse_mart("things", document, SELECT)


def test_a_mart_is_two_files(tmp_path: Path) -> None:
    (tmp_path / "things.yml").write_text(str(DEFINITION))
    with pytest.raises(DefinitionError, match=r"things.sql missing in .*"):
        read_mart("things", tmp_path)
    (tmp_path / "things.sql").write_text(SELECT)
    assert read_mart("things", tmp_path) == things()
    assert mart_names(tmp_path) == ("things",)


def test_the_example_of_the_documentation_is_a_definition() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "marts.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    mart = parse_mart("product_prices", yaml.safe_load(example), "select 1")
    assert len(mart.checks) == 10
    assert mart.untracked == ("checked_at",)


def test_an_unknown_mart_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DefinitionError, match=r"users.yml and users.sql missing") as caught:
        read_mart("users")
    assert "support_efficiency, user_activity" in caught.value.hint


@pytest.mark.parametrize("name", ["../things", "Things", "", "x" * 41])
def test_a_name_that_cannot_be_a_relation_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="no name for a mart"):
        read_mart(name)


def test_a_directory_without_marts_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no mart in"):
        mart_names(tmp_path)


def test_a_file_that_is_not_yaml_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "things.yml").write_text("key: [id\ncolumns: {")
    (tmp_path / "things.sql").write_text(SELECT)
    with pytest.raises(DefinitionError, match=r"(?s)things.yml is not YAML.*line 2"):
        read_mart("things", tmp_path)
