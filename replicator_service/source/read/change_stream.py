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
from replicator_service.core.errors import (
    ConfigurationError,
    Fatal,
    NoAnswer,
    ResyncRequired,
    Retryable,
)
from replicator_service.core.masking.door import Door
from replicator_service.core.position import Position, to_timestamp, wall_time
from replicator_service.core.replies import Reply, read_cursor
from replicator_service.core.times import time_text
from replicator_service.source.connect.abilities import ABSENT
from replicator_service.source.connect.connection import RAW, Client, ServerInfo
from replicator_service.source.connect.deadline import Deadline, ask, require_reachable
from replicator_service.source.connect.member import Member, on_member
from replicator_service.source.connect.route import Route
from replicator_service.source.errors import translated
from replicator_service.source.read.server_times import operation_time
from replicator_service.source.read.tokens import require_forward, token_time_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bson.raw_bson import RawBSONDocument
    from pymongo.database import Database

_CLOSE_SECONDS = 1.0
"""For how long a server that may be away is asked to free a cursor."""

_DEADLINE_SECONDS = 5.0
"""How much longer than it was asked to wait a server may take, at first: a stream that resumes far back may rightly be
silent for minutes, since it scans the oplog."""

_TRIES = 3
_PAUSES = (0.0, 1.0, 3.0)
"""Seconds before the next try at a position that the server has refused."""

_UNDELIVERABLE = frozenset({10334, 7182500})
"""BSONObjectTooLarge, and what ``$changeStreamSplitLargeEvent`` says of a part that cannot be split (its resume token
holds the ``_id`` several times): no try can change these."""

_MEMBER_CHECK_SECONDS = 5.0
"""How often it is asked whether the member that is read from is late."""

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
        info: ServerInfo,
        *,
        start: Position | None,
        batch_size: int,
        door: Door | None = None,
        pause: Callable[[float], object] = time.sleep,
        route: Route | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._database = database
        self._info = info
        self._batch_size = batch_size
        self._door = door or Door()
        self._pause = pause
        self._route = route or Route(client)
        self._clock = clock
        self._member: Member | None = None
        """Who delivers this stream; None is the primary."""
        self._checked_at = clock()
        self._deadline = Deadline(_DEADLINE_SECONDS)
        self._opening = Deadline(_DEADLINE_SECONDS)
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
        self._consider_members()
        while True:
            try:
                return self._answer(self._ask_more(wait_ms))
            except Fatal as error:
                self._consider(error)
                self.reopen()
            except NoAnswer:
                raise
            except Retryable as error:
                if self._member is None:
                    raise
                self._route.leave(self._member, error.message)
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
                command = {"killCursors": "$cmd.aggregate", "cursors": [bson.Int64(cursor_id)]}
                with pymongo.timeout(_CLOSE_SECONDS), on_member(self._member) as preferred:
                    self._database.command(command, read_preference=preferred)
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
                    member=self._member,
                )
        except NoAnswer:
            require_reachable(self._database, self._member)
            raise
        return reply

    def _consider_members(self) -> None:
        """Now and then: leave a member that is late for the primary, and the primary for a member that is not.

        A member that does not apply answers all the same, that nothing happens.
        """
        if self._member is not None and self._route.current != self._member:
            # A read has found that it lags. Its silence must not be taken for that of the cluster.
            self.reopen()
        if not self._route.is_chosen or self._clock() - self._checked_at < _MEMBER_CHECK_SECONDS:
            return
        self._checked_at = self._clock()
        try:
            newest = operation_time(self._database)
        except Retryable:
            # Without a primary there is nothing that the member could lag behind.
            return
        member = self._route.member()
        if member is not None and not self._route.reaches(member, self._database, ABSENT, newest):
            member = None
        if member != self._member:
            self.reopen()

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
                + _TOO_LARGE[self._info.splits_large_events],
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
        """Open on the member that is read from, or on the primary when that is late.

        A stream from now on begins behind everything that was seen on the primary before.
        """
        member = self._route.member()
        if member is not None:
            after = operation_time(self._database) if start is None else start.cluster_time
            if self._route.reaches(member, self._database, ABSENT, after):
                self._member = member
                try:
                    return self._open_here(start)
                except Retryable as error:
                    self._route.leave(member, error.message)
        self._member = None
        return self._open_here(start)

    def _open_here(self, start: Position | None) -> Position:
        options: dict[str, Any] = {}
        if self._info.expanded_events:
            options["showExpandedEvents"] = True
        if start is not None and start.is_by_time:
            options["startAtOperationTime"] = to_timestamp(start.cluster_time + 1)
        elif start is not None:
            options["startAfter" if self._info.starts_after else "resumeAfter"] = start.resume_token
        pipeline: list[dict[str, Any]] = [{"$changeStream": options}]
        if self._info.expanded_events:
            unused = {name: 0 for name in _UNUSED_FIELDS if name != "collectionUUID"}
            pipeline += [_KEEP_UUID, {"$project": unused}]
        else:
            pipeline.append({"$project": _UNUSED_FIELDS})
        if self._info.splits_large_events:
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
        return Position(token, token_time_of(token) - 1)

    def _answer(self, reply: RawBSONDocument) -> StreamReply:
        cursor = read_cursor(reply["cursor"])
        self._cursor_id = cursor.cursor_id
        token = cursor.fields["postBatchResumeToken"]
        require_forward(self.position, token, cursor.array)
        if self._member is not None:
            self._route.reached(self._member, token_time_of(token))
        # The same token as before says nothing new. After opening, it names a tick whose events are still to come.
        if token != self.position.resume_token:
            self.position = Position(token, max(token_time_of(token), self.position.cluster_time))
            self._refusals = 0
        if not cursor.has_documents:
            return StreamReply(None, self.position)
        self._singly = max(0, self._singly - 1)
        return StreamReply(Reply(self._door.events(cursor.array), field="fullDocument"), self.position)
