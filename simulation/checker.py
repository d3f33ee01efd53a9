"""The guarantee, asked for after every commit: the tables are MongoDB at the checkpoint's cluster time.

For a collection that is streaming, while the checkpoint does not say that it is converging, this is equality. Otherwise
weaker rules hold: no row was ever invented, what a snapshot has passed is right, and a row whose document is still what
it was has not gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Any

import bson

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.mapping.model import DocumentCollection, tables_of
from replicator_service.core.mapping.resolution import mapping_for
from replicator_service.core.steps import CollectionState
from simulation.expected import Rows, collection_rows, document_rows
from simulation.mongo.ordering import order_key
from simulation.plan import MAPPING
from simulation.postgres.control import CHECKPOINT, COLLECTION, DEAD_LETTER
from simulation.postgres.rows import document_of
from simulation.postgres.server import Row, rows_of
from simulation.world import DATABASE

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.mapping.model import CollectionMapping
    from replicator_service.core.sessions import Checkpoint, Progress, Registered
    from simulation.mongo.history import Catalog, Collection, Documents, Entry
    from simulation.postgres.storage import Relations
    from simulation.world import World

_NOTICE_SECONDS = 20.0
"""Within this a stream that has lost its server is opened again, and sees that the history is another one."""

_NO_DOCUMENTS: Documents = {}


class Violation(Exception):
    """The guarantee does not hold."""


@dataclass(slots=True)
class _Seen:
    """What the commit before held."""

    checkpoint: Checkpoint | None = None
    rows: dict[str, dict[object, Row]] = field(default_factory=dict)
    """By table."""


class Checker:
    """Checks both models after each commit. The first violation is kept, and ends the history."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = _Seen()
        self._ever: dict[str, set[tuple[str, object, str]]] = {}
        """Rows that a collection's documents ever were."""
        self._noted: dict[tuple[str, int], Collection] = {}
        self._damaged: set[str] = set()
        self._passed: dict[str, tuple[object, ...]] = {}
        self._was_converging = False
        self._excused_until = -1.0
        """Until then, a term that has not noticed may mix what it has of one history with reads of another."""
        self._former: list[list[Entry]] = []
        """Histories that MongoDB had before."""
        self.commits = 0
        self.violation: Violation | None = None
        world.postgres.on_commit = self._check

    def commits_lost(self) -> None:
        """PostgreSQL is what it was before, or every row looks new."""
        self._before = _Seen()
        self._passed.clear()

    def history_replaced(self) -> None:
        """MongoDB is about to have another history: commits of the former one may be under way."""
        self._former.append(list(self._world.mongo.log))
        self._excused_until = self._world.scheduler.now + _NOTICE_SECONDS
        self._before = _Seen()
        self._passed.clear()

    def final(self) -> None:
        """The same check once more, at the end: whatever was excused before has to be right now."""
        self._former.clear()
        self._excused_until = -1.0
        self._passed.clear()
        self._before = _Seen()
        self._check()

    def damaged(self, name: str) -> None:
        """Somebody has damaged the tables of a collection."""
        self._damaged.add(name)
        self._before = _Seen()

    def fail(self, what: str) -> None:
        """Keep a violation."""
        if self.violation is None:
            self.violation = Violation(what)
            self._world.trace.say("checker", f"VIOLATION: {what}")

    def unfinished(self, target: int) -> str | None:
        """What keeps the service from being done with everything up to a cluster time."""
        committed = self._world.postgres.storage.committed
        checkpoint: Checkpoint | None = committed.get(CHECKPOINT, {}).get(DATABASE)
        if checkpoint is None or checkpoint.position is None:
            return "there is no checkpoint"
        if checkpoint.position.cluster_time < target:
            return "the position does not move"
        if checkpoint.position.cluster_time > self._world.mongo.latest_time:
            return "the position is ahead of MongoDB"
        if checkpoint.converging_until is not None:
            return "it converges"
        known: dict[Any, Registered] = committed.get(COLLECTION, {})
        for name, each in known.items():
            if each.state is CollectionState.SNAPSHOTTING:
                return f"{name} is snapshotting"
        for name, collection in self._world.mongo.catalog.items():
            if name not in known and collection.documents:
                return f"{name} is not known"
        return None

    def _check(self) -> None:
        self.commits += 1
        if self.violation is not None:
            return
        committed = self._world.postgres.storage.committed
        checkpoint: Checkpoint = committed[CHECKPOINT][DATABASE]
        if checkpoint.position is None:
            self.fail("the position was lost")
            return
        is_converging = (checkpoint.converging_until or 0) > checkpoint.position.cluster_time
        time = checkpoint.position.cluster_time
        self._note_documents()
        catalogs = [self._world.mongo.catalog_at(time), *(_catalog_at(log, time) for log in self._former)]
        violations = []
        for catalog in catalogs:
            try:
                self._check_position(checkpoint)
                self._check_catalog(catalog, committed, is_converging=is_converging)
                break
            except Violation as violation:
                violations.append(violation)
        else:
            if self._world.scheduler.now < self._excused_until:
                self._before = _Seen()
                return
            self.fail(f"at {time >> 32}.{time & 0xFFFFFFFF}: {violations[0]}")
        self._before.checkpoint = checkpoint
        self._was_converging = is_converging

    def _check_catalog(self, catalog: Catalog, committed: Relations, *, is_converging: bool) -> None:
        known: dict[Any, Registered] = committed.get(COLLECTION, {})
        for name, collection in catalog.items():
            if name not in known and collection.documents and not is_converging:
                raise Violation(f"{name} has documents and is not known")
        dead_letters = committed.get(DEAD_LETTER, {})
        for name, each in known.items():
            try:
                self._check_collection(each, catalog.get(name), dead_letters, is_converging=is_converging)
            except Violation as violation:
                raise Violation(f"{violation} ({_told(each)})") from None

    def _check_position(self, checkpoint: Checkpoint) -> None:
        before = self._before.checkpoint
        if before is None or before.position is None or checkpoint.position is None:
            return
        if checkpoint.position.cluster_time < before.position.cluster_time:
            raise Violation("the cluster time went back")
        old, new = str(before.position.resume_token["_data"]), str(checkpoint.position.resume_token["_data"])
        if new < old:
            raise Violation(f"the token went back from {old} to {new}")

    def _check_collection(
        self,
        known: Registered,
        collection: Collection | None,
        dead_letters: dict[object, object],
        *,
        is_converging: bool,
    ) -> None:
        name = known.collection
        committed = self._world.postgres.storage.committed
        mapping = _mapping_of(name, known.table_name)
        tables = _table_names(mapping)
        relations = [committed.get(rows_of(table)) for table in tables]
        documents = collection.documents if collection is not None else _NO_DOCUMENTS
        concerned = (known, documents, dead_letters, *relations)
        passed = self._passed.get(name)
        if passed is not None and all(map(is_, passed, concerned)) and is_converging is self._was_converging:
            return
        rows = {
            (table, key): row
            for table, each in zip(tables, relations, strict=True)
            for key, row in (each or {}).items()
        }
        refused = {key[1] for key in dead_letters if key[0] == name}  # type: ignore[index]  # pairs
        if name in self._damaged:
            # A snapshot that was under way has passed what was damaged; one that begins makes up for it.
            if known.state is CollectionState.SNAPSHOTTING and _is_at_its_beginning(known.progress):
                self._damaged.discard(name)
            return
        expected = collection_rows(mapping, documents)
        if not is_converging:
            own = {place: row for place, row in rows.items() if document_of(place[1]) not in refused}
            self._check_kept(known, mapping, own, expected, refused)
        ever = self._ever.get(name, set())
        for (table, key), row in rows.items():
            if (table, key, row.values) not in ever and document_of(key) not in refused:
                raise Violation(f"{name}: a row that no document ever was: {table} {key!r} {row.values[:100]}")
        exact = self._exact_rows(known, mapping, documents, is_converging=is_converging)
        if exact is not None:
            _compare(
                name,
                exact[0],
                {place: row for place, row in rows.items() if exact[1] is None or document_of(place[1]) in exact[1]},
                refused,
            )
            self._check_dead_letters(known, mapping, documents, refused)
        for table, each in zip(tables, relations, strict=True):
            self._before.rows[table] = each or {}
        self._passed[name] = concerned

    def _exact_rows(
        self, known: Registered, mapping: CollectionMapping, documents: Documents, *, is_converging: bool
    ) -> tuple[Rows, set[str] | None] | None:
        """The rows that have to be there exactly, and the documents concerned when it is not all of them."""
        if is_converging:
            return None
        match known.state:
            case CollectionState.STREAMING:
                return collection_rows(mapping, documents), None
            case CollectionState.DROPPED:
                if documents:
                    raise Violation(f"{known.collection} has documents, and counts as dropped")
                return {}, None
            case CollectionState.SNAPSHOTTING:
                progress = known.progress
                if progress is None:
                    return None
                if self._world.mongo.catalog.get(known.collection) is None:
                    return None
                passed = [each for each in documents.values() if _is_passed(each.key, progress)]
                rows: Rows = {}
                keys = set()
                for each in passed:
                    key, made = document_rows(mapping, each.bson)
                    keys.add(key)
                    rows |= made
                return rows, keys
            case _:
                return None

    def _check_dead_letters(
        self, known: Registered, mapping: CollectionMapping, documents: Documents, refused: set[str]
    ) -> None:
        if known.state is not CollectionState.STREAMING:
            return
        keys = {document_rows(mapping, each.bson)[0] for each in documents.values()}
        stale = refused - keys
        if stale:
            raise Violation(f"{known.collection}: dead letters of documents that do not exist: {sorted(stale)}")

    def _check_kept(
        self,
        known: Registered,
        mapping: CollectionMapping,
        rows: dict[tuple[str, object], Row],
        expected: Rows,
        refused: set[str],
    ) -> None:
        """Rows whose documents are still what they were are still there; chunks and sweeps have not touched them."""
        name = known.collection
        before, after = self._before.checkpoint, self._world.postgres.storage.committed[CHECKPOINT][DATABASE]
        if before is None or before.position is None:
            return
        has_moved = before.position.cluster_time != after.position.cluster_time
        for table in _table_names(mapping):
            for key, old in self._before.rows.get(table, {}).items():
                if expected.get((table, key)) != old.values or document_of(key) in refused:
                    continue
                if rows.get((table, key)) == old:
                    continue
                if has_moved and not self._was_steady(before, after, mapping, (table, key), old.values):
                    continue
                new = rows.get((table, key))
                if new is None:
                    raise Violation(f"{name}: a row has gone whose document is what it was: {table} {key!r}")
                if new.values != old.values and known.state is not CollectionState.PAUSED:
                    raise Violation(f"{name}: a right row became wrong: {table} {key!r}")
                if new.version != old.version and not has_moved:
                    raise Violation(f"{name}: a row was touched that has not changed: {table} {key!r}")

    def _was_steady(
        self, before: Checkpoint, after: Checkpoint, mapping: CollectionMapping, place: tuple[str, Any], values: str
    ) -> bool:
        """Whether the documents gave this row at every cluster time from one checkpoint to the other."""
        if before.position is None or after.position is None:
            return False
        for catalog in self._world.mongo.catalogs_between(before.position.cluster_time, after.position.cluster_time):
            collection = catalog.get(mapping.collection)
            if collection is None or collection_rows(mapping, collection.documents).get(place) != values:
                return False
        return True

    def _note_documents(self) -> None:
        """Remember every version of every document."""
        for entry in self._world.mongo.new_entries():
            for name, collection in entry.catalog.items():
                if (name, id(collection)) in self._noted:
                    continue
                self._noted[name, id(collection)] = collection
                ever, mapping = self._ever.setdefault(name, set()), _first_mapping(name)
                for each in collection.documents.values():
                    made = document_rows(mapping, each.bson)[1]
                    ever |= {(table, key, values) for (table, key), values in made.items()}


