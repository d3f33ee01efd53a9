"""Generated collections whose documents resemble each other, and shortcuts from documents to a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
from bson.objectid import ObjectId
from hypothesis import strategies as st

from replicator_service.core.mapping.inference import Origin, Proposal, Sampled, fold, propose, render_file
from tests.support import bson_bytes, bson_values

if TYPE_CHECKING:
    from collections.abc import Iterable

ORIGIN = Origin("replicator mapping infer", "shop")

_FEW_NAMES = st.sampled_from(
    ["a", "b", "Ab", "ab", "a.b", "", "$x", "_id", "xmin", "_extra", "yes", "é", "x" * 70, "x" * 300, "user_idx", "1"]
)
_KINDS_OF_LEAVES = [
    bson_values.TEXT,
    bson_values.INT32,
    bson_values.INT64,
    bson_values.DOUBLES,
    st.integers(-100, 100).map(float),
    bson_values.DECIMALS,
    bson_values.DATES,
    bson_values.FAR_DATES,
    bson_values.BINARIES,
    bson_values.UUIDS,
    bson_values.OBJECT_IDS,
    st.uuids().map(str),
    st.booleans(),
    bson_values.LEAVES,
]
_ODD = [
    b"",
    bson_bytes.undefined("a"),
    bson_bytes.symbol("b", b"s"),
    bson_bytes.embedded("a", bson_bytes.symbol("b", b"s"), bson_bytes.integer("b", 1)),
    bson_bytes.embedded("a", bson_bytes.text("$ref", b"c"), bson_bytes.integer("$id", 1)),
]


def documents_as_bson(documents: Iterable[dict[str, Any]]) -> list[bytes]:
    """Encode documents, each with an ``_id``."""
    return [bson.encode({"_id": ObjectId(), **document}) for document in documents]


def proposal_of(*documents: dict[str, Any], collection: str = "Things") -> Proposal:
    """Propose tables for one collection of these documents."""
    raws = documents_as_bson(documents)
    return propose([Sampled(collection, len(raws), fold(raws))])


def file_of(proposal: Proposal) -> str:
    """Render a proposal."""
    return render_file(proposal, ORIGIN)


@st.composite
def collections(draw: st.DrawFn) -> list[bytes]:
    """Documents of one collection as BSON: few names, few kinds of values, now and then what no driver writes.

    No string holds U+0000, which no column can keep.
    """
    leaves = st.one_of(draw(st.lists(st.sampled_from(_KINDS_OF_LEAVES), min_size=1, max_size=3)))
    values = st.recursive(
        leaves | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FEW_NAMES, inner, max_size=3),
        max_leaves=6,
    )
    alike = st.dictionaries(_FEW_NAMES, values, max_size=5)
    documents = draw(st.lists(alike | bson_values.DOCUMENTS, min_size=1, max_size=6))
    return [_stored(document, draw(st.sampled_from(_ODD))) for document in documents]


def _stored(document: dict[str, Any], odd: bytes) -> bytes:
    raw = bson.encode({**_without_nul(document), "_id": ObjectId()})
    return bson_bytes.document(raw[4:-1], odd)


def _without_nul(value: Any) -> Any:
    if type(value) is str:
        return value.replace("\0", "0")
    if isinstance(value, dict):
        return {name: _without_nul(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nul(inner) for inner in value]
    if isinstance(value, bson.Code):
        return bson.Code(str(value).replace("\0", "0"), value.scope)
    if isinstance(value, bson.DBRef):
        return bson.DBRef(value.collection.replace("\0", "0"), value.id, value.database)
    return value
