"""Rows as they are said to be printed, and as PostgreSQL prints them: the same bytes, or nothing is said."""

from __future__ import annotations

import struct
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from replicator_service.core.events import Change, Operation
from replicator_service.core.mapping.model import (
    ChildTable,
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
    TypedCollection,
    tables_of,
)
from replicator_service.core.replies import Reply
from replicator_service.core.transform.printed import Printing
from replicator_service.core.transform.program import program_of
from replicator_service.sink.reconcile.comparison import Comparison
from tests.property.test_codec_transform_properties import stored
from tests.property.test_compiled_properties import common
from tests.support import bson_bytes
from tests.support.bson_corpus import corpus
from tests.support.bson_mappings import MAPPINGS
from tests.support.compiled import array_of, native_or_skip
from tests.support.examples import examples
from tests.support.row_tables import SCHEMA, TIME, RowTables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.databases import Sink

CORPUS = list(corpus())
TEXTS = [
    b"",
    b"NULL",
    b"null",
    b"a b",
    b'"',
    b"\\",
    b"\\N",
    b"{}",
    b",",
    b"a\tb\nc\rd",
    b"\xc3\xa9",
    b"\x01\x7f",
    b"%s",
]
DOUBLES = [
    *(0.0, -0.0, 1.0, -1.5, 0.1, 1e-4, 9.9e-5, 5e-324),
    *(1e14, 1e15, 123456789012345.0, 1234567890123456.0, 1e22, 1.7e308),
]


def said_and_printed(mapping: CollectionMapping, raws: Sequence[bytes], sink: Sink) -> tuple[int, int]:
    """Write documents, compare what is said and what is printed and return of how many anything is said, and of all."""
    native = native_or_skip()
    array = array_of(raws)
    reply, scan = Reply(array), native.scan(array, of_events=False)
    printing = Printing(mapping, native.program(program_of(mapping), is_printed=True))
    keys, lines, left = printing.lines_of(scan)
    said = [ordinal for ordinal in range(scan.count) if ordinal not in left]
    by_key = dict(zip(keys, said, strict=True))
    if len(by_key) < len(keys):
        # A row can be there only once.
        return said_and_printed(mapping, [raws[ordinal] for ordinal in by_key.values()], sink)
    tables = RowTables(sink, [mapping])
    with closing(tables.connection):
        tables.connection.execute(f"drop schema if exists {SCHEMA} cascade".encode())
        tables.make()
        tables.write(
            *(Change(mapping.collection, key, Operation.READ, TIME, reply, each, None) for key, each in by_key.items())
        )
        comparison = Comparison(tables.connection, SCHEMA, tables_of(mapping), deep=True)
        with tables.connection.transaction():
            printed = comparison.printed(keys)
    assert [sorted(text.split(b"\n")) for text in printed] == [sorted(each.text().split(b"\n")) for each in lines]
    return len(said), scan.count


def typed(column_type: ColumnType) -> TypedCollection:
    """A column, an array's elements and a column of them of one type."""
    columns = (MappedColumn("v", ("v",), column_type),)
    element = (MappedColumn("c", ("v",), column_type), MappedColumn("p", ("v",), column_type, from_parent=True))
    return TypedCollection("C", "parent", columns, (ChildTable("child", ("l",), element),))


def is_printable(value: bytes) -> bool:
    """COPY prints these as letters, which is not said of texts outside of arrays."""
    return not {8, 11, 12} & set(value)


@pytest.mark.parametrize("column_type", [*ColumnType, None])
def test_every_value_is_printed_as_is_said(sink: Sink, column_type: ColumnType | None) -> None:
    mapping = DocumentCollection("C", "parent", KeepBson.ALWAYS) if column_type is None else typed(column_type)
    values = [(kind, value) for _, kind, value in CORPUS if len(value) < 300]
    values += [(0x02, bson_bytes.string(each)) for each in TEXTS]
    values += [(0x01, struct.pack("<d", each)) for each in DOUBLES]
    raws = []
    for number, (kind, value) in enumerate(values):
        if kind == 0x02 and not is_printable(value[4:-1]):
            continue
        of_value = bson_bytes.element(kind, "v", value)
        items = bson_bytes.array("v", bson_bytes.element(kind, "0", value), bson_bytes.element(kind, "1", value))
        children = bson_bytes.array("l", bson_bytes.embedded("0", of_value), bson_bytes.embedded("1", items))
        raws.append(bson_bytes.document(bson_bytes.integer("_id", 2 * number), of_value, children))
        raws.append(bson_bytes.document(bson_bytes.integer("_id", 2 * number + 1), items, children))
    said, documents = said_and_printed(mapping, raws, sink)
    assert said > documents // 4


@given(MAPPINGS, st.lists(stored() | common(), min_size=1, max_size=5))
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_is_printed_as_is_said(sink: Sink, mapping: CollectionMapping, raws: list[bytes]) -> None:
    # What COPY prints as letters is not said of texts.
    said_and_printed(mapping, [raw for raw in raws if is_printable(raw[4:])], sink)
