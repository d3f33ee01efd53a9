"""The page of landing places says what the code does."""

from __future__ import annotations

from pathlib import Path

from replicator_service.core.codec.exact import _SCALARS
from replicator_service.core.codec.landing import SAMPLES, page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "types.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m replicator_service.core.codec.landing"


def test_every_bson_type_has_a_row() -> None:
    # Documents, arrays and code with scope are decoded apart from the scalars.
    decoded = len(_SCALARS) + 3
    names = {sample.name.split(",")[0].split(" with a fraction")[0] for sample in SAMPLES}
    assert len(names - {"string of 24 hexadecimal digits", "string in the form of a UUID", "DBRef"}) == decoded
