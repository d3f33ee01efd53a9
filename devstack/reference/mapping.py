"""The page of mapping files: its tables of keys come from the JSON Schema, which a test holds against the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from devstack.reference.markdown import code, filled, table
from replicator_service.core.mapping.columns import OWN_COLUMNS, SYSTEM_COLUMNS
from replicator_service.core.mapping.model import ColumnType

_SCHEMA = Path(__file__).resolve().parents[2] / "mappings" / "mapping.schema.json"

Schema = dict[str, Any]


def page() -> str:
    """The whole page."""
    schema: Schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    parts: Schema = schema["$defs"]
    scalars = [each.value for each in ColumnType if not each.value.endswith("[]")]
    values = {
        "file": _keys(schema, parts),
        "collection": _keys(parts["collection"], parts),
        "child": _keys(parts["child"], parts),
        "column": _keys(parts["child_column"], parts),
        "types": f"{', '.join(map(code, scalars))}, and arrays of each, as {code('text[]')}",
        "own_columns": ", ".join(map(code, sorted(OWN_COLUMNS))),
        "system_columns": ", ".join(map(code, sorted(SYSTEM_COLUMNS))),
    }
    return filled("mapping", values)


def _keys(schema: Schema, parts: Schema) -> str:
    """A table of the keys of an object."""
    required = schema.get("required", [])
    rows = []
    for key, found in schema["properties"].items():
        meaning = _described(found, parts)
        rows.append((code(key), f"{meaning} Required." if key in required else meaning))
    return table(("key", "meaning"), rows)


def _described(schema: Schema, parts: Schema) -> str:
    if "description" in schema:
        return str(schema["description"])
    return str(parts[schema["$ref"].removeprefix("#/$defs/")]["description"])
