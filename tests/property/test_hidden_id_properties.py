"""An ``_id`` that is masked: both paths say the same, keys stay distinct, and what was hidden is opened again."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import bson
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core.codec.document_id import ExactId, id_bson
from replicator_service.core.codec.exact import source_id
from replicator_service.core.codec.key import encode_key
from replicator_service.core.events import Change, interpret
from replicator_service.core.masking.door import Door
from replicator_service.core.masking.key import MaskKey
from replicator_service.core.masking.rules import KEY, Mask, MaskKind, Rules
from replicator_service.core.replies import Reply
from tests.support.bson_values import IDENTIFIERS, SCALARS, TEXT
from tests.support.compiled import ReadBy, native_or_skip

SECRET = MaskKey(b"a key that is kept secret")
RULES = {"c": Rules((), ((KEY, Mask(MaskKind.HMAC)),))}
IDS: st.SearchStrategy[Any] = (
    IDENTIFIERS
    | TEXT
    | SCALARS
    | st.text(min_size=200, max_size=300)
    | st.text("0123456789abcdef", min_size=24, max_size=24)
    | st.dictionaries(st.sampled_from(["", "a", "_id"]), SCALARS, max_size=2)
)


def array_of(documents: list[dict[str, Any]]) -> bytes:
    return bson.encode({str(index): each for index, each in enumerate(documents)})


@given(st.lists(IDS, min_size=1, max_size=5))
def test_the_key_of_a_row_is_the_hmac_of_the_key_that_it_would_have(ids: list[Any]) -> None:
    array = array_of([{"_id": each, "a": 1} for each in ids])
    doors = [Door(rules=RULES, key=SECRET, compiled=each) for each in (None, native_or_skip())]
    python, compiled = (door.documents("c", array) for door in doors)
    assert python == compiled
    plain = [source_id(bson.encode({"_id": each})) for each in ids]
    keys = [hmac.new(SECRET.secret, encode_key(each).encode(), hashlib.sha256).hexdigest() for each in plain]
    assert Reply(python).keys == ReadBy(python, native_or_skip()).keys == keys
    assert [doors[0].key_of("c", encode_key(each)) for each in plain] == keys
    reply = Reply(python, hidden=doors[0].found_again("c", array))
    for number, each in enumerate(ids):
        found = reply.source_id(number)
        assert isinstance(found, ExactId)
        assert doors[1].opened("c", found.document) == bson.encode({"_id": each})
        assert encode_key(source_id(found.document)) == keys[number]


@given(st.lists(IDS, min_size=1, max_size=4), st.lists(st.sampled_from(["insert", "replace", "update", "delete"])))
def test_events_of_both_paths_mean_the_same_and_lead_to_the_document(ids: list[Any], operations: list[str]) -> None:
    events = [
        {
            "_id": {"_data": "82"},
            "operationType": operation,
            "clusterTime": Timestamp(1, 1),
            **({"fullDocument": {"_id": each}} if operation in ("insert", "replace") else {}),
            "ns": {"db": "d", "coll": collection},
            "documentKey": {"_id": each},
        }
        for each, operation in zip(ids, operations, strict=False)
        for collection in ("c", "plain")
    ]
    doors = [Door(rules=RULES, key=SECRET, compiled=each) for each in (None, native_or_skip())]
    python, compiled = (door.events(array_of(events)) for door in doors)
    assert python == compiled
    replies = [ReadBy(python, each, field="fullDocument") for each in (None, native_or_skip())]
    meanings = [[interpret(each, reply, number) for number, each in enumerate(reply.events)] for reply in replies]
    for number, (one, other) in enumerate(zip(*meanings, strict=True)):
        assert isinstance(one, Change)
        assert isinstance(other, Change)
        assert one._replace(source=None) == other._replace(source=None)
        assert (one.source is None) == (other.source is None)
        event = events[number]
        name = str(event["ns"]["coll"])  # type: ignore[index] # a dict of ours
        plain = encode_key(source_id(bson.encode(event["documentKey"])))  # type: ignore[arg-type] # the same
        assert one.key == doors[0].key_of(name, plain)
        if one.source is None and name == "c":
            (found,) = doors[0].sought(name, [one.source_id])
            assert id_bson(found) == bson.encode(event["documentKey"])  # type: ignore[arg-type] # the same
