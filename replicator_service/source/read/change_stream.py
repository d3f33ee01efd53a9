"""The change stream of one database, read as raw batches.

One stream for the whole database, without a lookup and with a pipeline that never changes for a given server version
(changing it could invalidate resume tokens). Batches come through the command interface: the driver's own change
stream costs twice the time per event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import bson
import pymongo
from pymongo import errors

from replicator_service.core.batching import StreamReply
from replicator_service.core.errors import Fatal
from replicator_service.core.position import Position, ResumeToken, token_time
from replicator_service.core.replies import Reply, read_cursor
from replicator_service.source.connect.connection import RAW, Client, ServerFacts
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from types import TracebackType

    from bson.raw_bson import RawBSONDocument
    from pymongo.database import Database

_CLOSE_SECONDS = 1.0
"""For how long a server that may be away is asked to free a cursor."""

_UNUSED_FIELDS = {"collectionUUID": 0, "wallTime": 0, "lsid": 0, "updateDescription": 0}
"""Left out by the server: a quarter of the cost of decoding an event, and all of that of a large update."""


class ChangeStream:
    """An open change stream. ``poll`` blocks one thread; ``close`` frees the server's cursor.

    ``start`` is where to go on, or None for now. An invalidated stream (its database was dropped) reports
    ``is_exhausted`` and is opened again after its last token.
    """

    def __init__(
        self,
        client: Client,
        database: Database[dict[str, Any]],
        facts: ServerFacts,
        *,
        start: Position | None,
        batch_size: int,
    ) -> None:
        self._client = client
        self._database = database
        self._facts = facts
        self._batch_size = batch_size
        self._session = client.start_session()
        self._cursor_id = 0
        self.position = self._open(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_exhausted(self) -> bool:
        """Whether the server has ended this stream (after an invalidate event)."""
        return self._cursor_id == 0

    def poll(self, *, wait_ms: int) -> StreamReply:
        """The next batch, after at most ``wait_ms`` when nothing happens.

        Raises what :mod:`replicator_service.source.errors` makes of the driver's errors; the position of the last
        answer stays valid.
        """
        with translated():
            reply = self._database.command(
                {
                    "getMore": bson.Int64(self._cursor_id),
                    "collection": "$cmd.aggregate",
                    "batchSize": self._batch_size,
                    "maxTimeMS": wait_ms,
                },
                codec_options=RAW,
                session=self._session,
            )
        return self._answer(reply)

    def reopen(self) -> None:
        """Open the stream again after it was invalidated."""
        self.position = self._open(self.position)

    def close(self) -> None:
        """Free the cursor and the session. Never raises: a server that is away frees them by itself."""
        try:
            if self._cursor_id:
                with pymongo.timeout(_CLOSE_SECONDS):
                    self._database.command({"killCursors": "$cmd.aggregate", "cursors": [bson.Int64(self._cursor_id)]})
            self._session.end_session()
        except errors.PyMongoError:
            return
        finally:
            self._cursor_id = 0

    def _open(self, start: Position | None) -> Position:
        options: dict[str, Any] = {}
        if self._facts.expanded_events:
            options["showExpandedEvents"] = True
        if start is not None:
            options["startAfter"] = start.resume_token
        pipeline: list[dict[str, Any]] = [{"$changeStream": options}, {"$project": _UNUSED_FIELDS}]
        if self._facts.splits_large_events:
            pipeline.append({"$changeStreamSplitLargeEvent": {}})
        command = {
            "aggregate": 1,
            "pipeline": pipeline,
            "cursor": {"batchSize": 0},
            "readConcern": {"level": "majority"},
        }
        with translated():
            reply = self._database.command(command, codec_options=RAW, session=self._session)
        cursor = read_cursor(reply["cursor"])
        self._cursor_id = cursor.cursor_id
        token = cursor.fields["postBatchResumeToken"]
        if start is not None:
            return start
        # The token of a new stream names the first tick that is still to come.
        return Position(token, _time_of(token) - 1)

    def _answer(self, reply: RawBSONDocument) -> StreamReply:
        cursor = read_cursor(reply["cursor"])
        self._cursor_id = cursor.cursor_id
        token = cursor.fields["postBatchResumeToken"]
        # The same token as before says nothing new. After opening, it names a tick whose events are still to come.
        if token != self.position.resume_token:
            self.position = Position(token, max(_time_of(token), self.position.cluster_time))
        events = Reply(cursor.array, field="fullDocument") if cursor.has_documents else None
        return StreamReply(events, self.position)


def _time_of(token: ResumeToken) -> int:
    time = token_time(token)
    if time is None:
        raise Fatal(
            "MongoDB sent a resume token of an unknown form",
            hint="This server version is not supported; run 'replicator check'.",
        )
    return time
