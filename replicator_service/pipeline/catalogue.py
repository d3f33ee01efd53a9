"""What the planner knows of each collection: its tables, its transform, its state."""

from __future__ import annotations

import threading
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
from replicator_service.core.mapping.resolution import mapped_tables, mapping_for
from replicator_service.core.steps import CollectionState, PrepareTables
from replicator_service.core.transform import Transform, compile_transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True)
class Entry:
    """One collection. ``place`` and ``documents`` say how far its snapshot is."""

    mapping: CollectionMapping
    transform: Transform
    state: CollectionState
    place: bytes | None = None
    documents: int = 0
    expected: int | None = None
    uuid: bytes | None = None
    """The identity of the collection that the snapshot reads, once it was looked up."""
    end: bytes | None = None
    """The place of the largest ``_id`` at that moment: what was inserted beyond it came through the stream."""
    is_capped: bool = False

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """The collection's tables, the parent first."""
        return tables_of(self.mapping)

    def prepare(self, *, may_rebuild: bool = False) -> PrepareTables:
        """The step that makes the tables fit."""
        return PrepareTables(self.mapping, fingerprint(self.mapping), self.state, may_rebuild)


class Catalogue:
    """All collections of one stream, known or mapped."""

    def __init__(self, mapping: Mapping, tables: dict[str, str]) -> None:
        """``tables`` are the names that were given before: collection → table."""
        self._mapping = mapping
        self._tables = dict(tables)
        self._entries: dict[str, Entry] = {}
        self._retiring = threading.Lock()
        self._altered_before = 0
        """What transforms that are not in use any more have counted."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __contains__(self, collection: str) -> bool:
        return collection in self._entries

    def __getitem__(self, collection: str) -> Entry:
        return self._entries[collection]

    def get(self, collection: str) -> Entry | None:
        """The entry of a collection, if it is known."""
        return self._entries.get(collection)

    def add(self, collection: str, state: CollectionState) -> Entry:
        """Make a collection known (or known anew), with the table it had before if it had one."""
        mapped = self._mapping_of(collection)
        self._tables[collection] = mapped.table
        entry = Entry(mapped, compile_transform(mapped), state)
        with self._retiring:
            self._retire(collection)
            self._entries[collection] = entry
        return entry

    def _mapping_of(self, collection: str) -> CollectionMapping:
        """A document table keeps the name that it was given, unless the mapping has taken it since."""
        others = [table for name, table in self._tables.items() if name != collection]
        mapped = mapping_for(self._mapping, collection, others)
        given = self._tables.get(collection)
        if isinstance(mapped, DocumentCollection) and given is not None and given not in mapped_tables(self._mapping):
            return DocumentCollection(collection, given, mapped.keep_bson)
        return mapped

    def remove(self, collection: str) -> None:
        """Forget a collection and the name of its table."""
        with self._retiring:
            self._retire(collection)
            del self._entries[collection], self._tables[collection]

    @property
    def altered(self) -> int:
        """How many values did not fit, ever: never less than before. May be asked by another thread."""
        with self._retiring:
            return self._altered_before + sum(entry.transform.altered for entry in self._entries.values())

    def _retire(self, collection: str) -> None:
        entry = self._entries.get(collection)
        if entry is not None:
            self._altered_before += entry.transform.altered

    def mapped(self) -> Iterable[str]:
        """The collections that the mapping file names."""
        return [each.collection for each in self._mapping.collections]

    def transform_of(self, collection: str) -> Transform:
        """The compiled transform of a known collection."""
        return self._entries[collection].transform

    def snapshotting(self) -> list[str]:
        """Collections whose snapshot is not complete, in order of their name."""
        return sorted(name for name, entry in self._entries.items() if entry.state is CollectionState.SNAPSHOTTING)
