"""The page of landing places says what the code does."""

from __future__ import annotations

from replicator_service.core.codec.exact import _SCALARS
from replicator_service.core.codec.landing import SAMPLES


def test_every_bson_type_has_a_row() -> None:
    # Documents, arrays and code with scope are decoded apart from the scalars.
    decoded = len(_SCALARS) + 3
    names = {sample.name.split(",")[0].split(" with a fraction")[0] for sample in SAMPLES}
    strings = {name for name in names if name.startswith("string ")}
    assert len(names - strings - {"DBRef"}) == decoded
