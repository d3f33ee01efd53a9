"""Hypothesis strategies for mappings of the fields that :mod:`tests.support.bson_values` likes to make."""

from __future__ import annotations

from hypothesis import strategies as st

from replicator_service.core.mapping.model import (
    ChildTable,
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
    TypedCollection,
)

_NAMES = ["", "a", "b", "a.b", "$gt", "A", "_id", "x" * 70, "é", 'quote"']
_PATHS = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map(tuple)
_TYPES = st.sampled_from(ColumnType)
_KEEP = st.sampled_from(KeepBson)


def _columns(*, in_child: bool) -> st.SearchStrategy[tuple[MappedColumn, ...]]:
    from_parent = st.booleans() if in_child else st.just(value=False)
    fields = st.lists(st.tuples(_PATHS, _TYPES, from_parent), max_size=5)
    return fields.map(lambda found: tuple(MappedColumn(f"c{number}", *column) for number, column in enumerate(found)))


_CHILDREN = st.lists(st.tuples(_PATHS, _columns(in_child=True)), max_size=2).map(
    lambda found: tuple(ChildTable(f"child{number}", *child) for number, child in enumerate(found))
)
TYPED: st.SearchStrategy[TypedCollection] = st.builds(
    lambda columns, children, keep: TypedCollection("C", "parent", columns, children, (), keep),
    _columns(in_child=False),
    _CHILDREN,
    _KEEP,
)
MAPPINGS: st.SearchStrategy[CollectionMapping] = TYPED | st.builds(
    DocumentCollection, st.just("C"), st.just("parent"), _KEEP
)
