"""The JSON of commands held to its published description."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tests.support.doc_blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "reference" / "commands.schema.json").read_text(encoding="utf-8"))
_JSONSCHEMA: Any = import_module("jsonschema")


def undescribed(words: Sequence[str], answer: object) -> list[str]:
    """What an answer has that its description has not, or the other way round."""
    pair = " ".join(words[:2])
    name = pair if pair in SCHEMA["$defs"] else words[0]
    if isinstance(answer, dict) and answer.keys() == {"error"}:
        name = "error"
    schema = {"$ref": f"#/$defs/{name.replace(' ', '%20')}", "$defs": SCHEMA["$defs"]}
    found = _JSONSCHEMA.Draft202012Validator(schema).iter_errors(answer)
    return [f"{name}: {each.json_path}: {each.message[:200]}" for each in found]
