"""Which mapping holds for a collection: its own in the file, or a document table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import CollectionMapping, Mapping, tables_of
from replicator_service.core.naming import resolve_table_name

if TYPE_CHECKING:
    from collections.abc import Collection


def mapping_for(mapping: Mapping, collection: str, taken_tables: Collection[str]) -> CollectionMapping:
    """Return the mapping of one collection.

    A collection that the file names has the tables that the file says, whatever is taken. Any other becomes a
    document table whose name is neither in ``taken_tables`` (those of the other collections) nor in the file.
    The answer depends on ``taken_tables``, so the caller remembers the table of a collection once it exists.
    """
    for typed in mapping.collections:
        if typed.collection == collection:
            return typed
    taken = mapped_tables(mapping) | frozenset(taken_tables)
    return mapping.document_collection(collection, resolve_table_name(collection, taken))


def mapped_tables(mapping: Mapping) -> frozenset[str]:
    """Name every table that the file fills, child tables included."""
    return frozenset(spec.name for typed in mapping.collections for spec in tables_of(typed))
