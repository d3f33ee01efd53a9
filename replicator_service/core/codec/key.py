"""The key of a row: one text for each ``_id`` that MongoDB tells apart.

ObjectIds read as their 24 digits and strings as themselves. Everything else has a tag that starts with ``$``;
so do the strings that could be taken for something else. Two ``_id`` values have the same text exactly when
MongoDB holds them equal: numbers compare by value across their types, a symbol equals the string, the order
of fields counts.

Not told apart, because the driver does not: ``undefined`` and null inside a sub-document, a DBPointer and a
DBRef of the same content, and the place of ``$ref``, ``$id`` and ``$db`` among the fields of a DBRef.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import bson
from bson.errors import BSONError
from bson.objectid import ObjectId

from replicator_service.core.bson import TYPES
from replicator_service.core.bson.declaration import tagged_text
from replicator_service.core.bson.text import is_storable, quoted, string_key
from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.codec.options import CODEC_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.bson.declaration import Key, KeyOf, Value

MAX_BYTES = 1000
"""A longer key is written as a digest: an index entry ends at 2,704 bytes, and other columns may join it."""
_PREFIX_CHARACTERS = 64
DIGEST = "$sha256:"
_REPLACED = "\ufffd"
"""What reading leaves in place of bytes that are no UTF-8."""


def encode_key(value: Value) -> str:
    """Return the ``_id`` column's text of a decoded ``_id``. Raises :class:`TypeError` for other types."""
    if type(value) is ObjectId:
        return value.binary.hex()
    if type(value) is str:
        size = len(value)
        if size != 24 and size <= 250 and value.isascii() and value[:1] != "$" and "\0" not in value:
            return value
        return _fitting(_string(value))
    return _fitting(tagged(value))


def is_digest(key: str) -> bool:
    """Whether the original ``_id`` cannot be read from this key."""
    return key.startswith(DIGEST)


def decode_key(key: str) -> ExactId | None:
    """Return the ``_id`` by which MongoDB surely finds the document of this key, if there is one.

    None when it cannot be told: digests, and what has the same text as something that MongoDB tells apart or that the
    driver cannot write: what was no UTF-8, lone surrogates, and everything that holds fields, since one of two fields
    of the same name is lost, ``undefined`` reads as null, and a DBPointer as a DBRef. What is found has to be compared
    by its own key: under a collation ``"a"`` finds ``"A"``.
    """
    if _REPLACED in key:
        return None
    try:
        source_id = ExactId(bson.encode({"_id": _decoded(key)}))
        again = bson.decode(source_id.document, CODEC_OPTIONS)["_id"]
    except (BSONError, ValueError, LookupError, TypeError, ArithmeticError):
        return None
    return source_id if encode_key(again) == key else None


def _decoded(key: str) -> Value:
    if not key.startswith("$"):
        return ObjectId(key) if len(key) == 24 and _is_hex(key) else key
    tag, _, content = key[1:].partition(":")
    return _DECODERS[tag](content)


_DECODERS: dict[str, Callable[[str], Value]] = {tag: decode for each in TYPES for tag, decode in each.keys.items()}


def _fitting(text: str) -> str:
    if len(text) <= MAX_BYTES // 4:
        return text
    encoded = text.encode()
    if len(encoded) <= MAX_BYTES:
        return text
    return f"{DIGEST}{sha256(encoded).hexdigest()}:{text[:_PREFIX_CHARACTERS]}"


def _string(value: str) -> str:
    if value[:1] == "$" or "\0" in value or (len(value) == 24 and _is_hex(value)) or not is_storable(value):
        return tagged_text(string_key(value))
    return value


def _is_hex(value: str) -> bool:
    return all(character in "0123456789abcdef" for character in value)


def tagged(value: Value) -> str:
    """Return the text with its tag, however long: what :func:`encode_key` gives of what is no plain string."""
    return tagged_text(_key(value))


def _key(value: Value) -> Key:
    kind = type(value)
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        for base in kind.__mro__[1:]:
            if base in _ENCODERS:
                encoder = _ENCODERS[base]
                break
        else:
            raise TypeError(f"{kind.__name__} is not a BSON type")
    return encoder(value)


def _inside(value: Value) -> str:
    """Return canonical JSON of what stands inside of a key."""
    if type(value) is str:
        return quoted(value)
    tag, content = _key(value)
    if tag in _PLAIN or (tag == "number" and content[-1].isdigit()):
        return content
    return "null" if tag == "null" else f'{{"${tag}":{quoted(content)}}}'


_PLAIN = frozenset({"object", "array", "boolean"})
_ENCODERS: dict[type, KeyOf] = {
    kind: encoder
    for each in TYPES
    if (encoder := each.key if each.key_with is None else each.key_with(_inside)) is not None
    for kind in (*each.classes, *each.inexact_classes)
}
