"""What happens to the shop's collections, as values.

Every operation can be applied any number of times. An insert of a document that exists, or that was deleted after an
earlier run had inserted it, changes nothing; an update and a replacement carry a *guard*, a condition that no longer
holds once they, or anything later, were applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from bson import ObjectId

Document: TypeAlias = "dict[str, Any]"
"""A document of the shop; its fields are said by the module of its collection."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Add ``document`` unless its ``_id`` exists, or has existed: that shows where ``witness`` exists."""

    collection: str
    at: datetime
    document: Document
    witness: ObjectId | None = None

    @property
    def key(self) -> ObjectId:
        """The ``_id`` of the document."""
        return self.document["_id"]  # type: ignore[no-any-return]  # every document of the shop has one


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
    """Put ``document`` in the place of the one with the same ``key`` while that fits ``guard``, or add it."""

    collection: str
    at: datetime
    key: ObjectId
    document: Document
    guard: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the document ``key`` if it exists."""

    collection: str
    at: datetime
    key: ObjectId


Operation = Insert | Update | Replace | Delete
