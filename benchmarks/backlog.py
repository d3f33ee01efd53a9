"""A backlog of changes: 70 % inserts, 20 % updates, 10 % deletes of one collection."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from pymongo import DeleteOne, InsertOne, UpdateOne, WriteConcern

from benchmarks.documents import EVENT_LOGS, Document, event_log
from replicator_service.core.position import to_cluster_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bson import ObjectId
    from pymongo.database import Database

_ROUND = 1_000
"""Changes that are written at once: within a round inserts come first, then updates, then deletes."""
_LOADED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Round:
    """What happens at once, with the documents as they are afterwards."""

    inserted: list[Document]
    updated: list[Document]
    deleted: list[ObjectId]

    @property
    def events(self) -> int:
        """How many change events it causes."""
        return len(self.inserted) + len(self.updated) + len(self.deleted)


@dataclass(frozen=True, slots=True)
class Span:
    """The cluster times before the first and after the last change."""

    begin: int
    end: int


def rounds(events: int, existing: int) -> Iterator[Round]:
    """The changes, the same at every call, on a collection that holds the first ``existing`` documents.

    Within a round every key changes once. Documents are ``event_log`` of consecutive numbers.
    """
    random = Random(1)  # noqa: S311 - not a secret
    alive = list(range(existing))
    following = existing
    while events > 0:
        size = min(_ROUND, events)
        events -= size
        updates, deletes = size * 2 // 10, size // 10
        chosen = [_draw(random, alive) for _ in range(updates + deletes)]
        inserted = range(following, following + size - updates - deletes)
        following = inserted.stop
        updated = [_changed(number, following) for number in chosen[:updates]]
        yield Round(
            [event_log(number) for number in inserted],
            updated,
            [event_log(number)["_id"] for number in chosen[updates:]],
        )
        alive += [*inserted, *chosen[:updates]]


def write_rounds(database: Database[Any], events: int, existing: int) -> Span:
    """Apply the rounds to MongoDB."""
    collection = database.get_collection(EVENT_LOGS, write_concern=WriteConcern(1))
    begin = to_cluster_time(database.command("ping")["operationTime"])
    with database.client.start_session() as session:
        for each in rounds(events, existing):
            changes: list[Any] = [InsertOne(document) for document in each.inserted]
            changes += [
                UpdateOne({"_id": d["_id"]}, {"$set": {"details.status": d["details"]["status"]}}) for d in each.updated
            ]
            changes += [DeleteOne({"_id": key}) for key in each.deleted]
            written = collection.bulk_write(changes, ordered=True, session=session)
            assert written.inserted_count + written.modified_count + written.deleted_count == each.events
        end = session.operation_time
    assert end is not None
    settle(database)
    return Span(begin, to_cluster_time(end))


def load(database: Database[Any], collection: str, make: Callable[[int], Document], count: int) -> None:
    """Insert the documents of the first ``count`` numbers."""
    target = database.get_collection(collection, write_concern=WriteConcern(1))
    for start in range(0, count, _LOADED_AT_ONCE):
        target.insert_many([make(n) for n in range(start, min(start + _LOADED_AT_ONCE, count))], ordered=False)
    settle(database)


def settle(database: Database[Any]) -> None:
    """Wait until all that was written is durable, by a write to another database."""
    other = database.client["benchmark_clock"]
    other.get_collection("ticks", write_concern=WriteConcern("majority")).insert_one({})


def _draw(random: Random, alive: list[int]) -> int:
    """Take one number out of the list, in constant time."""
    position = random.randrange(len(alive))
    alive[position], alive[-1] = alive[-1], alive[position]
    return alive.pop()


def _changed(number: int, version: int) -> Document:
    document = event_log(number)
    document["details"]["status"] = f"changed-{version}"
    return document
