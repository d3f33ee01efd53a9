"""What the shop's mapping is compiled to, for people to read: a change of the generated code shows in a review.

`UPDATE_GOLDEN=1 pytest tests/unit/test_transform_golden.py` writes the file.
"""

from __future__ import annotations

import os
from pathlib import Path

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.transform.source import source_of

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "transform_shop.py.txt"


def generated() -> str:
    """The source of every collection's function, one below the other."""
    mapping = load_mapping((ROOT / "mappings" / "shop.yml").read_bytes(), name="shop.yml")
    parts = [f"# {typed.collection}\n{source_of(typed)}" for typed in mapping.collections]
    return "\n\n".join(parts)


def test_the_shops_transform_is_the_one_on_file() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(generated(), encoding="utf-8")
    assert generated() == GOLDEN.read_text(encoding="utf-8"), "see the module's description"
