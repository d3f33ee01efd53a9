"""Binary data and UUIDs, which are one of its subtypes."""

from __future__ import annotations

from binascii import b2a_base64
from uuid import UUID

from bson.binary import Binary, UuidRepresentation

from replicator_service.core.bson.declaration import BsonType, Encoding, Key, Sample, tagged_text
from replicator_service.core.mapping.model import ColumnType

_UUID, _OTHER = "UUID", "binary with a subtype"
_UUID_SUBTYPE = 4
_OLD_SUBTYPE = 2
_UUID_SAMPLE = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


def _decoded(raw: bytes) -> bytes:
    subtype = raw[4]
    if subtype == 0:
        return raw[5:]
    # The old generic subtype repeats its length inside.
    return Binary(raw[9:] if subtype == _OLD_SUBTYPE else raw[5:], subtype)


def is_uuid(value: Binary) -> bool:
    """Whether binary data is a UUID. Those of subtype 3 are none: each driver had an order of bytes of its own."""
    return value.subtype == _UUID_SUBTYPE and len(value) == 16


def _kind(value: Binary) -> str:
    return _UUID if is_uuid(value) else _OTHER


def _json(value: bytes, subtype: int) -> str:
    base64 = b2a_base64(value, newline=False).decode("ascii")
    return f'{{"$binary":{{"base64":"{base64}","subType":"{subtype:02x}"}}}}'


def _bytes_json(value: bytes) -> str:
    return _json(value, 0)


def _subtyped_json(value: Binary) -> str:
    return _json(value, value.subtype)


def _bytes_key(value: bytes) -> Key:
    return ("binary", f"00:{value.hex()}")


def _subtyped_key(value: Binary) -> Key:
    if is_uuid(value):
        return ("uuid", str(UUID(bytes=bytes(value))))
    return ("binary", f"{value.subtype:02x}:{value.hex()}")


def _from_key(text: str) -> Binary:
    subtype, _, content = text.partition(":")
    return Binary(bytes.fromhex(content), int(subtype, 16))


BINARY = BsonType(
    name="binary",
    classes=(bytes,),
    encodings={0x05: Encoding(lambda raw, _: _decoded(raw), 5, is_prefixed=True)},
    json=_bytes_json,
    key=_bytes_key,
    keys={"binary": _from_key},
    columns={ColumnType.BYTEA: lambda value: f"\\x{value.hex()}"},
    samples=(Sample("binary, subtype 0", b"\x01\xff"),),
)

SUBTYPED = BsonType(
    name=_OTHER,
    kinds=_kind,
    classes=(Binary,),
    json=_subtyped_json,
    key=_subtyped_key,
    keys={"uuid": lambda text: Binary(UUID(text).bytes, _UUID_SUBTYPE)},
    columns={
        ColumnType.UUID: lambda value: value.hex() if is_uuid(value) else None,
        ColumnType.TEXT: lambda value: tagged_text(_subtyped_key(value)) if is_uuid(value) else None,
    },
    samples=(
        Sample("binary, subtype 4 (UUID)", Binary(_UUID_SAMPLE, 4)),
        Sample("binary, subtype 3 (old UUID)", Binary(_UUID_SAMPLE, 3)),
        Sample("binary, other subtypes", Binary(b"\x01\xff", 0x80)),
    ),
)

PYTHON_UUID = BsonType(
    # Replies are never decoded to it; applications of this code may pass one as an `_id`.
    name=_UUID,
    classes=(UUID,),
    json=lambda value: _subtyped_json(Binary.from_uuid(value, UuidRepresentation.STANDARD)),
    key=lambda value: _subtyped_key(Binary.from_uuid(value, UuidRepresentation.STANDARD)),
)
