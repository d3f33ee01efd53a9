"""The raw limits of reading: what a drain or a scan costs when nothing is done with the documents.

Both go through the driver's command interface: raw batches that are dropped, or decoded in one call.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from replicator_service.core.position import to_timestamp, token_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.database import Database

    from benchmarks.backlog import Span

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_DECODED: CodecOptions[dict[str, Any]] = CodecOptions()
_EVENTS_AT_ONCE = 4_000
_DOCUMENTS_AT_ONCE = 10_000


def drain(database: Database[Any], span: Span, events: int, *, decoded: bool) -> float:
    """Read a backlog from the change stream and return how many events a second.

    The stream is the service's: of the whole database, with expanded events, without a lookup.
    """
    pipeline: list[dict[str, Any]] = [
        {"$changeStream": {"startAtOperationTime": to_timestamp(span.begin + 1), "showExpandedEvents": True}},
        {"$changeStreamSplitLargeEvent": {}},
    ]
    cursor = _opened(database, {"aggregate": 1, "pipeline": pipeline, "cursor": {"batchSize": 0}})
    reached = 0
    began = time.perf_counter()
    while reached < span.end:
        reply = _next_batch(database, cursor, "$cmd.aggregate", _EVENTS_AT_ONCE, decoded=decoded)
        reached = token_time(reply["postBatchResumeToken"]) or 0
    seconds = time.perf_counter() - began
    database.command({"killCursors": "$cmd.aggregate", "cursors": [bson.Int64(cursor)]})
    return events / seconds


def scan(database: Database[Any], collection: str, documents: int, *, decoded: bool) -> float:
    """Read a whole collection in the order of ``_id`` and return how many documents a second."""
    began = time.perf_counter()
    command = {"find": collection, "hint": {"_id": 1}, "sort": {"_id": 1}, "batchSize": 0}
    cursor = _opened(database, command)
    while cursor:
        cursor = _next_batch(database, cursor, collection, _DOCUMENTS_AT_ONCE, decoded=decoded)["id"]
    return documents / (time.perf_counter() - began)


def _opened(database: Database[Any], command: dict[str, Any]) -> int:
    reply = database.command({**command, "readConcern": {"level": "majority"}})
    return int(reply["cursor"]["id"])


def _next_batch(database: Database[Any], cursor: int, name: str, size: int, *, decoded: bool) -> Mapping[str, Any]:
    """The ``cursor`` of the next reply, whose documents stay bytes unless ``decoded``."""
    command = {"getMore": bson.Int64(cursor), "collection": name, "batchSize": size}
    reply: Mapping[str, Any]
    if decoded:
        reply = database.command(command, codec_options=_DECODED)["cursor"]
    else:
        reply = database.command(command, codec_options=_RAW)["cursor"]
    return reply
