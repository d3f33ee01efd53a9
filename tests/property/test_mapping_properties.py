"""No text breaks the loader, and what it accepts is what the schema for editors accepts."""

from __future__ import annotations

import copy
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replicator_service.core.mapping.ddl import render_ddl
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import ColumnType, Mapping, tables_of
from replicator_service.core.mapping.problems import MappingError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A busy machine is not a slow function.
UNHURRIED = settings(deadline=None)

ROOT = Path(__file__).parents[2]
SHOP = (ROOT / "mappings" / "shop.yml").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "mappings" / "mapping.schema.json").read_text(encoding="utf-8"))
# jsonschema has no types; it is here with Airflow.
VALIDATOR: Any = importlib.import_module("jsonschema").Draft202012Validator(SCHEMA)

WORDS = st.sampled_from(
    [
        *("version", "1", "2", "collections", "columns", "children", "table", "path", "from", "type", "indexes"),
        *("keep_bson", "always", "parent", "text", "text[]", "jsonb", "_id", "a", "b", "A", "a.b", "yes", "null"),
        *(": ", ":\n", "\n", "  ", "\n    ", "- ", "[", "]", "{", "}", ", ", '"', "'", "&x ", "*x", "!!", "%", "#"),
        *("\t", "|", ">", "? ", "---", "...", "<<", "@", "\0", "\ufeff", "\u2028", "\ud800", "é", "\\U00110000"),
    ]
)


def loaded(text: str | bytes) -> Mapping | None:
    """Load a file; None when it is refused, which has to be readable."""
    try:
        return load_mapping(text, name="test.yml")
    except MappingError as error:
        refusal = error
    assert refusal.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in refusal.problems)
    assert all(problem.message and problem.fix for problem in refusal.problems)
    assert str(refusal).encode("utf-8")
    return None


@UNHURRIED
@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map("".join)))
@example("? ? ?")
@example("%TAG ! !\n---\n!<%ff> a")
def test_any_text_is_a_mapping_or_a_mapping_error(text: str) -> None:
    loaded(text)


@UNHURRIED
@given(st.binary(max_size=200))
def test_any_bytes_are_a_mapping_or_a_mapping_error(data: bytes) -> None:
    loaded(data)


@UNHURRIED
@given(st.data())
def test_a_damaged_mapping_is_a_mapping_or_a_mapping_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SHOP)))
    length = data.draw(st.integers(0, 40))
    damage = data.draw(st.lists(WORDS, max_size=3).map("".join))
    loaded(SHOP[:start] + damage + SHOP[start + length :])


TYPES = st.sampled_from([type_.value for type_ in ColumnType])


@st.composite
def columns(draw: st.DrawFn, *, child: bool) -> dict[str, Any]:
    """Make columns of which no two take one field: the number in their names keeps them apart."""
    made: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(["a", "A", "é", "on", "1", "a b", 'q"', "_id_", "x" * 60])) + str(number)
        if draw(st.booleans()):
            made[name] = draw(TYPES)
            continue
        field = draw(st.sampled_from(["a", "b.c", "yes"])) + f"_{number}"
        path = draw(st.sampled_from([field, f"d{number}.{field}", [field], [f"{number}", "", "$x.y"]]))
        made[name] = {"type": draw(TYPES), "path": path}
        if child and draw(st.booleans()):
            made[name]["from"] = "parent"
    return made


@st.composite
def tables(draw: st.DrawFn, name: str, *, child: bool) -> dict[str, Any]:
    made = draw(columns(child=child))
    table: dict[str, Any] = {"columns": made}
    if draw(st.booleans()):
        table["table"] = name
    types = {column: value if isinstance(value, str) else value["type"] for column, value in made.items()}
    short = [column for column, type_ in types.items() if type_ != "jsonb" and not type_.endswith("[]")]
    if draw(st.booleans()):
        table["indexes"] = [["etl_valid_from", "_id"], *short]
    return table


@st.composite
def good_files(draw: st.DrawFn) -> dict[str, Any]:
    file: dict[str, Any] = {"version": 1}
    if draw(st.booleans()):
        file["keep_bson"] = draw(st.sampled_from(["always", "when_needed"]))
    if draw(st.booleans()):
        return file
    file["collections"] = {}
    for name in draw(st.lists(st.sampled_from(["Users", "orders.eu", "Ünï"]), unique=True)):
        collection = draw(tables(f"T {name}", child=False))
        children = draw(st.lists(st.sampled_from(["c.items", "d.items"]), unique=True))
        if children:
            collection["children"] = {path: draw(tables(f"T {name}/{path}", child=True)) for path in children}
        file["collections"][name] = collection
    return file


ODD_KEYS = ("", "a", "A", "_id", "_ordinal", "xmin", "a.b", "x" * 64, "type", "path", "from", "columns", "system.a")
ODD_VALUES: tuple[Any, ...] = (
    *("", "text", "int", "a..b", "parent", "x_pkey", "always", "x" * 64, 1, 2, None, True),
    *([], {}, ["a"], [["a"], "a"], ["a.b", ""], {"type": "text"}, {"columns": {"a": "text"}}),
)


def maps_in(value: object) -> Iterator[dict[str, Any]]:
    """Find every map in a file, the file itself first."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from maps_in(part)


@st.composite
def damaged_files(draw: st.DrawFn) -> dict[str, Any]:
    """Make a good file and change some values or keys in it; it may still be good."""
    file = draw(good_files())
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(maps_in(file))))
        key = draw(st.sampled_from([*place, *ODD_KEYS]))
        place[key] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
    return file


@UNHURRIED
@given(good_files())
def test_a_good_file_is_accepted_by_the_loader_and_the_schema(file: dict[str, Any]) -> None:
    assert loaded(yaml.safe_dump(file, allow_unicode=True)) is not None
    VALIDATOR.validate(file)


@UNHURRIED
@given(damaged_files())
def test_what_the_schema_rejects_the_loader_rejects(file: dict[str, Any]) -> None:
    if not VALIDATOR.is_valid(file):
        assert loaded(yaml.safe_dump(file)) is None


@UNHURRIED
@given(st.one_of(good_files(), damaged_files()))
def test_an_accepted_mapping_names_every_relation_once_and_has_its_ddl(file: dict[str, Any]) -> None:
    mapping = loaded(yaml.safe_dump(file))
    if mapping is None:
        return
    specs = [spec for typed in mapping.collections for spec in tables_of(typed)]
    assert len({spec.name for spec in specs}) == len(specs)
    for spec in specs:
        assert len({column.name for column in spec.columns}) == len(spec.columns)
    assert render_ddl("origin", mapping).count("create table") == len(specs)
