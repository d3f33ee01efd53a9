"""The JSON Schema for editors says what the loader says."""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from replicator_service.core import naming
from replicator_service.core.mapping.columns import MAX_COLUMNS, OWN_COLUMNS, SYSTEM_COLUMNS
from replicator_service.core.mapping.indexes import MAX_INDEX_COLUMNS
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import ColumnType, KeepBson
from replicator_service.core.mapping.problems import MappingError
from tests.support.doc_blocks import ROOT, blocks

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads((ROOT / "mappings" / "mapping.schema.json").read_text(encoding="utf-8"))
# jsonschema has no types; it is here with Airflow.
JSONSCHEMA: Any = importlib.import_module("jsonschema")


def test_the_schema_is_a_schema() -> None:
    JSONSCHEMA.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_lists_what_the_loader_knows() -> None:
    parts = SCHEMA["$defs"]
    assert parts["type"]["enum"] == [type_.value for type_ in ColumnType]
    assert parts["keep_bson"]["enum"] == [value.value for value in KeepBson]
    assert set(parts["column_name"]["not"]["enum"]) == OWN_COLUMNS | SYSTEM_COLUMNS
    assert parts["column_name"]["maxLength"] == parts["table"]["maxLength"] == naming.MAX_NAME_BYTES
    assert parts["collection"]["properties"]["columns"]["maxProperties"] == MAX_COLUMNS
    assert parts["child"]["properties"]["columns"]["maxProperties"] == MAX_COLUMNS
    assert parts["indexes"]["items"]["anyOf"][1]["maxItems"] == MAX_INDEX_COLUMNS


@pytest.mark.parametrize("path", sorted((ROOT / "mappings").glob("*.yml")), ids=lambda path: path.name)
def test_every_mapping_of_the_project_is_accepted_by_both(path: Path) -> None:
    load_mapping(path.read_bytes(), name=path.name)
    JSONSCHEMA.Draft202012Validator(SCHEMA).validate(yaml.safe_load(path.read_bytes()))


def test_every_example_of_the_documentation_is_accepted_by_both() -> None:
    pages = sorted((ROOT / "docs").rglob("*.md"))
    found = [block for page in pages for block in blocks(page) if block.language == "yaml"]
    examples = [block for block in found if re.search("^version: 1$", block.text, re.MULTILINE)]
    assert len(examples) >= 2
    for example in examples:
        load_mapping(example.text, name=example.place)
        JSONSCHEMA.Draft202012Validator(SCHEMA).validate(yaml.safe_load(example.text))


@pytest.mark.parametrize(
    ("rules", "accepted"),
    [
        ("mask: {_id: hmac}", True),
        ("mask: {_id: null}", False),
        ("mask: {_id: {constant: x}}", False),
        ("mask: {_id.a: hmac}", False),
        ("mask: {_idea: null, _ids.a: hmac}", True),
        ("mask: {a..b: hmac}", False),
        ("mask: {a: hamc}", False),
        ("mask: {a: {keep_first: 1, keep_last: 1}}", False),
        ("mask: {a: {keep_first: 0}}", False),
        ("mask: {a: {truncate: {ipv4: 24, ipv6: 129}}}", False),
        ("mask: {a: {truncate: {ipv4: 24, ipv6: 128}}, b: {truncate: month}, c: {constant: false}}", True),
        ("mask: [a]", False),
        ("exclude: [_id]", False),
        ("exclude: [[_id, a]]", False),
        ("exclude: [[]]", False),
        ("exclude: [a.b, [a.c, '']]", True),
        ("acknowledge: [_id, _id.a]", True),
        ("table: t\n    mask: {a: hmac}", False),
        ("columns: {_id: text}", False),
        ("columns: {a: string}", False),
        ("columns: {a: [text]}", False),
        ("columns: {a: {type: text, from: parent}}", False),
        ("columns: {a: {path: b}}", False),
        ("colums: {a: text}", False),
        ("columns: {a: text}\n    table: t_pkey", False),
        ("columns: {a: text}\n    table: null", False),
        ("columns: {a: text}\n    keep_bson: sometimes", False),
        ("columns: {a: text}\n    indexes: [[a, a]]", False),
        ("columns: {a: text}\n    indexes: [a, [a, _id]]", True),
        ("children: {b: {table: t}}", False),
        ("children: {b: {columns: {a: {type: text, from: parent}}}}", True),
        ("children: {b: {columns: {a: text}, mask: {a: hmac}}}", False),
    ],
)
def test_the_schema_and_the_loader_decide_alike(rules: str, *, accepted: bool) -> None:
    text = f"version: 1\ncollections:\n  Users:\n    {rules}\n"
    try:
        load_mapping(text, name="test.yml")
        loads = True
    except MappingError:
        loads = False
    assert (loads, JSONSCHEMA.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))) == (accepted, accepted)
