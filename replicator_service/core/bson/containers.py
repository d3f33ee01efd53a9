"""What holds other values: sub-documents, arrays, and the sub-documents that the driver takes for references."""

from __future__ import annotations

from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING, Any

from bson.dbref import DBRef
from bson.objectid import ObjectId

from replicator_service.core.bson.declaration import BsonType, Encoding, Json, Key, KeyOf, Sample, Value
from replicator_service.core.bson.marks import AMBIGUOUS
from replicator_service.core.bson.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_RESERVED = frozenset(
    {
        "$oid",
        "$symbol",
        "$numberInt",
        "$numberLong",
        "$numberDouble",
        "$numberDecimal",
        "$binary",
        "$uuid",
        "$code",
        "$timestamp",
        "$regularExpression",
        "$regex",
        "$dbPointer",
        "$date",
        "$minKey",
        "$maxKey",
        "$undefined",
    }
)
"""Field names that readers of Extended JSON take for a type."""


class _Names(dict[str, str]):
    """Field names as JSON with their colon, remembered. Bounded: names may be other people's data."""

    _LIMIT = 20_000
    _LONGEST = 100

    def __missing__(self, name: str) -> str:
        text = f'"{AMBIGUOUS}{name}":' if name in _RESERVED else f"{quote(name)}:"
        if len(self) < self._LIMIT and len(name) <= self._LONGEST:
            self[name] = text
        return text


_NAMES = _Names()


def _document_json(writers: Mapping[type, Json]) -> Json:
    def write(value: Mapping[str, Any]) -> str:
        fields = [
            f"{_NAMES[name]}{quote(item) if type(item) is str else writers[type(item)](item)}"
            for name, item in value.items()
        ]
        return f"{{{','.join(fields)}}}"

    return write


def _array_json(writers: Mapping[type, Json]) -> Json:
    def write(value: list[Any]) -> str:
        return f"[{','.join([writers[type(item)](item) for item in value])}]"

    return write


def _document_key(inside: Callable[[Value], str]) -> KeyOf:
    """A field name that starts with ``$`` gets another one: it is no tag."""

    def key(value: Mapping[str, Any]) -> Key:
        # A list, not a generator: every frame counts in a key of 200 levels.
        fields = [f"{quoted('$' + name if name[:1] == '$' else name)}:{inside(item)}" for name, item in value.items()]
        return ("object", f"{{{','.join(fields)}}}")

    return key


def _array_key(inside: Callable[[Value], str]) -> KeyOf:
    return lambda value: ("array", f"[{','.join([inside(item) for item in value])}]")


def _kind(value: Mapping[str, Any]) -> str:
    # The driver makes a DBRef of such a sub-document, exact decoding does not: they are one and the same.
    return DB_REF.name if "$ref" in value and "$id" in value else DOCUMENT.name


DOCUMENT = BsonType(
    name="object",
    kinds=_kind,
    classes=(dict,),
    encodings={0x03: Encoding(lambda raw, reading: reading.document(raw), 0, is_prefixed=True)},
    json_with=_document_json,
    key_with=_document_key,
    samples=(Sample("sub-document", {"a": 1}),),
)

ARRAY = BsonType(
    name="array",
    classes=(list, tuple),
    encodings={0x04: Encoding(lambda raw, reading: reading.array(raw), 0, is_prefixed=True)},
    json_with=_array_json,
    key_with=_array_key,
    samples=(Sample("array", [1, "a"], None),),
)

DB_REF = BsonType(
    name="DBRef",
    inexact_classes=(DBRef,),
    json_with=lambda writers: lambda value: writers[dict](value.as_doc()),
    key_with=lambda inside: lambda value: _document_key(inside)(value.as_doc()),
    samples=(Sample("DBRef", DBRef("c", ObjectId("0123456789abcdef01234567"))),),
)
