"""Types of few values: null, booleans, and the two ends of MongoDB's order."""

from __future__ import annotations

from types import NoneType

from bson.max_key import MaxKey
from bson.min_key import MinKey

from replicator_service.core.bson.declaration import BsonType, Encoding, Key, Sample, tagged_text
from replicator_service.core.mapping.model import ColumnType


def _bool_json(value: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if value else "false"


def _bool_key(value: bool) -> Key:  # noqa: FBT001 - the value itself
    return ("boolean", _bool_json(value))


NULL = BsonType(
    name="null",
    classes=(NoneType,),
    encodings={0x0A: Encoding(lambda _raw, _: None, 0)},
    json=lambda _: "null",
    key=lambda _: ("null", ""),
    keys={"null": lambda _: None},
    samples=(Sample("null", None),),
)

BOOLEAN = BsonType(
    name="boolean",
    classes=(bool,),
    encodings={0x08: Encoding(lambda raw, _: raw != b"\0", 1)},
    json=_bool_json,
    key=_bool_key,
    keys={"boolean": {"true": True, "false": False}.__getitem__},
    columns={
        ColumnType.BOOLEAN: lambda value: "t" if value else "f",
        ColumnType.TEXT: lambda value: tagged_text(_bool_key(value)),
    },
    samples=(Sample("boolean", value=True),),
)

MIN_KEY = BsonType(
    name="MinKey",
    classes=(MinKey,),
    encodings={0xFF: Encoding(lambda _raw, _: MinKey(), 0)},
    json=lambda _: '{"$minKey":1}',
    key=lambda _: ("minKey", ""),
    keys={"minKey": lambda _: MinKey()},
    samples=(Sample("MinKey", MinKey()),),
)

MAX_KEY = BsonType(
    name="MaxKey",
    classes=(MaxKey,),
    encodings={0x7F: Encoding(lambda _raw, _: MaxKey(), 0)},
    json=lambda _: '{"$maxKey":1}',
    key=lambda _: ("maxKey", ""),
    keys={"maxKey": lambda _: MaxKey()},
    samples=(Sample("MaxKey", MaxKey()),),
)
