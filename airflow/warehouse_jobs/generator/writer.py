"""Applies operations to MongoDB in batches, and counts from the server's answers what they did.

Within a batch the inserts of a collection go first, then its updates in order, then its deletes: the order that each
document needs, in as few commands as possible. Collections do not wait for each other: most of a command's time is
the server making it durable. An insert of a document that exists, or did before it was deleted, is skipped.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from itertools import chain, islice
from operator import add
from threading import Event
from typing import TYPE_CHECKING, Any, assert_never

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

from warehouse_jobs.generator.operations import Delete, Insert, Operation, Replace, Update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bson import ObjectId
    from pymongo.collection import Collection
    from pymongo.database import Database

# Large enough to make commands cheap, small enough to be nothing in memory.
_BATCH = 8_000
_COLLECTIONS = 7
_DUPLICATE_KEY = 11000
_RECONNECT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Documents of one collection that were inserted, changed or removed, and operations that changed nothing."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, astuple(self), astuple(other)))

    @property
    def operations(self) -> int:
        """All operations, with and without effect."""
        return self.effective + self.unchanged

    @property
    def effective(self) -> int:
        """The operations that changed something."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts per collection, in order of the collections' names."""

    collections: dict[str, Counts] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """The counts of all collections together."""
        return sum(self.collections.values(), start=Counts())

    def __add__(self, other: Summary) -> Summary:
        names = sorted({*self.collections, *other.collections})
        none = Counts()
        return Summary({name: self.collections.get(name, none) + other.collections.get(name, none) for name in names})

    def rows(self) -> list[tuple[str, int, int, int, int]]:
        """Return a row of counts for each collection and for the total, to be shown to people."""
        counted = [*self.collections.items(), ("total", self.total)]
        return [(name, each.inserted, each.updated, each.deleted, each.unchanged) for name, each in counted]


@dataclass(slots=True)
class _Batch:
    """The operations of one collection; of the replacements of a document only the last one counts."""

    inserts: list[tuple[ObjectId | None, InsertOne[dict[str, Any]]]] = field(default_factory=list)
    updates: list[UpdateOne] = field(default_factory=list)
    replacements: dict[ObjectId, ReplaceOne[dict[str, Any]]] = field(default_factory=dict)
    deletes: list[DeleteOne] = field(default_factory=list)
    size: int = 0

    def add(self, operation: Operation) -> None:
        """Put an operation where it belongs."""
        self.size += 1
        match operation:
            case Insert(document=document, witness=witness):
                self.inserts.append((witness, InsertOne(document)))
            case Update(key=key, guard=guard, changes=changes):
                self.updates.append(UpdateOne({"_id": key, **guard}, changes))
            case Replace(key=key, document=document, guard=guard):
                self.replacements[key] = ReplaceOne({"_id": key, **guard}, document, upsert=True)
            case Delete(key=key):
                self.deletes.append(DeleteOne({"_id": key}))
            case _:
                assert_never(operation)


def apply(
    database: Database[dict[str, Any]],
    operations: Iterable[Operation],
    *,
    batch: int = _BATCH,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Apply the operations in their order and return what they did.

    ``progress`` is called with the number of operations after each batch, from this thread. While the server works on
    a batch, the next one is produced. A server that goes away is waited for, up to a minute per batch; what was
    written until an error stays, and applying the same operations again completes it. Raises the driver's errors.
    """
    summary = Summary()
    underway: list[Future[Summary]] = []
    remaining = iter(operations)
    portions = iter(lambda: list(islice(remaining, batch)), [])
    with ThreadPoolExecutor(max_workers=_COLLECTIONS, thread_name_prefix="generator-writer") as writers:
        for portion in chain(portions, [[]]):
            batches = _by_collection(portion)
            done = sum((future.result() for future in underway), start=Summary())
            if underway:
                summary += done
                progress(done.total.operations)
            underway = [writers.submit(_write_surely, database[name], each) for name, each in batches.items()]
    return summary


def write_batch(database: Database[dict[str, Any]], operations: Sequence[Operation], stop: Event) -> Summary:
    """Apply one batch in this thread; once ``stop`` is set, a server that is away is not waited for."""
    written = (_write_surely(database[name], each, stop) for name, each in _by_collection(operations).items())
    return sum(written, start=Summary())


def _by_collection(operations: Sequence[Operation]) -> dict[str, _Batch]:
    batches: defaultdict[str, _Batch] = defaultdict(_Batch)
    for operation in operations:
        batches[operation.collection].add(operation)
    return batches


def _write_surely(collection: Collection[dict[str, Any]], batch: _Batch, stop: Event | None = None) -> Summary:
    """Write a batch, again from its beginning whenever the connection breaks: every operation bears it."""
    stop = stop or Event()
    retrying = Retrying(
        retry=retry_if_exception_type(AutoReconnect),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_any(stop_after_delay(_RECONNECT_SECONDS), stop_when_event_set(stop)),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    return Summary({collection.name: retrying(_write, collection, batch)})


def _write(collection: Collection[dict[str, Any]], batch: _Batch) -> Counts:
    # One replacement per document, so their order does not matter.
    steps: tuple[tuple[Sequence[Any], bool], ...] = (
        ([*_never_written(collection, batch), *batch.replacements.values()], False),
        (batch.updates, True),
        (batch.deletes, False),
    )
    answers = [_bulk(collection, requests, ordered) for requests, ordered in steps if requests]
    inserted, updated, deleted = (
        sum(answer[name] for answer in answers for name in names)
        for names in (("nInserted", "nUpserted"), ("nModified",), ("nRemoved",))
    )
    return Counts(inserted, updated, deleted, batch.size - inserted - updated - deleted)


def _never_written(collection: Collection[dict[str, Any]], batch: _Batch) -> list[InsertOne[dict[str, Any]]]:
    """Return the inserts but for those of documents that were deleted since an earlier run had inserted them."""
    wanted = {witness for witness, _ in batch.inserts if witness is not None}
    seen = {each["_id"] for each in collection.find({"_id": {"$in": list(wanted)}}, {"_id": 1})} if wanted else set()
    return [insert for witness, insert in batch.inserts if witness not in seen]


def _bulk(collection: Collection[dict[str, Any]], requests: Sequence[Any], ordered: bool) -> dict[str, Any]:  # noqa: FBT001 - as in the table of steps
    """Return the server's counts, also when documents that existed are all that stopped some of the requests."""
    try:
        return collection.bulk_write(requests, ordered=ordered).bulk_api_result
    except BulkWriteError as error:
        details: dict[str, Any] = dict(error.details or {})
        for failure in details.get("writeErrors", []):
            if failure.get("code") != _DUPLICATE_KEY or failure.get("keyPattern", {"_id": 1}) != {"_id": 1}:
                raise
        if details.get("writeConcernErrors"):
            raise
        return details
