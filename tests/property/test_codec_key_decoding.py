"""From a key back to the ``_id``: a delete may rest on it, so it finds the document or it says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.binary import UuidRepresentation
from bson.code import Code
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import PyMongoError

from replicator_service.core.codec import CODEC_OPTIONS, encode_key
from replicator_service.core.codec.elements import id_document
from replicator_service.core.codec.exact import source_id
from replicator_service.core.codec.key import decode_key
from replicator_service.source.read.ids import id_filter
from tests.support.bson_corpus import corpus
from tests.support.bson_values import LEAVES, SCALARS, nested

if TYPE_CHECKING:
    from tests.support.databases import Source

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
NUMBERS: list[Any] = [
    *(0, -0.0, 1, 1.0, Int64(1), 2**53, 2.0**53, Int64(2**53 + 1), 0.1, 0.5, 1e22, 1e300, 5e-324, 2.5, -7),
    *(float("nan"), float("inf"), float("-inf"), Int64(2**63 - 1), 2.0**63, Int64(-(2**63)), -(2.0**63)),
    *map(Decimal128, ["0", "-0", "1", "1.00", "0.1", "0.5", "1E+22", "1E+300", "NaN", "Infinity", "-Infinity"]),
    *map(Decimal128, ["9007199254740993", "9223372036854775807", "9223372036854775808", "1E+6144", "1E-6176"]),
]


@given(nested(LEAVES))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_key_decodes_to_a_value_of_the_same_key_or_to_nothing(value: Any) -> None:
    key = encode_key(value)
    found = decode_key(key)
    if found is not None:
        assert encode_key(bson.decode(found.document, CODEC_OPTIONS)["_id"]) == key


@given(st.text(max_size=40) | st.from_regex(r"\$[a-zA-Z]{2,9}:[\"{}\[\]$:a-z0-9.,]{0,30}", fullmatch=True))
def test_a_text_that_is_no_key_decodes_to_nothing_wrong(text: str) -> None:
    found = decode_key(text)
    if found is not None:
        assert encode_key(bson.decode(found.document, CODEC_OPTIONS)["_id"]) == text


@given(SCALARS)
def test_the_key_of_every_plain_value_can_be_decoded(value: Any) -> None:
    key = encode_key(value)
    is_unsure = key.startswith("$sha256:") or "\ufffd" in key
    assert is_unsure or decode_key(key) is not None


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, {"a": None}, {}, {"$ref": "c", "$id": 1}, Code("f", {}), "\ufffd", "x" * 2_000],
)
def test_what_may_have_been_something_else_decodes_to_nothing(value: Any) -> None:
    assert decode_key(encode_key(value)) is None


@pytest.mark.parametrize("key", ['$regex:"a":', '$string:"\\ud800"', "$nothing", "$number:1.0", "$oid:00", "$object:1"])
def test_what_no_document_can_have_decodes_to_nothing(key: str) -> None:
    assert decode_key(key) is None


@pytest.mark.parametrize("strength", [None, 1], ids=["plain", "collated"])
def test_whatever_a_key_decodes_to_finds_its_document(source: Source, strength: int | None) -> None:
    """Every value that MongoDB takes as an ``_id``, each alone in the collection beside one that is like it."""
    options: dict[str, Any] = {} if strength is None else {"collation": {"locale": "en", "strength": strength}}
    things = source.db.create_collection("things", **options)
    raws = [_identified(kind, value) for _, kind, value in corpus()]
    unspecified: CodecOptions[Any] = CodecOptions(uuid_representation=UuidRepresentation.UNSPECIFIED)
    raws += [bson.encode({"_id": number}, codec_options=unspecified) for number in NUMBERS]
    decoded = inserted = 0
    for raw in raws:
        try:
            source.db.command({"insert": "things", "documents": [RawBSONDocument(raw)]}, check=True)
            stored = source.db.command({"find": "things", "limit": 1}, codec_options=RAW)["cursor"]["firstBatch"]
        except (PyMongoError, bson.errors.BSONError):
            continue
        if not stored:
            continue
        inserted += 1
        document = bytes(stored[0].raw)
        key = encode_key(source_id(document))
        found = decode_key(key)
        if found is not None:
            decoded += 1
            command = {"find": "things", "filter": id_filter([found])}
            batch = source.db.command(command, codec_options=RAW)["cursor"]["firstBatch"]
            assert [id_document(bytes(each.raw)) for each in batch] == [id_document(document)], key
        things.delete_many({})
    assert inserted > 100
    assert decoded > inserted / 2


def _identified(kind: int, value: bytes) -> bytes:
    body = bytes([kind]) + b"_id\0" + value
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
