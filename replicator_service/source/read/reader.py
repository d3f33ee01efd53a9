"""Reading documents as they were at one cluster time.

``find`` with ``readConcern: {level: "snapshot", atClusterTime: T}`` outside a transaction (MongoDB 5.0 and later) gives
the state at exactly T. The server keeps that history for ``minSnapshotHistoryWindowInSeconds`` (300 by default), does
not give it across a change of the catalog before 7.0, and never gives it for capped collections. Then the current
majority state can be read instead, and the cursor says so.

A collection that was dropped or renamed after T reads as empty: an absent key proves nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from bson.max_key import MaxKey
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from replicator_service.core.codec.document_id import ExactId, id_bson
from replicator_service.core.codec.elements import elements, id_document
from replicator_service.core.position import to_cluster_time, to_timestamp
from replicator_service.core.replies import CursorReply, Reply, read_cursor
from replicator_service.source.connect.connection import RAW, Client
from replicator_service.source.errors import translate, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymongo.client_session import ClientSession
    from pymongo.database import Database

_MIN_NOT_BEFORE_MAX = 51175


class ReadCursor:
    """The replies of one ``find``, each up to 16 MB, read as they are asked for.

    ``exact`` tells whether they show the cluster time that was asked for. ``read_time`` is the cluster time that the
    replies so far show; while ``exact`` is false it is the time of the latest reply.
    """

    def __init__(
        self,
        database: Database[dict[str, Any]],
        session: ClientSession,
        command: dict[str, Any],
        *,
        at: int | None,
        batch_size: int,
    ) -> None:
        self._database = database
        self._session = session
        self._batch_size = batch_size
        self._collection = command["find"]
        self.exact = at is not None
        concern: dict[str, Any]
        if at is not None:
            concern = {"level": "snapshot", "atClusterTime": to_timestamp(at)}
        else:
            # Without a time, a majority read may show less than the stream has: a new primary learns only after a
            # while what the majority has. And some collections are filled without events (convertToCapped).
            concern = {"level": "majority", "afterClusterTime": self._now()}
        self.read_time = at or 0
        self._latest = self._run({**command, "batchSize": batch_size, "readConcern": concern})

    def __iter__(self) -> Iterator[Reply]:
        """The replies that hold documents, in order."""
        while True:
            cursor = self._latest
            if cursor.has_documents:
                yield Reply(cursor.array)
            if not cursor.cursor_id:
                return
            self._latest = self._run(
                {
                    "getMore": bson.Int64(cursor.cursor_id),
                    "collection": self._collection,
                    "batchSize": self._batch_size,
                }
            )

    def close(self) -> None:
        """Free the server's cursor when not everything was read."""
        if self._latest.cursor_id:
            command = {"killCursors": self._collection, "cursors": [bson.Int64(self._latest.cursor_id)]}
            with translated():
                self._database.command(command, session=self._session)

    def _now(self) -> object:
        with translated():
            return self._database.command({"ping": 1}, session=self._session)["operationTime"]

    def _run(self, command: dict[str, Any]) -> CursorReply:
        with translated():
            reply = self._database.command(command, codec_options=RAW, session=self._session)
        if not self.exact:
            self.read_time = max(self.read_time, to_cluster_time(reply["operationTime"]))
        return read_cursor(reply["cursor"])


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two documents in the order of ``_id``: the BSON of ``{_id: ...}`` of the one before."""

    after: bytes

    @classmethod
    def of(cls, document: bytes) -> Place:
        """The place after this document."""
        return cls(id_document(document))


class Reader:
    """Reads one database at cluster times. Belongs to one thread."""

    def __init__(self, client: Client, database: Database[dict[str, Any]], *, batch_size: int = 5_000) -> None:
        self._database = database
        self._session = client.start_session(causal_consistency=False)
        self._batch_size = batch_size

    def close(self) -> None:
        """End the session."""
        with translated():
            self._session.end_session()

    def by_ids(self, collection: str, ids: Sequence[Any], *, at: int | None) -> ReadCursor:
        """The documents with these ``_id``s, decoded or exact; ``at`` is None for the current majority state.

        Raises :class:`SnapshotUnavailable` when the server cannot read at this time.
        """
        command = {"find": collection, "filter": id_filter(ids)}
        return ReadCursor(self._database, self._session, command, at=at, batch_size=self._batch_size)

    def in_order(self, collection: str, place: Place | None, *, limit: int, at: int | None) -> ReadCursor:
        """Documents in the order of ``_id``, from ``place`` on, of every BSON type.

        ``min`` on the index crosses type brackets, where a comparison would not. It includes the document at
        ``place`` itself (one more is read, the caller skips it) and excludes MaxKey (see :meth:`last_of_all`).
        """
        command: dict[str, Any] = {"find": collection, "hint": {"_id": 1}, "sort": {"_id": 1}, "limit": limit}
        if place is not None:
            command["min"] = RawBSONDocument(place.after)
            command["limit"] = limit + 1
        return ReadCursor(self._database, self._session, command, at=at, batch_size=self._batch_size)

    def last_of_all(self, collection: str, *, at: int | None) -> ReadCursor:
        """The document whose ``_id`` is MaxKey, if there is one: the end of every order."""
        return self.by_ids(collection, [MaxKey()], at=at)

    def largest(self, collection: str) -> Place | None:
        """The place after the document with the largest ``_id`` at present, or None when there is no document."""
        command = {"find": collection, "sort": {"_id": -1}, "limit": 1}
        cursor = ReadCursor(self._database, self._session, command, at=None, batch_size=1)
        places = [Place.of(reply.raw(0)) for reply in cursor]
        return places[0] if places else None

    def has_reached(self, collection: str, place: Place, end: Place) -> bool:
        """Whether ``place`` is at or behind ``end`` in the order of the server's index.

        The server compares: it refuses a ``min`` that does not come before ``max``.
        """
        command = {
            "find": collection,
            "hint": {"_id": 1},
            "min": RawBSONDocument(place.after),
            "max": RawBSONDocument(end.after),
            "limit": 1,
        }
        try:
            self._database.command(command, codec_options=RAW, session=self._session)
        except OperationFailure as error:
            if error.code == _MIN_NOT_BEFORE_MAX:
                return True
            raise translate(error) from error
        except PyMongoError as error:
            raise translate(error) from error
        return False


def id_filter(ids: Sequence[Any]) -> Mapping[str, Any]:
    """``{_id: {$in: [...]}}``, put together from bytes where an ``_id`` is exact."""
    if not any(type(each) is ExactId for each in ids):
        return {"_id": {"$in": list(ids)}}
    items = []
    for each in ids:
        kind, _, value = next(elements(id_bson(each)))
        items.append(bytes([kind]) + b"0\0" + value)
    return RawBSONDocument(_nested(0x03, b"_id", _nested(0x04, b"$in", _document(b"".join(items)))))


def _nested(kind: int, name: bytes, value: bytes) -> bytes:
    return _document(bytes([kind]) + name + b"\0" + value)


def _document(body: bytes) -> bytes:
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"
