"""Documents decoded from their bytes without loss, for the few that the driver does not decode exactly.

The result has the driver's types, and those of :mod:`replicator_service.core.bson` where the driver has none; a
sub-document that looks like a DBRef stays a dict.

Of a field name that occurs twice the last value stays, as everywhere in the driver.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from bson.errors import InvalidBSON

from replicator_service.core.bson import ENCODINGS
from replicator_service.core.bson.text import decoded_text
from replicator_service.core.codec.elements import elements, id_document
from replicator_service.core.codec.options import TOLERANT_OPTIONS

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value


@dataclass(frozen=True, slots=True)
class ExactDocument:
    """``fields`` by name; ``has_duplicates`` when a value is missing because its name occurs twice."""

    fields: dict[str, Any]
    has_duplicates: bool


def decode_exact(raw: bytes) -> ExactDocument:
    """Decode one document. Raises :class:`bson.errors.InvalidBSON` when the bytes are not BSON."""
    reading = _Reading()
    try:
        fields = reading.document(raw)
    except (struct.error, IndexError, ValueError) as error:
        raise InvalidBSON("the document is not valid BSON") from error
    return ExactDocument(fields, reading.has_duplicates)


def source_id(raw: bytes) -> Value:
    """Return a document's ``_id`` as the driver decodes it, so that its key is the same on every path."""
    return bson.decode(id_document(raw), TOLERANT_OPTIONS)["_id"]


class _Reading:
    """One pass over one document."""

    def __init__(self) -> None:
        self.has_duplicates = False

    def document(self, raw: bytes) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for kind, name, value in elements(raw):
            text = decoded_text(name)
            if text in fields:
                self.has_duplicates = True
            fields[text] = self.value(kind, value)
        return fields

    def array(self, raw: bytes) -> list[Any]:
        return [self.value(kind, value) for kind, _, value in elements(raw)]

    def value(self, kind: int, raw: bytes) -> Value:
        return ENCODINGS[kind].decode(raw, self)
