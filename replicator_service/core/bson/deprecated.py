"""Types that MongoDB still stores and nobody should write: the driver reads each as another one."""

from __future__ import annotations

from dataclasses import dataclass
from json.encoder import encode_basestring as quote

from bson.dbref import DBRef
from bson.objectid import ObjectId

from replicator_service.core.bson.declaration import BsonType, Encoding, Sample
from replicator_service.core.bson.ids import object_id_json
from replicator_service.core.bson.text import decoded_string, string_text
from replicator_service.core.mapping.model import ColumnType

_OID = ObjectId("0123456789abcdef01234567")


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


SYMBOL = BsonType(
    name="symbol",
    classes=(Symbol,),
    encodings={0x0E: Encoding(lambda raw, _: Symbol(decoded_string(raw)), 4, is_prefixed=True)},
    is_silently_lost=True,
    json=lambda value: f'{{"$symbol":{quote(value.text)}}}',
    columns={ColumnType.TEXT: lambda value: string_text(value.text)},
    samples=(Sample("symbol (deprecated)", Symbol("text"), "text"),),
)

UNDEFINED = BsonType(
    name="undefined",
    classes=(Undefined,),
    encodings={0x06: Encoding(lambda _raw, _: Undefined(), 0)},
    is_silently_lost=True,
    json=lambda _: '{"$undefined":true}',
    samples=(Sample("undefined (deprecated)", Undefined(), None),),
)

DB_POINTER = BsonType(
    name="DBPointer",
    classes=(DBPointer,),
    encodings={
        0x0C: Encoding(lambda raw, _: DBPointer(decoded_string(raw[:-12]), ObjectId(raw[-12:])), 16, is_prefixed=True)
    },
    json=lambda value: f'{{"$dbPointer":{{"$ref":{quote(value.namespace)},"$id":{object_id_json(value.id)}}}}}',
    samples=(Sample("DBPointer (deprecated)", DBPointer("db.c", _OID), DBRef("db.c", _OID)),),
)
