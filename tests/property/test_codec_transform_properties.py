"""The compiled transform against an interpreted one, on any documents and any mappings."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import bson
import pytest
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core.errors import RecordRejected
from replicator_service.core.mapping.model import CollectionMapping, TypedCollection, tables_of
from replicator_service.core.schema_findings import FindingKind, path_text
from replicator_service.core.transform import compile_transform
from tests.support import bson_bytes
from tests.support.bson_mappings import MAPPINGS, TYPED
from tests.support.bson_values import DOCUMENTS, LEAVES, NAMES, OBJECT_IDS, SCALARS, TEXT
from tests.support.examples import examples
from tests.support.transforms import Reference, Row, rows_of, write

IDS = OBJECT_IDS | TEXT | LEAVES | st.just("k" * 2000)


@st.composite
def stored(draw: st.DrawFn) -> bytes:
    """A document as MongoDB stores it, sometimes with what no driver writes."""
    fields = {"_id": draw(IDS), **draw(DOCUMENTS)}
    raw = bson.encode(fields)
    odd = draw(
        st.sampled_from(
            [
                b"",
                b"",
                b"",
                bson_bytes.undefined("a"),
                bson_bytes.symbol("b", b"s\0"),
                bson_bytes.text("A", b"\xff"),
                bson_bytes.embedded("a", bson_bytes.symbol("b", b"s"), bson_bytes.integer("b", 1)),
                bson_bytes.array("b", bson_bytes.embedded("0", bson_bytes.text("a", b"x\xff"))),
            ]
        )
    )
    return bson_bytes.document(raw[4:-1], odd)


def _comparable(tables: list[list[Row]]) -> list[list[list[Any]]]:
    """Rows with ``_extra`` (or ``doc``) read as JSON: its fields have no order."""
    return [[[*row[:-3], row[-3] and json.loads(row[-3]), *row[-2:]] for row in rows] for rows in tables]


@given(MAPPINGS, stored())
@examples(250)
def test_compiled_rows_equal_interpreted_rows(mapping: CollectionMapping, raw: bytes) -> None:
    assert _comparable(rows_of(mapping, raw)) == _comparable(Reference(mapping).rows(raw))


@given(TYPED, st.lists(stored(), max_size=4))
@examples(250)
def test_what_is_left_over_is_counted_by_path_and_kind(mapping: TypedCollection, raws: list[bytes]) -> None:
    transform, reference = compile_transform(mapping), Reference(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    for raw in raws:
        write(transform, raw, lines)
        reference.rows(raw)
    expected: Counter[tuple[FindingKind, str]] = Counter()
    for (kind, path), count in reference.found.items():
        expected[kind, path_text(path)] += count
    assert {(found.kind, found.path): found.count for found in transform.take_findings()} == expected
    assert transform.take_findings() == ()


@given(TYPED, st.lists(stored(), max_size=5))
@examples(50)
def test_rows_do_not_depend_on_the_documents_before(mapping: TypedCollection, raws: list[bytes]) -> None:
    transform = compile_transform(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    for raw in raws:
        write(transform, raw, lines)
    alone: list[list[str]] = [[] for _ in transform.tables]
    for raw in raws:
        write(compile_transform(mapping), raw, alone)
    assert lines == alone
    assert all(
        line.count("\t") == len(table.columns) - 1
        for table, written in zip(tables_of(mapping), lines, strict=True)
        for line in written
    )


@given(TYPED, st.dictionaries(NAMES, SCALARS, max_size=4), st.sampled_from(["a", "b", "A"]))
@examples(50)
def test_a_document_that_fails_leaves_nothing_behind(
    mapping: TypedCollection, fields: dict[str, Any], name: str
) -> None:
    transform = compile_transform(mapping)
    lines: list[list[str]] = [["kept"] for _ in transform.tables]
    # A complex number can be neither a cell nor JSON; it stands for every value that nobody thought of.
    document = {**fields, "_id": ObjectId(), name: [{"a": 1}, 1j]}
    with pytest.raises(RecordRejected):
        transform.write(document, lambda: bson.encode(fields), "now", lines)
    assert lines == [["kept"] for _ in transform.tables]
    assert transform.altered == 0
    assert transform.take_findings() == ()
