"""Whole collections and ranges of them, read as they were at one cluster time, and where to cut a large one.

The order is BSON's own, across all types of ``_id``. Nothing here falls back to another time: what cannot be read at
the time that was asked for raises :class:`SnapshotUnavailable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
import pymongo
from bson.max_key import MaxKey
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from replicator_service.source.connect.connection import RAW, Client
from replicator_service.source.errors import translated
from replicator_service.source.read.reader import ReadCursor, id_filter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from pymongo.database import Database

    from replicator_service.core.replies import Reply

_ANSWER_SECONDS = 3.0
_SAMPLES_A_RANGE = 50
_NAMESPACE_NOT_FOUND = 26


@dataclass(frozen=True, slots=True)
class Range:
    """The documents from ``start`` on and before ``end``; each is the BSON of ``{_id: ...}``, None is open."""

    start: bytes | None = None
    end: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole collection."""
        return self.start is None and self.end is None


@dataclass(frozen=True, slots=True)
class Size:
    """About how large a collection is."""

    documents: int
    size: int


class RangeReader:
    """Reads one database at cluster times. Belongs to one thread at a time."""

    def __init__(self, client: Client, database: Database[dict[str, Any]], *, batch_size: int = 5_000) -> None:
        self._database = database
        self._session = client.start_session(causal_consistency=False)
        self._batch_size = batch_size

    def close(self) -> None:
        """End the session."""
        with translated():
            self._session.end_session()

    def documents(self, collection: str, part: Range, *, at: int) -> Generator[Reply]:
        """The documents of a range, each once; those of a whole collection in the order of storage."""
        command: dict[str, Any] = {"find": collection}
        if not part.is_whole:
            command |= {"hint": {"_id": 1}, "sort": {"_id": 1}}
        if part.start is not None:
            command["min"] = RawBSONDocument(part.start)
        if part.end is not None:
            command["max"] = RawBSONDocument(part.end)
        yield from self._replies(command, at)
        if part.start is not None and part.end is None:
            # An open end does not reach the very last key, see the reader of chunks.
            yield from self.by_ids(collection, [MaxKey()], at=at)

    def keys(self, collection: str, *, at: int) -> Iterator[Reply]:
        """Every ``_id``, from the index alone."""
        return self._replies(
            {"find": collection, "projection": {"_id": 1}, "hint": {"_id": 1}, "sort": {"_id": 1}}, at, 50_000
        )

    def by_ids(self, collection: str, ids: Sequence[Any], *, at: int) -> Iterator[Reply]:
        """The documents with these ``_id``s, decoded or exact."""
        return self._replies({"find": collection, "filter": id_filter(ids)}, at)

    def _replies(self, command: dict[str, Any], at: int, batch_size: int | None = None) -> Iterator[Reply]:
        cursor = ReadCursor(self._database, self._session, command, at=at, batch_size=batch_size or self._batch_size)
        is_done = False
        try:
            yield from cursor
            is_done = True
        finally:
            if not is_done:
                _abandon(cursor)


def _abandon(cursor: ReadCursor) -> None:
    """Free the server's cursor; one that cannot be freed ends by itself."""
    try:
        cursor.close()
    except Exception:  # noqa: BLE001 - something else has failed already, and that is what has to be told
        return


def collection_size(database: Database[dict[str, Any]], collection: str) -> Size:
    """About how many documents a collection has, and their bytes; none when it does not exist."""
    pipeline: list[dict[str, Any]] = [{"$collStats": {"storageStats": {}}}, {"$project": {"storageStats": 1}}]
    with translated():
        try:
            # As commands, since the driver refuses names that the server takes.
            found = database.command({"aggregate": collection, "pipeline": pipeline, "cursor": {}})["cursor"][
                "firstBatch"
            ]
        except OperationFailure as error:
            if error.code != _NAMESPACE_NOT_FOUND:
                raise
            found = []
    statistics = [each.get("storageStats", {}) for each in found]
    return Size(sum(each.get("count", 0) for each in statistics), sum(each.get("size", 0) for each in statistics))


def boundaries(database: Database[dict[str, Any]], collection: str, ranges: int) -> list[bytes]:
    """Where to cut a collection into about equal ranges: at most ``ranges - 1`` distinct places, in order."""
    pipeline: list[dict[str, Any]] = [
        {"$sample": {"size": ranges * _SAMPLES_A_RANGE}},
        {"$project": {"_id": 1}},
        {"$sort": {"_id": 1}},
    ]
    with translated():
        reply: Any = database.command(
            {"aggregate": collection, "pipeline": pipeline, "cursor": {"batchSize": 100_000}, "allowDiskUse": True},
            codec_options=RAW,
        )
        sampled = [bytes(each.raw) for each in reply["cursor"]["firstBatch"]]
    places: list[bytes] = []
    for number in range(1, ranges):
        place = sampled[number * len(sampled) // ranges] if sampled else b""
        if place and place not in places:
            places.append(place)
    return places


def history_seconds(client: Client) -> int | None:
    """For how long the server can read the past, or None when the user may not ask."""
    name = "minSnapshotHistoryWindowInSeconds"
    try:
        with pymongo.timeout(_ANSWER_SECONDS):
            return int(client.admin.command({"getParameter": 1, name: 1})[name])
    except (PyMongoError, KeyError):
        return None


def place_of(document_id: object) -> bytes:
    """The place of an ``_id`` in the order of all."""
    return bson.encode({"_id": document_id})
