"""What is known of one BSON type, said in one place: each module beside this one declares a family of them.

A type that is declared, and listed in the package itself, is decoded exactly, written as JSON, keyed, fitted to
columns, recognised by inference, told of in ``docs/reference/types.md`` and drawn by the property tests. The compiled
path hands what it does not know to this code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import EllipsisType

    from replicator_service.core.mapping.model import ColumnType

Value = Any
"""A decoded BSON value: of the driver's types, or of those that the families make where the driver has none."""

Json = Callable[[Any], str]
"""Writes a value as Relaxed Extended JSON, with marks (see :mod:`marks`)."""

Key = tuple[str, str]
"""What a value is as ``_id``: a tag and its content."""

KeyOf = Callable[[Any], Key]

Fit = Callable[[Any], str | None]
"""Gives PostgreSQL's input for a value that fits a column, not yet escaped for COPY, or None when it does not fit."""


class Reading(Protocol):
    """Decodes what is inside of a value."""

    def document(self, raw: bytes) -> dict[str, Any]:
        """Decode a sub-document."""
        ...

    def array(self, raw: bytes) -> list[Any]:
        """Decode an array."""
        ...


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a type stands in a document's bytes (bsonspec.org, version 1.1).

    ``size`` is the number of bytes of every value; with ``is_prefixed`` what a value has besides the number that the
    length at its front says. None is a pair of texts that end with a zero byte each.
    """

    decode: Callable[[bytes, Reading], Value]
    size: int | None
    is_prefixed: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """An example for the documentation; ``key`` is the ``_id`` that the driver makes of it, None where it is none."""

    name: str
    value: Value
    key: Value | EllipsisType = ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BsonType:
    """One type of value. Classes are compared exactly: ``Code`` is a kind of string in Python, and no string.

    * ``name``: as people know it from MongoDB. ``kinds`` names values where those of one type have several names.
    * ``encodings``: by the byte that announces it.
    * ``classes``: of decoded values. ``inexact_classes`` lose something of the value: the document has to be decoded
      exactly.
    * ``is_silently_lost``: the driver decodes it as another type.
    * ``json``, or ``json_with`` of a type that holds values: it gets the writers of all classes, and makes its own.
    * ``key``, or ``key_with``, which gets what writes the values inside a key; neither where no ``_id`` is of this
      type. ``keys`` are the values behind each tag of keys, where they can be told.
    * ``columns``: what fits into which column. Everything but null fits ``jsonb``.
    """

    name: str
    json: Json | None = None
    json_with: Callable[[Mapping[type, Json]], Json] | None = None
    classes: tuple[type, ...] = ()
    inexact_classes: tuple[type, ...] = ()
    encodings: Mapping[int, Encoding] = field(default_factory=dict)
    is_silently_lost: bool = False
    kinds: Callable[[Any], str] | None = None
    key: KeyOf | None = None
    key_with: Callable[[Callable[[Value], str]], KeyOf] | None = None
    keys: Mapping[str, Callable[[str], Value]] = field(default_factory=dict)
    columns: Mapping[ColumnType, Fit] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()


def int32(raw: bytes, offset: int = 0) -> int:
    """Read a signed 32-bit integer."""
    return int.from_bytes(raw[offset : offset + 4], "little", signed=True)


def tagged_text(key: Key) -> str:
    """Return a key as text: ``$tag:content``."""
    tag, content = key
    return f"${tag}:{content}" if content else f"${tag}"
