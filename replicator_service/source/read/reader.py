"""The reads of :class:`MongoSource` under the names that the pipeline still uses; they go with their last user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from replicator_service.core.codec.elements import id_document
from replicator_service.source.connect.connection import RAW, Client, ServerFacts
from replicator_service.source.errors import translated
from replicator_service.source.read.cursor import ReadCursor
from replicator_service.source.read.mongo import MongoSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymongo.database import Database

__all__ = ["Place", "ReadCursor", "Reader"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two documents in the order of ``_id``: the BSON of ``{_id: ...}`` of the one before."""

    after: bytes

    @classmethod
    def of(cls, document: bytes) -> Place:
        """The place after this document."""
        return cls(id_document(document))


class Reader:
    """See :class:`MongoSource`."""

    def __init__(self, client: Client, database: Database[dict[str, Any]], *, batch_size: int = 5_000) -> None:
        self._database = database
        self._source = MongoSource(client, database, ServerFacts((0,)), batch_size=batch_size)

    def close(self) -> None:
        """End the session."""
        self._source.close()

    def by_ids(self, collection: str, ids: Sequence[Any], *, at: int | None) -> ReadCursor:
        """See :meth:`MongoSource.by_ids`."""
        return self._source.by_ids(collection, ids, at=at)

    def in_order(self, collection: str, place: Place | None, *, limit: int, at: int | None) -> ReadCursor:
        """See :meth:`MongoSource.in_order`."""
        return self._source.in_order(collection, None if place is None else place.after, limit=limit, at=at)

    def last_of_all(self, collection: str, *, at: int | None) -> ReadCursor:
        """Nothing: the order reaches its end by itself."""
        return self._source.by_ids(collection, [], at=at)

    def largest(self, collection: str) -> Place | None:
        """The place after the document with the largest ``_id`` at present, or None when there is no document."""
        last = self._source.last_id(collection, at=None)
        return None if last is None else Place(last)

    def has_reached(self, collection: str, place: Place, end: Place) -> bool:
        """Whether ``place`` is at or behind ``end`` in the order of the server's index, which compares."""
        command = {
            "find": collection,
            "hint": {"_id": 1},
            "min": RawBSONDocument(place.after),
            "max": RawBSONDocument(end.after),
            "limit": 1,
        }
        with translated():
            try:
                self._database.command(command, codec_options=RAW)
            except OperationFailure as error:
                if error.code not in (51175, 6137401):
                    raise
                return True
        return False
