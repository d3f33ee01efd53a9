"""Filters on ``_id``, put together from bytes where a value must be exactly what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson.raw_bson import RawBSONDocument

from replicator_service.core.codec.document_id import ExactId, id_bson
from replicator_service.core.codec.elements import elements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAX_KEY = 0x7F


def id_filter(ids: Sequence[Any]) -> Mapping[str, Any]:
    """``{_id: {$in: [...]}}``."""
    if not any(type(each) is ExactId for each in ids):
        return {"_id": {"$in": list(ids)}}
    items = []
    for each in ids:
        kind, _, value = next(elements(id_bson(each)))
        items.append(bytes([kind]) + b"0\0" + value)
    return RawBSONDocument(_nested(0x03, b"_id", _nested(0x04, b"$in", _document(b"".join(items)))))


def unlike(document_id: bytes) -> Mapping[str, Any]:
    """``{_id: {$ne: ...}}`` of the BSON of ``{_id: ...}``."""
    kind, _, value = next(elements(document_id))
    return RawBSONDocument(_nested(0x03, b"_id", _nested(kind, b"$ne", value)))


def is_max_key(document_id: bytes) -> bool:
    """Whether the BSON of ``{_id: ...}`` is that of MaxKey, the last of all keys."""
    return len(document_id) > 4 and document_id[4] == _MAX_KEY


def _nested(kind: int, name: bytes, value: bytes) -> bytes:
    return _document(bytes([kind]) + name + b"\0" + value)


def _document(body: bytes) -> bytes:
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
