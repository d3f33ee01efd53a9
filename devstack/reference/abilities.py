"""The page of abilities: what is tried of MongoDB, and what follows where it is missing."""

from __future__ import annotations

from devstack.reference.markdown import code, filled, table
from replicator_service.core.abilities import MEANINGS


def page() -> str:
    """The whole page."""
    rows = [
        (
            code(ability.value),
            f"*{meaning.check}*",
            meaning.use,
            meaning.without if meaning.inexact is None else f"**refused**: {meaning.without}",
            meaning.fix,
        )
        for ability, meaning in MEANINGS.items()
    ]
    return filled(
        "abilities",
        {"abilities": table(("ability", "line of check", "what it is for", "without it", "what to do"), rows)},
    )
