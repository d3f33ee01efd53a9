"""The change stream of one database, read as raw batches.

One stream for the whole database, without a lookup and with a pipeline that never changes for a given server version
(changing it could invalidate resume tokens). Batches come through the command interface: the driver's own change
stream costs twice the time per event.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import bson
import pymongo
from pymongo import errors

from replicator_service.core.batching import StreamReply
from replicator_service.core.codec.elements import elements
from replicator_service.core.errors import ConfigurationError, Fatal, NoAnswer, ResyncRequired, SourceUnavailable
from replicator_service.core.masking.door import Door
from replicator_service.core.position import Position, ResumeToken, token_time, wall_time
from replicator_service.core.replies import Reply, read_cursor
from replicator_service.core.times import time_text
from replicator_service.source.connect.connection import RAW, Client, ServerFacts
from replicator_service.source.connect.deadline import Deadline, ask, require_reachable
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bson.raw_bson import RawBSONDocument
    from pymongo.database import Database

_CLOSE_SECONDS = 1.0
"""For how long a server that may be away is asked to free a cursor."""

_SILENCE_SECONDS = 5.0
"""How much longer than it was asked to wait a server may take, at first: a stream that resumes far back may rightly be
silent for minutes, since it scans the oplog."""

_TIME_END, _VERSION_END = 18, 22
"""Where the hexadecimal digits of a token's time and of its version end."""

_EMPTY_ARRAY = 5
_TIMESTAMP = 0x11

_TRIES = 3
_PAUSES = (0.0, 1.0, 3.0)
"""Seconds before the next try at a position that the server has refused."""

_UNDELIVERABLE = frozenset({10334, 7182500})
"""BSONObjectTooLarge, and what ``$changeStreamSplitLargeEvent`` says of a part that cannot be split (its resume token
holds the ``_id`` several times): no try can change these."""

_UNUSED_FIELDS = {"collectionUUID": 0, "wallTime": 0, "lsid": 0, "updateDescription": 0}
"""Left out by the server: a quarter of the cost of decoding an event, and all of that of a large update."""

_IDENTIFIED = ["create", "drop", "rename"]
_KEEP_UUID: dict[str, Any] = {
    "$set": {"collectionUUID": {"$cond": [{"$in": ["$operationType", _IDENTIFIED]}, "$collectionUUID", "$$REMOVE"]}}
}
"""The UUID tells whose drop this is. Costs the server 3 %; to decode it in every event would cost 20 % of decoding.

Unlike a ``$match``, neither this nor ``$project`` decides which events there are: tokens of a stream without it stay
valid (tried with 6.0, for each kind of event and inside a transaction).
"""


