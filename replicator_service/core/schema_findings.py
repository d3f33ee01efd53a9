"""What documents and mapping do not have in common: counted by path and kind, never by value.

A path is written with dots between its names (``details.user_id``; of an array's elements ``messages.sender``), or as a
JSON list where a name is empty or would be misread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.bson.marks import unmarked

if TYPE_CHECKING:
    from datetime import datetime

Path = tuple[str, ...]

MAX_PATHS = 200
"""New fields that are remembered of one collection; names may be data. What is beyond counts as :data:`OTHERS`."""
OTHERS = "..."
_MAX_CHARACTERS = 300
"""Of a path: it is part of a primary key, whose entries end at 2,704 bytes."""


class FindingKind(StrEnum):
    """What was found about a path."""

    NEW_FIELD = "new_field"
    """A field that no column takes; its values are in ``_extra``."""
    MISFIT = "misfit"
    """A value that its column does not hold: the column is null, the value is in ``_extra``."""
    GONE = "gone"
    """A column without a value in any row, although there are rows."""


@dataclass(frozen=True, slots=True)
class PathCount:
    """How often something was found since it was last asked."""

    collection: str
    path: str
    kind: FindingKind
    count: int


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """One row of ``replicator.schema_finding``."""

    collection: str
    path: str
    kind: FindingKind
    first_seen: datetime
    last_seen: datetime
    count: int


def path_text(path: Path) -> str:
    """Write a path as it is stored: one line that PostgreSQL takes, never longer than an index entry allows."""
    shown = tuple(unmarked(name) for name in path)
    text = ".".join(shown)
    if not text or text[0] == "[" or text == OTHERS or not all(shown) or tuple(text.split(".")) != shown:
        text = json.dumps(shown, ensure_ascii=False)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}..."


def path_of(text: str) -> Path | None:
    """Read a path as it was stored; None where it stands for others, or was cut."""
    if text.endswith("...") and (text == OTHERS or len(text) > _MAX_CHARACTERS):
        return None
    if not text.startswith("["):
        return tuple(text.split("."))
    names = json.loads(text)
    return tuple(str(name) for name in names)