def _compare(name: str, expected: Rows, rows: dict[tuple[str, object], Row], refused: set[str]) -> None:
    for (table, key), values in expected.items():
        row = rows.get((table, key))
        if row is None:
            if document_of(key) not in refused:
                raise Violation(f"{name}: a row is missing: {table} {key!r}")
        elif row.values != values and document_of(key) not in refused:
            raise Violation(f"{name}: a row is different: {table} {key!r}: {row.values[:80]} instead of {values[:80]}")
    for table, key in rows:
        if (table, key) not in expected and document_of(key) not in refused:
            raise Violation(f"{name}: a row is unexpected: {table} {key!r}")


def _catalog_at(log: list[Entry], time: int) -> Catalog:
    found: Catalog = {}
    for entry in log:
        if entry.time > time:
            break
        found = entry.catalog
    return found


def _is_at_its_beginning(progress: Progress | None) -> bool:
    """Whether no range has been read, not even one without documents."""
    if progress is None:
        return True
    numbers = {each.number for each in progress.ranges}
    are_all = numbers == set(range(len(numbers))) and any(each.upto is None for each in progress.ranges)
    return are_all and progress.documents == 0 and progress.sweep_place is None


def _is_passed(key: object, progress: Progress) -> bool:
    """Whether a document of this order is in no range that is still to be read."""
    for each in progress.ranges:
        is_behind = each.place is None or _order_of(each.place) < key
        if is_behind and (each.upto is None or key <= _order_of(each.upto)):
            return False
    return True


def _order_of(id_document: bytes) -> Value:
    return order_key(bson.decode(id_document, CODEC_OPTIONS)["_id"])


def _told(known: Registered) -> str:
    progress = known.progress
    if progress is None:
        return known.state.value
    return f"{known.state.value}, {len(progress.ranges)} ranges left, sweep {progress.sweep_place!r}"


@lru_cache(maxsize=1_000)
def _mapping_of(name: str, table: str) -> CollectionMapping:
    mapping = mapping_for(MAPPING, name, ())
    return DocumentCollection(name, table) if isinstance(mapping, DocumentCollection) else mapping


@lru_cache(maxsize=1_000)
def _table_names(mapping: CollectionMapping) -> list[str]:
    return [table.name for table in tables_of(mapping)]


@lru_cache(maxsize=1_000)
def _first_mapping(name: str) -> CollectionMapping:
    return mapping_for(MAPPING, name, ())
