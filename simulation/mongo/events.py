"""Change events as bytes, with tokens that are in their order.

A token opens like a real one (the type byte of a timestamp and the cluster time, see ``core.position.token_time``).
One that names a moment without an event (a high-water mark) is before every event of the same cluster time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
from bson.raw_bson import RawBSONDocument

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.position import to_timestamp
from simulation.mongo.history import Event, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping


def high_water_mark(time: int) -> str:
    """The token of the moment before the events of a cluster time."""
    return f"82{time:016X}2B0429296E1404"


def is_high_water_mark(token: str) -> bool:
    """Whether no event belongs to a token."""
    return token[18:24] == "2B0429"


class EventMaker:
    """Makes the events of one cluster time, in order; those of a transaction name it."""

    def __init__(self, database: str, time: int, *, is_transaction: bool = False) -> None:
        self._database = database
        self._time = time
        self._is_transaction = is_transaction
        self._count = 0
        self.events: list[Event] = []

    def document(
        self, operation: str, collection: str, uuid: bytes, document: Stored, *, parts: int = 1, is_poison: bool = False
    ) -> None:
        """An insert, update, replace or delete. In ``parts``, as ``$changeStreamSplitLargeEvent`` sends it."""
        event: dict[str, Any] = {
            "operationType": operation,
            "clusterTime": to_timestamp(self._time),
            "ns": {"db": self._database, "coll": collection},
            "documentKey": RawBSONDocument(document.id_document),
        }
        if self._is_transaction:
            event["txnNumber"] = bson.Int64(1)
        whole = {}
        if operation in ("insert", "replace"):
            whole["fullDocument"] = RawBSONDocument(document.bson)
        if parts == 1:
            self._add({**event, **whole}, uuid, is_poison=is_poison)
            return
        token = self._next_token(uuid)
        rest: list[Mapping[str, Any]] = [event, whole, *({} for _ in range(parts - 2))]
        for number, fields in enumerate(rest, 1):
            split = {"splitEvent": {"fragment": number, "of": parts}, **fields}
            self._append(f"{token}{number:02X}", split)

    def of_catalog(
        self, operation: str, collection: str | None, uuid: bytes, *, ends_stream: bool = False, **fields: object
    ) -> None:
        """A drop, a rename, a create, the end of the database, or of the stream."""
        event: dict[str, Any] = {"operationType": operation, "clusterTime": to_timestamp(self._time)}
        if operation != "invalidate":
            event["ns"] = {"db": self._database, **({} if collection is None else {"coll": collection})}
        self._add({**event, **fields}, uuid, ends_stream=ends_stream)

    def _add(
        self, event: Mapping[str, Any], uuid: bytes, *, ends_stream: bool = False, is_poison: bool = False
    ) -> None:
        self._append(self._next_token(uuid), event, ends_stream=ends_stream, is_poison=is_poison)

    def _append(
        self, token: str, event: Mapping[str, Any], *, ends_stream: bool = False, is_poison: bool = False
    ) -> None:
        document = {"_id": {"_data": token}, **event}
        raw = bson.encode(document, codec_options=CODEC_OPTIONS)
        self.events.append(Event(token, raw, ends_stream=ends_stream, is_poison=is_poison))

    def _next_token(self, uuid: bytes) -> str:
        self._count += 1
        return f"82{self._time:016X}2B042C0100{self._count:06X}296E5A1004{uuid.hex().upper()}04"
