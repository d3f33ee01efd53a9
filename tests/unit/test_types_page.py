"""The page of types says what the code does."""

from __future__ import annotations

from replicator_service.core.bson import ENCODINGS
from replicator_service.core.codec.types_page import SAMPLES


def test_every_bson_type_has_a_row() -> None:
    names = {sample.name.split(",")[0].split(" with a fraction")[0] for sample in SAMPLES}
    strings = {name for name in names if name.startswith("string ")}
    assert len(names - strings - {"DBRef"}) == len(ENCODINGS)
