"""The elements of a BSON document as bytes (bsonspec.org, version 1.1): where each one begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson.errors import InvalidBSON

from replicator_service.core.bson import ENCODINGS
from replicator_service.core.bson.declaration import int32

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT, ARRAY, CODE_WITH_SCOPE = 0x03, 0x04, 0x0F

_FIXED = {byte: how.size for byte, how in ENCODINGS.items() if how.size is not None and not how.is_prefixed}
_PREFIXED = {byte: how.size for byte, how in ENCODINGS.items() if how.size is not None and how.is_prefixed}
_TEXTS = frozenset(ENCODINGS) - set(_FIXED) - set(_PREFIXED)


def value_end(raw: bytes, kind: int, start: int) -> int:
    """Return the offset after the value of this kind that starts at ``start``.

    Raises :class:`bson.errors.InvalidBSON` for an unknown kind or an impossible length.
    """
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return start + fixed
    prefixed = _PREFIXED.get(kind)
    if prefixed is not None:
        length = int32(raw, start)
        if length < 0:
            raise InvalidBSON("a negative length")
        return start + prefixed + length
    if kind in _TEXTS:
        return raw.index(b"\0", raw.index(b"\0", start) + 1) + 1
    raise InvalidBSON(f"unknown BSON type 0x{kind:02x}")


def elements(raw: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Return kind, name and value of each element of a document or array.

    Raises :class:`bson.errors.InvalidBSON` or :class:`ValueError` when the bytes are not BSON.
    """
    position, end = 4, int32(raw) - 1
    if end + 1 != len(raw) or raw[end] != 0:
        raise InvalidBSON("a document's length is wrong")
    while position < end:
        name_end = raw.index(b"\0", position + 1)
        kind = raw[position]
        after = value_end(raw, kind, name_end + 1)
        if after > end:
            raise InvalidBSON("a value reaches beyond its document")
        yield kind, raw[position + 1 : name_end], raw[name_end + 1 : after]
        position = after


def id_document(raw: bytes) -> bytes:
    """Return ``{_id: ...}`` with the ``_id`` of a document as it is, down to bytes that the driver does not decode.

    Raises :class:`bson.errors.InvalidBSON` when there is none.
    """
    for kind, name, value in elements(raw):
        if name == b"_id":
            return (len(value) + 10).to_bytes(4, "little") + bytes([kind]) + b"_id\0" + value + b"\0"
    raise InvalidBSON("the document has no _id")


def element_document(raw: bytes, path: tuple[str, ...], index: int) -> bytes:
    """Return element ``index`` of the array at ``path`` as a document of its own.

    An element that is not a sub-document becomes the value of a field with an empty name.
    """
    for name in path:
        encoded = name.encode()
        # The last one counts when a name occurs twice.
        raw = [value for _, found, value in elements(raw) if found == encoded][-1]
    kind, _, value = list(elements(raw))[index]
    if kind == DOCUMENT:
        return value
    return (len(value) + 7).to_bytes(4, "little") + bytes([kind]) + b"\0" + value + b"\0"


def field_of(document: bytes, name: bytes) -> bytes:
    """The value of a field that is a document."""
    return next(value for _, found, value in elements(document) if found == name)


def without(document: bytes, name: bytes) -> bytes:
    """A document whose field of this name is null: it is known to be there."""
    body = b""
    for kind, found, value in elements(document):
        body += b"\n%b\0" % found if found == name else bytes([kind]) + found + b"\0" + value
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
