"""The compiled path against pure Python, byte for byte: any documents, any mappings, any bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.errors import InvalidBSON
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core.events import Change, event_time, event_token, interpret, is_schema_change, may_share_time
from replicator_service.core.lines import Lines
from replicator_service.core.mapping.model import (
    ChildTable,
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
    TypedCollection,
)
from tests.property.test_codec_transform_properties import IDS, stored
from tests.support import bson_bytes
from tests.support.bson_corpus import corpus
from tests.support.bson_mappings import MAPPINGS
from tests.support.bson_values import DOCUMENTS
from tests.support.compiled import ReadBy, array_of, native_or_skip, transform_by, written_by
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.compiled import Native

CORPUS = list(corpus())
COMMON = st.sampled_from([each for each in CORPUS if len(each[2]) < 1000])


@pytest.fixture(scope="module")
def native() -> Native:
    return native_or_skip()


@st.composite
def common(draw: st.DrawFn) -> bytes:
    """A document of few names and of values that the compiled path mostly knows."""
    elements = [bson_bytes.element(0x07, "_id", draw(st.binary(min_size=12, max_size=12)))]
    names = draw(st.lists(st.sampled_from(["a", "b", "A", "a.b", "é", 'quote"', ""]), max_size=5, unique=True))
    for name in names:
        _, kind, value = draw(COMMON)
        shape = draw(st.integers(0, 3))
        inner = bson_bytes.element(kind, draw(st.sampled_from(["a", "b"])), value)
        if shape == 0:
            elements.append(bson_bytes.element(kind, name, value))
        elif shape == 1:
            elements.append(bson_bytes.embedded(name, inner))
        elif shape == 2:
            elements.append(bson_bytes.array(name, bson_bytes.embedded("0", inner), bson_bytes.embedded("1", inner)))
        else:
            elements.append(bson_bytes.array(name, bson_bytes.element(kind, "0", value)))
    return bson_bytes.document(*elements)


@given(MAPPINGS, st.lists(stored() | common(), max_size=5))
@examples(400)
def test_both_paths_write_the_same(native: Native, mapping: CollectionMapping, raws: list[bytes]) -> None:
    assert written_by(native, mapping, raws) == written_by(None, mapping, raws)


@pytest.mark.parametrize("column_type", [*ColumnType, None])
def test_every_value_becomes_the_same_in_every_column(native: Native, column_type: ColumnType | None) -> None:
    mapping: CollectionMapping = DocumentCollection("C", "parent", KeepBson.ALWAYS)
    if column_type is not None:
        columns = (MappedColumn("v", ("v",), column_type), MappedColumn("l", ("l",), column_type))
        element = (MappedColumn("c", ("v",), column_type), MappedColumn("p", ("v",), column_type, from_parent=True))
        mapping = TypedCollection("C", "parent", columns, (ChildTable("child", ("l",), element),))
    raws: list[bytes] = []
    for _, kind, value in CORPUS:
        value_of = bson_bytes.element(kind, "v", value)
        inside = bson_bytes.array("l", bson_bytes.element(kind, "0", value), bson_bytes.embedded("1", value_of))
        raws.append(bson_bytes.document(bson_bytes.integer("_id", len(raws)), value_of, inside))
        raws.append(bson_bytes.document(bson_bytes.element(kind, "_id", value)))
        raws.append(bson_bytes.document(bson_bytes.text("_id", b"x"), bson_bytes.array("w", value_of), value_of))
    assert written_by(native, mapping, raws) == written_by(None, mapping, raws)


def test_values_of_fixed_size_need_no_python(native: Native) -> None:
    """A path that knew nothing would pass all other tests."""
    transform = transform_by(DocumentCollection("C", "parent"), native)
    raws = [
        bson_bytes.document(bson_bytes.element(0x07, "_id", bytes(12)), bson_bytes.element(kind, "v", value))
        for _, kind, value in CORPUS
        if kind in {0x01, 0x07, 0x08, 0x09, 0x0A, 0x10, 0x11, 0x12, 0x13, 0x7F, 0xFF}
    ]
    scan = native.scan(array_of(raws), of_events=False)
    assert transform.write_ordinals(range(len(raws)), 0, scan, "now", [Lines()]) == len(raws)


@given(MAPPINGS, st.lists(stored() | common(), min_size=1, max_size=3), st.data())
@examples(400)
def test_broken_bytes_are_the_same_for_both(
    native: Native, mapping: CollectionMapping, raws: list[bytes], data: st.DataObject
) -> None:
    whole = bytearray(array_of(raws))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(4, len(whole) - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                whole[position] = data.draw(st.integers(0, 255))
            case "cut" if len(whole) > 6:
                del whole[position]
            case _:
                whole[position:position] = data.draw(st.binary(max_size=4))
    array = bytes(whole) if data.draw(st.booleans()) else len(whole).to_bytes(4, "little") + bytes(whole[4:])
    reply = ReadBy(array, native)
    if reply.scan is None:
        return
    parts = [reply.scan.part(ordinal) for ordinal in range(reply.scan.count)]
    assert _outcome(lambda: written_by(native, mapping, parts)) == _outcome(lambda: written_by(None, mapping, parts))
    # Of a document that is broken behind its key the key is known without reading that far.
    keys = _outcome(lambda: ReadBy(array, None).keys)
    assert keys is None or _outcome(lambda: ReadBy(array, native).keys) == keys


def _outcome(make: Callable[[], Any]) -> Any:
    """What is made; of replies that cannot be decoded at all, that alone."""
    try:
        return make()
    except (InvalidBSON, KeyError, ValueError, IndexError, AttributeError, TypeError, OverflowError):
        return None


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A change event of any of the shapes that servers send, and of some that they do not."""
    key = draw(IDS)
    operation = draw(
        st.sampled_from(["insert", "update", "replace", "delete", "drop", "create", "modify", "invalidate", "insert"])
    )
    event: dict[str, Any] = {
        "_id": {"_data": draw(st.text("0123456789ABCDEF", max_size=20))},
        "operationType": operation,
        "clusterTime": Timestamp(draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**32 - 1))),
        "ns": {"db": "d", "coll": draw(st.sampled_from(["c", "é", "tmp.x"]))},
        "documentKey": {"shard": 1, "_id": key} if draw(st.booleans()) else {"_id": key},
    }
    if operation in {"insert", "replace"}:
        event["fullDocument"] = {"_id": key, **draw(DOCUMENTS)}
    if draw(st.booleans()):
        event |= {"txnNumber": 1, "lsid": {"id": ObjectId()}}
    names = draw(st.permutations(list(event)))
    return {name: event[name] for name in names}


