"""What happens to the shop's collections, as values.

Every operation can be applied any number of times. An insert of a document that exists, or that was deleted after an
earlier run had inserted it (:mod:`.witnesses`), changes nothing; an update and
a replacement carry a *guard*, a condition that no longer holds once they, or anything later, were applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bson import ObjectId

    from warehouse_jobs.generator.documents import Document


@dataclass(frozen=True, slots=True)
class Insert:
    """Add ``document`` unless its ``_id`` exists, or has existed: that shows where ``witness`` exists."""

    collection: str
    at: datetime
    document: Document
    witness: ObjectId | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Apply MongoDB's update operators ``changes`` to the document ``key`` while it exists and fits ``guard``."""

    collection: str
    at: datetime
    key: ObjectId
    guard: Mapping[str, object]
    changes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Replace:
    """Put ``document`` in the place of the one with its ``_id`` while that fits ``guard``, or add it."""

    collection: str
    at: datetime
    document: Document
    guard: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the document ``key`` if it exists."""

    collection: str
    at: datetime
    key: ObjectId


Operation = Insert | Update | Replace | Delete
