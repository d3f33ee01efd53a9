"""Masking bytes does what the rules say of the decoded document, and leaves everything else byte for byte."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any

import bson
from bson.code import Code
from bson.errors import InvalidBSON
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.codec.columns import SCALARS as COLUMNS
from replicator_service.core.mapping.model import ColumnType
from replicator_service.core.masking.documents import masked_document
from replicator_service.core.masking.door import Door
from replicator_service.core.masking.key import MaskKey
from replicator_service.core.masking.rules import Mask, MaskKind, Rules, Selection
from replicator_service.core.masking.tree import tree_of
from tests.support.bson_values import IDENTIFIERS, SCALARS, TEXT
from tests.support.compiled import native_or_skip

KEY = MaskKey(b"a key that is kept secret")
HMAC, NULL, LAST = Mask(MaskKind.HMAC), Mask(MaskKind.NULL), Mask(MaskKind.KEEP_LAST, 2)
GONE = object()

NAMES = st.sampled_from(["a", "b", "c", "aa", "a.b", "ba", "", "\x02a"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=6)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3).map(tuple)
ACTIONS: st.SearchStrategy[Mask | None] = st.sampled_from([None, HMAC, NULL, LAST])


def expected(value: Any, path: tuple[str, ...], mask: Mask | None) -> Any:
    """The same on decoded values, for one rule, as slowly and as plainly as can be."""
    if not path:
        return GONE if mask is None else masked(value, mask)
    if isinstance(value, list):
        return [each if not isinstance(each, dict | list) else expected(each, path, mask) for each in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for name, inner in value.items():
        new = inner
        for length in range(1, len(path) + 1):
            head = path[:length]
            if head == ("*",) or ("*" not in head and ".".join(head) == name):
                new = expected(inner, path[length:], mask)
                break
        if new is not GONE:
            result[name] = new
    return result


def masked(value: Any, mask: Mask) -> Any:
    if mask.kind is MaskKind.NULL or isinstance(value, dict) or value is None:
        return None
    if isinstance(value, list):
        return [masked(each, mask) for each in value]
    if mask.kind is MaskKind.HMAC:
        text = canonical(value)
        return hmac.new(KEY.secret, text, hashlib.sha256).hexdigest()
    return ...


def canonical(value: Any) -> bytes:
    """By the function that masks: what it has to agree with is tested below."""
    from replicator_service.core.masking.values import canonical_text  # noqa: PLC0415 - used here alone

    raw = bson.encode({"": value})
    return canonical_text(raw[4], raw[6:-1])


def raw_of(document: dict[str, Any]) -> bytes:
    return bson.encode(document)


@given(DOCUMENTS, PATHS, ACTIONS.filter(lambda mask: mask is not LAST))
def test_one_rule_changes_what_it_names_and_nothing_else(
    document: dict[str, Any], path: tuple[str, ...], mask: Mask | None
) -> None:
    rules = Rules((path,)) if mask is None else Rules((), ((path, mask),))
    raw = raw_of(document)
    # Compared as bytes: NaN is not equal to itself, and types matter.
    assert masked_document(raw, tree_of(rules, KEY)) == raw_of(expected(bson.decode(raw, CODEC_OPTIONS), path, mask))


@given(st.lists(DOCUMENTS, max_size=4), PATHS)
def test_an_array_of_documents_is_its_documents(documents: list[dict[str, Any]], path: tuple[str, ...]) -> None:
    rules = Rules((path,))
    array = bson.encode({str(index): each for index, each in enumerate(documents)})
    alone = [masked_document(raw_of(each), tree_of(rules, None)) for each in documents]
    masked_array = Door(rules={"c": rules}).documents("c", array)
    again = [raw_of(each) for each in bson.decode(masked_array, CODEC_OPTIONS).values()]
    assert again == alone
    assert int.from_bytes(masked_array[:4], "little") == len(masked_array)
    assert Door(rules={"c": rules}).documents("other", array) is array


@given(IDENTIFIERS | TEXT, IDENTIFIERS | TEXT)
def test_hmacs_are_equal_where_text_columns_are(one: Any, other: Any) -> None:
    """So joins over masked columns give what joins over plain ones give."""
    texts = [COLUMNS[ColumnType.TEXT](bson.decode(bson.encode({"": each}), CODEC_OPTIONS)[""]) for each in (one, other)]
    if None not in texts:
        assert (canonical(one) == canonical(other)) is (texts[0] == texts[1])


@given(VALUES, st.sampled_from(list(MaskKind)))
def test_no_mask_lets_a_marker_through(value: Any, kind: MaskKind) -> None:
    """Whatever stands beside it: what a mask cannot take becomes null."""
    marker = "marker-in-a-value-that-nobody-may-ever-see"
    planted = {"a": [marker, {marker: value}, {"b": [marker]}, {"c": {"d": marker}}], "b": value}
    mask = {
        MaskKind.KEEP_FIRST: Mask(kind, 3),
        MaskKind.KEEP_LAST: Mask(kind, 3),
        MaskKind.TRUNCATE_IP: Mask(kind, 24, 48),
        MaskKind.TRUNCATE_DATE: Mask(kind, unit="day"),
        MaskKind.CONSTANT: Mask(kind, constant="x"),
    }.get(kind, Mask(kind))
    raw = masked_document(bson.encode(planted), tree_of(Rules((), ((("a",), mask),)), KEY))
    assert marker.encode() not in raw
    assert bson.decode(raw, CODEC_OPTIONS).keys() == planted.keys()


@given(st.lists(DOCUMENTS, max_size=3), st.sampled_from(["users", "secrets", "other"]), st.sampled_from(range(4)))
def test_events_of_the_usual_form_are_treated_like_those_of_any(
    documents: list[dict[str, Any]], collection: str, form: int
) -> None:
    """The short way, by expressions, and the long one, element by element, say the same."""
    rules = {"users": Rules((("a",),), ((("b",), HMAC),))}
    door = Door(Selection(exclude=("secrets",)), rules, KEY)
    operation = ["insert", "replace", "update", "delete"][form]
    events = [
        {
            "_id": {"_data": "8265"},
            "operationType": operation,
            "clusterTime": Timestamp(1, 1),
            **({"fullDocument": {"_id": 1, **each}} if form < 2 else {}),
            "ns": {"db": "d", "coll": collection},
            "documentKey": {"_id": 1},
        }
        for each in documents
    ]
    array = bson.encode({str(index): each for index, each in enumerate(events)})
    longer = bson.encode({str(index): {"wallTime": 1, **each} for index, each in enumerate(events)})
    short, long = (bson.decode(door.events(each), CODEC_OPTIONS) for each in (array, longer))
    for each in long.values():
        each.pop("wallTime", None)
    assert bson.encode(short) == bson.encode(long)
    if collection == "other":
        assert door.events(array) is array


@given(st.lists(DOCUMENTS, max_size=4), st.lists(PATHS, min_size=1, max_size=4), ACTIONS)
def test_compiled_rules_give_the_same_bytes(
    documents: list[dict[str, Any]], paths: list[tuple[str, ...]], mask: Mask | None
) -> None:
    native = native_or_skip()
    rules = Rules(tuple(paths)) if mask is None else Rules((), tuple((path, mask) for path in paths))
    python, compiled = Door(rules={"c": rules}, key=KEY), Door(rules={"c": rules}, key=KEY, compiled=native)
    array = bson.encode({str(index): each for index, each in enumerate(documents)})
    assert compiled.documents("c", array) == python.documents("c", array)


@given(
    st.lists(DOCUMENTS, min_size=1, max_size=4),
    st.sampled_from(["users", "secrets", "other"]),
    st.sampled_from(["insert", "update", "delete", "drop"]),
    st.sampled_from([{}, {"splitEvent": {"fragment": 1, "of": 2}}, {"txnNumber": 1}, {"x": Code("a")}]),
    st.sampled_from([{"_id": 1}, {"a": 1, "_id": 1}, {"_id": Code("a")}]),
)
def test_compiled_rules_treat_events_the_same(
    documents: list[dict[str, Any]], collection: str, operation: str, more: dict[str, Any], key: dict[str, Any]
) -> None:
    native = native_or_skip()
    rules = {"users": Rules((("a",),), ((("b", "c"), HMAC),))}
    selection = Selection(exclude=("secrets",))
    events = [
        {
            "_id": {"_data": "8265"},
            "operationType": operation,
            "clusterTime": Timestamp(1, 1),
            **({"fullDocument": each} if operation == "insert" else {}),
            "ns": {"db": "d", "coll": collection},
            **({} if operation == "drop" else {"documentKey": key}),
            **more,
        }
        for each in documents
    ]
    array = bson.encode({str(index): each for index, each in enumerate(events)})
    expected = Door(selection, rules, KEY).events(array)
    assert Door(selection, rules, KEY, compiled=native).events(array) == expected


def test_compiled_rules_treat_a_part_of_a_large_event_the_same() -> None:
    """Of any collection: whose document it is may be said in another part."""
    part = {
        "_id": {"_data": "8265"},
        "operationType": "insert",
        "clusterTime": Timestamp(1, 1),
        "fullDocument": {"a": 1},
        "ns": {"db": "d", "coll": "other"},
        "documentKey": {"_id": 1},
        "splitEvent": {"fragment": 1, "of": 2},
    }
    rules, array = {"users": Rules((("a",),), ())}, bson.encode({"0": part})
    expected = Door(None, rules, KEY).events(array)
    assert "fullDocument" not in bson.decode(expected)["0"]
    assert Door(None, rules, KEY, compiled=native_or_skip()).events(array) == expected


@given(st.lists(DOCUMENTS, min_size=1, max_size=3), st.integers(0, 2_000), st.integers(0, 255))
def test_bytes_that_are_no_bson_are_refused_or_treated_the_same(
    documents: list[dict[str, Any]], place: int, byte: int
) -> None:
    """Whatever is damaged: the compiled rules read nothing outside, and let nothing through that Python does not."""
    native = native_or_skip()
    rules = {"c": Rules((("a",),), ((("b",), NULL),))}
    array = bytearray(bson.encode({str(index): each for index, each in enumerate(documents)}))
    array[place % len(array)] = byte

    def masked_or_refused(door: Door) -> bytes | None:
        try:
            return door.documents("c", bytes(array))
        except (InvalidBSON, ValueError, IndexError, struct.error):
            return None

    assert masked_or_refused(Door(rules=rules, key=KEY, compiled=native)) == masked_or_refused(
        Door(rules=rules, key=KEY)
    )


@given(
    st.lists(IDENTIFIERS | TEXT | st.text(min_size=50, max_size=200), min_size=1), st.binary(min_size=16, max_size=100)
)
def test_compiled_hmacs_are_those_of_the_standard_library(values: list[Any], secret: bytes) -> None:
    rules = {"c": Rules((), ((("v",), HMAC),))}
    array = bson.encode({str(index): {"v": each} for index, each in enumerate(values)})
    doors = [Door(rules=rules, key=MaskKey(secret), compiled=each) for each in (None, native_or_skip())]
    python, compiled = (door.documents("c", array) for door in doors)
    assert compiled == python
    for value, found in zip(values, bson.decode(compiled, CODEC_OPTIONS).values(), strict=True):
        assert found["v"] == hmac.new(secret, canonical(value), hashlib.sha256).hexdigest()
