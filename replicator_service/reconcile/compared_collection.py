"""One collection as it is compared: its mapping, its tables, its transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.model import (
    CollectionMapping,
    DocumentCollection,
    Mapping,
    TableSpec,
    tables_of,
)
from replicator_service.core.mapping.resolution import mapping_for
from replicator_service.core.transform import Transform, compile_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.sessions import Registered


@dataclass(frozen=True, slots=True)
class ComparedCollection:
    """A collection and what its documents become."""

    collection: str
    mapping: CollectionMapping
    tables: tuple[TableSpec, ...]
    transform: Transform

    def is_written_as(self, known: Registered) -> bool:
        """Whether this is the collection that the sink knows, written under this mapping."""
        return known.collection == self.collection and known.mapping_hash == fingerprint(self.mapping)


def compared_collection(mapping: Mapping, collection: str, known: Sequence[Registered]) -> ComparedCollection:
    """A collection under the mapping file, with the table that it was given."""
    table_names = {each.collection: each.table_name for each in known}
    mapped = mapping_for(mapping, collection, [table for name, table in table_names.items() if name != collection])
    if isinstance(mapped, DocumentCollection) and collection in table_names:
        mapped = mapping.document_collection(collection, table_names[collection])
    return ComparedCollection(collection, mapped, tables_of(mapped), compile_transform(mapped))