@given(st.lists(events(), max_size=4))
@examples(300)
def test_both_paths_read_the_same_from_events(native: Native, found: list[dict[str, Any]]) -> None:
    array = array_of([bson.encode(event) for event in found])
    compiled = ReadBy(array, native, field="fullDocument")
    python = ReadBy(array, None, field="fullDocument")
    for index, (one, other) in enumerate(zip(compiled.events, python.events, strict=True)):
        assert event_time(one) == event_time(other)
        assert event_token(one) == event_token(other)
        assert may_share_time(one, groups_inserts=False) == may_share_time(other, groups_inserts=False)
        assert isinstance(one, dict) or (isinstance(other, dict) and not is_schema_change(other))
        # As text: NaN is an _id that differs from itself.
        assert repr(_without_source(interpret(one, compiled, index))) == repr(
            _without_source(interpret(other, python, index))
        )
        assert compiled.key(index) == python.key(index)
        if isinstance(other, dict) and "fullDocument" in other:
            assert compiled.raw(index) == python.raw(index)
            assert repr(compiled.document(index)) == repr(python.document(index))


def _without_source(meaning: Any) -> Any:
    """What an event means, and whether it leads to a document: each reply is its own."""
    return (meaning._replace(source=None), meaning.source is not None) if isinstance(meaning, Change) else meaning


@given(st.lists(IDS, max_size=5))
@examples(200)
def test_both_paths_give_the_same_keys(native: Native, ids: list[Any]) -> None:
    array = array_of([bson.encode({"_id": each, "a": 1}) for each in ids])
    assert ReadBy(array, native).keys == ReadBy(array, None).keys
