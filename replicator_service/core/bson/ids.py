"""ObjectIds."""

from __future__ import annotations

from bson.objectid import ObjectId

from replicator_service.core.bson.declaration import BsonType, Encoding, Sample
from replicator_service.core.mapping.model import ColumnType


def object_id_json(value: ObjectId) -> str:
    """Write an ObjectId as Extended JSON."""
    return f'{{"$oid":"{value.binary.hex()}"}}'


OBJECT_ID = BsonType(
    name="ObjectId",
    classes=(ObjectId,),
    encodings={0x07: Encoding(lambda raw, _: ObjectId(raw), 12)},
    json=object_id_json,
    # As an `_id` of its own it is its 24 digits, without a tag; see `encode_key`.
    key=lambda value: ("oid", value.binary.hex()),
    columns={ColumnType.TEXT: str},
    samples=(Sample("ObjectId", ObjectId("0123456789abcdef01234567")),),
)