_TOO_LARGE = {
    True: "An event that cannot be split is one of an _id of more than about a megabyte: keep such keys shorter.",
    False: "MongoDB 6.0.9 or later splits events of more than 16 MB.",
}


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
        door: Door | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._client = client
        self._database = database
        self._facts = facts
        self._batch_size = batch_size
        self._door = door or Door()
        self._pause = pause
        self._deadline = Deadline(_SILENCE_SECONDS)
        self._opening = Deadline(_SILENCE_SECONDS)
        """Apart: that a stream opens quickly says nothing of the scan that its first answer may take."""
        self._singly = 0
        """So many events are still asked for one by one, to find the one that the server cannot deliver."""
        self._refusals = 0
        """How often the server has refused what comes after the position."""
        self._session = client.start_session()
        self._cursor_id = 0
        self.position = self._opened(start)

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

        Raises :class:`NoAnswer` when the server lives and does not answer here (:meth:`reopen` goes on, with twice the
        time), :class:`ResyncRequired` when it can never deliver what comes next, and what
        :mod:`replicator_service.source.errors` makes of the driver's other errors. The position stays valid.
        """
        while True:
            try:
                return self._answer(self._ask_more(wait_ms))
            except Fatal as error:
                self._consider(error)
                self.reopen()

    def reopen(self) -> None:
        """Open the stream again after its position: it was invalidated, or silent."""
        self._free()
        self._session = self._client.start_session()
        self.position = self._opened(self.position)

    def close(self) -> None:
        """Free the cursor and the session. Never raises: a server that is away frees them by itself."""
        self._free()

    def _free(self) -> None:
        cursor_id, self._cursor_id = self._cursor_id, 0
        try:
            if cursor_id:
                with pymongo.timeout(_CLOSE_SECONDS):
                    self._database.command({"killCursors": "$cmd.aggregate", "cursors": [bson.Int64(cursor_id)]})
            self._session.end_session()
        except errors.PyMongoError:
            return

    def _ask_more(self, wait_ms: int) -> RawBSONDocument:
        command = {
            "getMore": bson.Int64(self._cursor_id),
            "collection": "$cmd.aggregate",
            "batchSize": 1 if self._singly else self._batch_size,
            "maxTimeMS": wait_ms,
        }
        return self._run(command, self._deadline, wait_seconds=wait_ms / 1_000)

    def _run(self, command: dict[str, Any], deadline: Deadline, *, wait_seconds: float = 0.0) -> RawBSONDocument:
        try:
            with translated(next(iter(command))):
                reply: RawBSONDocument = ask(
                    self._database,
                    command,
                    deadline,
                    wait_seconds=wait_seconds,
                    session=self._session,
                    codec_options=RAW,
                )
        except NoAnswer:
            require_reachable(self._database)
            raise
        return reply

    def _consider(self, error: Fatal) -> None:
        """What a refusal at this position means: try again, one event at a time, or a piece of history is lost.

        One bad event makes the server refuse the whole batch; those before it are delivered first, so that the
        position stands right before it.
        """
        cause = error.__cause__
        if isinstance(error, ConfigurationError) or not isinstance(cause, errors.OperationFailure):
            raise error
        self._refusals += 1
        if self._singly and (cause.code in _UNDELIVERABLE or self._refusals >= _TRIES):
            name = (cause.details or {}).get("codeName", "unknown")
            raise ResyncRequired(
                "MongoDB cannot deliver the change event after "
                f"{time_text(wall_time(self.position.cluster_time))} (code {cause.code}: {name})",
                hint="The service can only continue behind it and read everything again: 'replicator resync --all'. "
                + _TOO_LARGE[self._facts.splits_large_events],
            ) from error
        self._singly = self._batch_size
        self._pause(0.0 if cause.code in _UNDELIVERABLE else _PAUSES[self._refusals])

    def _opened(self, start: Position | None) -> Position:
        """Open; a position at which the server refuses even that is as lost as one that it refuses to go on from."""
        while True:
            try:
                return self._open(start)
            except Fatal as error:
                if start is None:
                    raise
                self.position, self._singly = start, self._batch_size
                self._consider(error)

    def _open(self, start: Position | None) -> Position:
        options: dict[str, Any] = {}
        if self._facts.expanded_events:
            options["showExpandedEvents"] = True
        if start is not None:
            options["startAfter"] = start.resume_token
        pipeline: list[dict[str, Any]] = [{"$changeStream": options}]
        if self._facts.expanded_events:
            unused = {name: 0 for name in _UNUSED_FIELDS if name != "collectionUUID"}
            pipeline += [_KEEP_UUID, {"$project": unused}]
        else:
            pipeline.append({"$project": _UNUSED_FIELDS})
        if self._facts.splits_large_events:
            pipeline.append({"$changeStreamSplitLargeEvent": {}})
        command = {
            "aggregate": 1,
            "pipeline": pipeline,
            "cursor": {"batchSize": 0},
            "readConcern": {"level": "majority"},
        }
        cursor = read_cursor(self._run(command, self._opening)["cursor"])
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
        require_forward(self.position, token, cursor.array)
        # The same token as before says nothing new. After opening, it names a tick whose events are still to come.
        if token != self.position.resume_token:
            self.position = Position(token, max(_time_of(token), self.position.cluster_time))
            self._refusals = 0
        if not cursor.has_documents:
            return StreamReply(None, self.position)
        self._singly = max(0, self._singly - 1)
        return StreamReply(Reply(self._door.events(cursor.array), field="fullDocument"), self.position)


def require_forward(position: Position, token: ResumeToken, events: bytes) -> None:
    """Refuse an answer that lies before the position: its token, or its first event (``events``: a BSON array).

    A token's ``_data`` is a key string in hexadecimal digits: it sorts as positions do, within one version of tokens.

    Raises :class:`Retryable`.
    """
    if _sorts_before(token, position.resume_token) or _begins_before(events, position.cluster_time):
        raise SourceUnavailable(
            f"MongoDB went back in its history, to before {time_text(wall_time(position.cluster_time))}: the position "
            "is kept, and the stream is opened again",
            hint="If it lasts: MongoDB was restored from a backup ('replicator resync --all' reads everything again), "
            "or this version has a bug (sharded streams of 9.0.0 and 9.0.1): upgrade MongoDB.",
        )


def _sorts_before(one: ResumeToken, other: ResumeToken) -> bool:
    first, second = str(one.get("_data", "")), str(other.get("_data", ""))
    if first[:_VERSION_END] == second[:_VERSION_END]:
        return first < second
    # Of another time, or of the same and another version of tokens, which says nothing.
    return first[:_TIME_END] < second[:_TIME_END]


def _begins_before(events: bytes, cluster_time: int) -> bool:
    if len(events) <= _EMPTY_ARRAY:
        return False
    _, _, event = next(elements(events))
    for kind, name, value in elements(event):
        if name == b"clusterTime" and kind == _TIMESTAMP:
            return int.from_bytes(value, "little") < cluster_time
    return False


def _time_of(token: ResumeToken) -> int:
    time = token_time(token)
    if time is None:
        raise Fatal(
            "MongoDB sent a resume token of an unknown form",
            hint="This server version is not supported; run 'replicator check'.",
        )
    return time
