"""Which tables a stream has: those of the mapping, and those of collections that it does not name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.model import TableSpec, tables_of
from replicator_service.core.steps import CollectionState
from replicator_service.sink.control.registry import registered

if TYPE_CHECKING:
    from replicator_service.core.mapping.model import CollectionMapping, Mapping
    from replicator_service.sink.connect.connection import Connection


def wanted_tables(connection: Connection, stream: str, mapping: Mapping) -> tuple[list[TableSpec], set[str]]:
    """The tables of every collection that the file names or that the stream has had.

    And the names of those that must exist: their collection is replicated, and its mapping is still the same. Needs
    the control tables.
    """
    mappings: dict[str, CollectionMapping] = {typed.collection: typed for typed in mapping.collections}
    known: set[str] = set()
    for each in registered(connection, stream):
        if not mapping.selection.crosses(each.collection):
            continue
        found = mappings.setdefault(each.collection, mapping.document_collection(each.collection, each.table_name))
        if each.state is not CollectionState.DROPPED and fingerprint(found) == each.mapping_hash:
            known |= {table.name for table in tables_of(found)}
    return [table for found in mappings.values() for table in tables_of(found)], known
