"""Applies operations to MongoDB in batches.

Within a batch the inserts of a collection go first, then its updates in order, then its deletes: the order that each
document needs, in as few commands as possible. Collections do not wait for each other: most of a command's time is
the server making it durable. An insert of a document that exists, or did before it was deleted, is skipped.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from threading import Event
from typing import TYPE_CHECKING, Any, assert_never

from pymongo import DeleteOne, ReplaceOne, UpdateOne
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

from warehouse_jobs.generator.documents import COLLECTIONS
from warehouse_jobs.generator.operations import Delete, Insert, Operation, Replace, Update
from warehouse_jobs.generator.summary import Counts, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bson import ObjectId
    from pymongo.collection import Collection
    from pymongo.database import Database

BATCH = 8_000
"""Operations in a batch: large enough to make commands cheap, small enough to be nothing in memory."""

_DUPLICATE_KEY = 11000
_PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class _Batch:
    """The operations of one collection; of the replacements of a document only the last one counts."""

    inserts: list[Any] = field(default_factory=list)
    witnesses: dict[ObjectId, ObjectId] = field(default_factory=dict)
    updates: list[UpdateOne] = field(default_factory=list)
    replacements: dict[ObjectId, ReplaceOne[dict[str, Any]]] = field(default_factory=dict)
    deletes: list[DeleteOne] = field(default_factory=list)
    size: int = 0


def apply(
    database: Database[dict[str, Any]],
    operations: Iterable[Operation],
    *,
    batch: int = BATCH,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Apply the operations in their order and return what they did.

    ``progress`` is called with the number of operations after each batch, from this thread. While the server works on
    a batch, the next one is produced. A server that goes away is waited for, up to a minute per batch; what was
    written until an error stays, and applying the same operations again completes it. Raises the driver's errors.
    """
    summary = Summary()
    underway: list[Future[Summary]] = []
    with ThreadPoolExecutor(max_workers=len(COLLECTIONS), thread_name_prefix="generator-writer") as writers:
        for portion in chain(_portions(operations, batch), [()]):
            batches = _by_collection(portion)
            done = sum((future.result() for future in underway), start=Summary())
            if underway:
                summary += done
                progress(done.total.operations)
            underway = [writers.submit(_write_surely, database[name], collected) for name, collected in batches.items()]
    return summary


def write_batch(
    database: Database[dict[str, Any]], operations: Sequence[Operation], *, stop: Event | None = None
) -> Summary:
    """Apply one batch in this thread; once ``stop`` is set, a server that is away is not waited for."""
    batches = _by_collection(operations)
    written = (_write_surely(database[name], collected, stop) for name, collected in batches.items())
    return sum(written, start=Summary())


def _write_surely(collection: Collection[dict[str, Any]], batch: _Batch, stop: Event | None = None) -> Summary:
    """Write a batch, again from its beginning whenever the connection breaks: every operation bears it."""
    stop = stop or Event()
    retrying = Retrying(
        retry=retry_if_exception_type(AutoReconnect),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_any(stop_after_delay(_PATIENCE_SECONDS), stop_when_event_set(stop)),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    return Summary({collection.name: retrying(_write, collection, batch)})


def _portions(operations: Iterable[Operation], size: int) -> Iterator[list[Operation]]:
    iterator = iter(operations)
    while portion := list(islice(iterator, size)):
        yield portion


def _by_collection(operations: Sequence[Operation]) -> dict[str, _Batch]:
    batches: dict[str, _Batch] = {}
    for operation in operations:
        batch = batches.get(operation.collection)
        if batch is None:
            batch = batches[operation.collection] = _Batch()
        batch.size += 1
        match operation:
            case Insert(document=document, witness=witness):
                batch.inserts.append(document)
                if witness is not None:
                    batch.witnesses[document["_id"]] = witness
            case Update(key=key, guard=guard, changes=changes):
                batch.updates.append(UpdateOne({"_id": key, **guard}, changes))
            case Replace(document=document, guard=guard):
                key = document["_id"]
                batch.replacements[key] = ReplaceOne({"_id": key, **guard}, dict(document), upsert=True)
            case Delete(key=key):
                batch.deletes.append(DeleteOne({"_id": key}))
            case _:
                assert_never(operation)
    return batches


def _write(collection: Collection[dict[str, Any]], batch: _Batch) -> Counts:
    inserted = updated = deleted = 0
    if inserts := _never_written(collection, batch):
        inserted += _insert(collection, inserts)
    if batch.updates:
        updated += collection.bulk_write(batch.updates, ordered=True).modified_count
    if batch.replacements:
        # One per document, so their order does not matter.
        added, replaced = _replace(collection, list(batch.replacements.values()))
        inserted += added
        updated += replaced
    if batch.deletes:
        deleted += collection.bulk_write(batch.deletes, ordered=False).deleted_count
    return Counts(inserted, updated, deleted, batch.size - inserted - updated - deleted)


def _never_written(collection: Collection[dict[str, Any]], batch: _Batch) -> list[Any]:
    """The inserts without those of documents that have been deleted since an earlier run inserted them."""
    if not batch.witnesses:
        return batch.inserts
    wanted = list(set(batch.witnesses.values()))
    seen = {each["_id"] for each in collection.find({"_id": {"$in": wanted}}, {"_id": 1})}
    if not seen:
        return batch.inserts
    return [each for each in batch.inserts if batch.witnesses.get(each["_id"]) not in seen]


def _insert(collection: Collection[dict[str, Any]], documents: list[Any]) -> int:
    try:
        return len(collection.insert_many(documents, ordered=False).inserted_ids)
    except BulkWriteError as error:
        return int(_tolerated(error)["nInserted"])


def _replace(collection: Collection[dict[str, Any]], replacements: list[ReplaceOne[dict[str, Any]]]) -> tuple[int, int]:
    try:
        result = collection.bulk_write(replacements, ordered=False)
    except BulkWriteError as error:
        details = _tolerated(error)
        return int(details["nUpserted"]), int(details["nModified"])
    return result.upserted_count, result.modified_count


def _tolerated(error: BulkWriteError) -> dict[str, Any]:
    """What a bulk write did all the same, when documents that existed are all that stopped some of it."""
    details: dict[str, Any] = dict(error.details or {})
    failures = details.get("writeErrors", [])
    existing = all(
        failure.get("code") == _DUPLICATE_KEY and failure.get("keyPattern", {"_id": 1}) == {"_id": 1}
        for failure in failures
    )
    if not existing or details.get("writeConcernErrors"):
        raise error
    return details
