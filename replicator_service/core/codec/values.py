"""BSON values for which the driver has no type of its own: they exist only in exactly decoded documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bson.objectid import ObjectId

Value = Any
"""A decoded BSON value: of the driver's types, or of those in this module."""


@dataclass(frozen=True, slots=True)
class Undefined:
    """The deprecated ``undefined``, which the driver reads as null."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """The deprecated ``symbol``, which the driver reads as a string."""

    text: str


@dataclass(frozen=True, slots=True)
class DBPointer:
    """The deprecated ``DBPointer``, which the driver reads as a DBRef."""

    namespace: str
    id: ObjectId


@dataclass(frozen=True, slots=True)
class RegularExpression:
    """A regular expression with all its options; the driver drops those that it does not know."""

    pattern: str
    options: str


class InexactValue(Exception):
    """The driver's value may have lost something: start again from the document's bytes."""
