"""A replica set that clients write to: every write is an entry of its log, with the events that tell of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from replicator_service.core.ports import CollectionKind
from replicator_service.core.temporary_names import is_temporary
from simulation.mongo.events import EventMaker
from simulation.mongo.history import Catalog, Collection, id_of, stored
from simulation.mongo.replication import ReplicatedLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simulation.mongo.history import Event
    from simulation.mongo.ordering import OrderKey


@dataclass(frozen=True, slots=True)
class Write:
    """One document's change. ``document`` is None for a delete; ``parts``: its event is over 16 MB."""

    operation: str
    collection: str
    identity: Any
    document: Mapping[str, Any] | None = None
    parts: int = 1
    is_poison: bool = False


class ReplicaSet(ReplicatedLog):
    """One MongoDB deployment. Its methods that write happen at once; nobody sees a half of them."""

    def write(self, writes: Sequence[Write], *, is_transaction: bool = False) -> None:
        """Change documents at one cluster time; a collection that does not exist is created first."""
        catalog = dict(self.catalog)
        for name in dict.fromkeys(each.collection for each in writes):
            if name not in catalog and any(each.collection == name and each.document is not None for each in writes):
                self.create(name)
                catalog = dict(self.catalog)
        time = self.next_time()
        maker = EventMaker(self.database, time, is_transaction=is_transaction)
        told = []
        for each in writes:
            done = self._apply(catalog, maker, each)
            told += [done] if done else []
        if told:
            name = "transaction: " if is_transaction else ""
            self.add(catalog, maker.events, told=name + "; ".join(told), time=time)

    def create(self, name: str, kind: CollectionKind = CollectionKind.ORDINARY) -> None:
        """Make an empty collection."""
        if name in self.catalog:
            return
        time = self.next_time()
        collection = Collection(self.new_uuid(), kind, time)
        self.add(
            {**self.catalog, name: collection}, self._created(name, collection, time), time=time, told=f"create {name}"
        )

    def drop(self, name: str) -> None:
        """Drop a collection."""
        if name in self.catalog:
            time = self.next_time()
            catalog = dict(self.catalog)
            maker = EventMaker(self.database, time)
            maker.of_catalog("drop", name, catalog.pop(name).uuid)
            self.add(catalog, maker.events, time=time, told=f"drop {name}")

    def rename(self, name: str, target: str, *, drop_target: bool = True) -> None:
        """Rename a collection, over another one if there is one."""
        if name not in self.catalog or name == target or (target in self.catalog and not drop_target):
            return
        time = self.next_time()
        catalog = dict(self.catalog)
        moved = replace(catalog.pop(name), changed_at=time)
        maker = EventMaker(self.database, time)
        maker.of_catalog("rename", name, moved.uuid, to={"db": self.database, "coll": target})
        catalog[target] = moved
        self.add(catalog, maker.events, time=time, told=f"rename {name} to {target}")

    def move_away(self, name: str) -> None:
        """Rename a collection into another database."""
        if name in self.catalog:
            time = self.next_time()
            catalog = dict(self.catalog)
            maker = EventMaker(self.database, time)
            maker.of_catalog("drop", name, catalog.pop(name).uuid)
            self.add(catalog, maker.events, time=time, told=f"move {name} to another database")

    def build_index(self, name: str) -> None:
        """Change a collection's indexes: its past stays readable."""
        if name in self.catalog:
            time = self.next_time()
            maker = EventMaker(self.database, time)
            if self.abilities.expanded_events:
                maker.of_catalog("createIndexes", name, self.catalog[name].uuid)
            self.add(self.catalog, maker.events, time=time, told=f"index on {name}")

    def drop_database(self) -> None:
        """Drop every collection, and end the stream."""
        for name in sorted(self.catalog):
            self.drop(name)
        time = self.next_time()
        maker = EventMaker(self.database, time)
        maker.of_catalog("dropDatabase", None, b"\0" * 16)
        maker.of_catalog("invalidate", None, b"\0" * 16, ends_stream=True)
        self.add({}, maker.events, time=time, told="drop the database")

    def fill_temporary(self, target: str, documents: Iterable[Mapping[str, Any]] | None) -> None:
        """Replace a collection by a temporary one, as ``$out`` does with these documents.

        None: those that it has, which come without events, as with ``convertToCapped``.
        """
        if documents is not None:
            temporary = "tmp.agg_out.5f0"
            self.create(temporary)
            for each in documents:
                self.write([Write("insert", temporary, each["_id"], each)])
        elif target in self.catalog:
            temporary = f"tmp5q8Zy.convertToCapped.{target}"
            self.create(temporary, CollectionKind.CAPPED)
            filled = replace(self.catalog[temporary], documents=self.catalog[target].documents)
            self.add({**self.catalog, temporary: filled}, told=f"copy {target} without events")
        else:
            return
        self.rename(temporary, target)

    def fail_over(self, known: int) -> None:
        """The same; what the server made for a moment does not outlive its primary."""
        super().fail_over(known)
        self._drop_temporary()

    def go_back(self, entries: int) -> None:
        """The same."""
        super().go_back(entries)
        self._drop_temporary()
        self.replicate()

    def _drop_temporary(self) -> None:
        """What the server made for a moment does not outlive a primary."""
        for name in filter(is_temporary, list(self.catalog)):
            self.drop(name)

    def _apply(self, catalog: Catalog, maker: EventMaker, each: Write) -> str:
        collection = catalog.get(each.collection)
        if collection is None:
            return ""
        written = stored(each.document if each.document is not None else {"_id": each.identity})
        exists = written.key in collection.documents
        operation = each.operation
        if operation == "insert" and exists:
            operation = "replace"
        elif operation in ("update", "replace") and not exists:
            operation = "insert"
        if (operation == "delete" and not exists) or (
            operation in ("update", "replace") and collection.documents[written.key].bson == written.bson
        ):
            return ""
        documents: dict[OrderKey, Any] = dict(collection.documents)
        if operation == "delete":
            written = documents.pop(written.key)
        else:
            kept = documents.get(written.key)
            if kept is not None and operation == "update":
                # An update leaves the _id as it is; a replacement by 1.0 makes 1.0 of 1.
                written = stored({**(each.document or {}), "_id": id_of(kept.id_document)})
            documents[written.key] = written
        catalog[each.collection] = replace(collection, documents=documents)
        maker.document(operation, each.collection, collection.uuid, written, parts=each.parts, is_poison=each.is_poison)
        return f"{operation} {each.collection} {each.identity!r}" + (
            "" if each.document is None else f" {each.document}"
        )

    def _created(self, name: str, collection: Collection, time: int) -> Sequence[Event]:
        if not self.abilities.expanded_events:
            return ()
        maker = EventMaker(self.database, time)
        options = {"capped": True} if collection.kind is CollectionKind.CAPPED else {}
        maker.of_catalog("create", name, collection.uuid, operationDescription=options)
        return maker.events
