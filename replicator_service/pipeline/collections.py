"""All collections that one stream knows, and which table each of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.resolution import mapped_tables, mapping_for
from replicator_service.core.steps import CollectionState, TableRename
from replicator_service.core.transform import Transform, compile_transform
from replicator_service.pipeline.collection import Collection, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from replicator_service.core.mapping.model import CollectionMapping, Mapping
    from replicator_service.core.sessions import Registered


@dataclass(frozen=True, slots=True)
class Changes:
    """What another mapping means for what is there.

    ``collections`` have to be read again, ``renames`` are tables that have other names now, ``left`` are child tables
    that no collection has any more. ``excluded`` are collections that do not cross any more.
    """

    collections: list[Collection]
    renames: tuple[TableRename, ...]
    left: tuple[str, ...]
    excluded: tuple[Registered, ...] = ()


class Collections:
    """Known collections by name. Belongs to one thread."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._selection = mapping.selection
        self._typed = {each.collection: each for each in mapping.collections}
        self._mapped_tables = mapped_tables(mapping)
        self._tables: dict[str, str] = {}
        """The table that each collection was given: a name is given once and kept."""
        self._known: dict[str, Collection] = {}
        self._snapshotting: dict[str, Collection] = {}

    def __iter__(self) -> Iterator[Collection]:
        return iter(list(self._known.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> Collection:
        return self._known[name]

    def crosses(self, name: str) -> bool:
        """Whether a collection of this name is replicated."""
        return self._selection.crosses(name)

    def get(self, name: str) -> Collection | None:
        """A collection, if it is known."""
        return self._known.get(name)

    def restore(self, registered: Iterable[Registered]) -> Changes:
        """Make known what PostgreSQL remembers and return what the mapping has changed since."""
        known: list[Registered] = []
        excluded: list[Registered] = []
        for each in registered:
            (known if self.crosses(each.collection) else excluded).append(each)
        self._tables = {each.collection: each.table_name for each in known}
        changed, renames, before = [], [], set()
        for each in known:
            collection = self._add(each.collection, each.state)
            collection.uuid = each.uuid
            if collection.snapshot is not None:
                collection.snapshot.progress = each.progress
            if collection.mapping.table != each.table_name:
                renames.append(TableRename(each.collection, each.table_name, collection.tables[0]))
            if fingerprint(collection.mapping) != each.mapping_hash:
                changed.append(collection)
                before |= set(each.tables) - {each.table_name}
        now = {table.name for each in self for table in each.tables} | self._mapped_tables
        return Changes(changed, tuple(renames), tuple(sorted(before - now)), tuple(excluded))

    def add(self, name: str) -> Collection:
        """A collection, made known as one that does not exist when it is not known yet."""
        return self._known.get(name) or self._add(name, CollectionState.DROPPED)

    def remove(self, name: str) -> None:
        """Forget a collection and the name of its table."""
        del self._known[name], self._tables[name]
        self._snapshotting.pop(name, None)

    def mapped(self) -> Iterable[str]:
        """The collections that the mapping file names."""
        return list(self._typed)

    def is_mapped(self, collection: Collection) -> bool:
        """Whether the mapping file names this collection."""
        return collection.name in self._typed

    def transform_of(self, name: str) -> Transform:
        """The compiled transform of a known collection."""
        return self._known[name].transform

    def snapshotting(self) -> list[Collection]:
        """Collections whose snapshot is not complete, in the order in which it was asked for."""
        return list(self._snapshotting.values())

    def _add(self, name: str, state: CollectionState) -> Collection:
        mapping = self._mapping_of(name)
        self._tables[name] = mapping.table
        snapshot = Snapshot() if state is CollectionState.SNAPSHOTTING else None
        collection = Collection(
            name, mapping, compile_transform(mapping), state, snapshot=snapshot, on_enter=self._entered
        )
        self._known[name] = collection
        self._entered(collection)
        return collection

    def _entered(self, collection: Collection) -> None:
        if collection.state is CollectionState.SNAPSHOTTING:
            self._snapshotting[collection.name] = collection
        else:
            self._snapshotting.pop(collection.name, None)

    def _mapping_of(self, name: str) -> CollectionMapping:
        """A document table keeps the name that it was given, unless the mapping has taken it since."""
        typed = self._typed.get(name)
        if typed is not None:
            return typed
        kept = self._tables.get(name)
        if kept is not None and kept not in self._mapped_tables:
            return self._mapping.document_collection(name, kept)
        return mapping_for(self._mapping, name, [table for other, table in self._tables.items() if other != name])
