"""One read, reply by reply, proved to be of the collection and the cluster time that were asked for.

``find`` with ``readConcern: {level: "snapshot", atClusterTime: T}`` outside a transaction (MongoDB 5.0 and later) gives
the state at exactly T. The server keeps that history for ``minSnapshotHistoryWindowInSeconds`` (300 by default), does
not give it across a change of the catalog before 7.0, and never gives it for capped collections.

MongoDB 6.0 reads a name whose collection was dropped or renamed after T as empty, without an error. So a read names the
collection by its UUID, where the server takes that (``collectionUUID``, 6.0 and later), and by looking at the catalog
before the first and after the last reply where it does not. A collection that was renamed away and back does not fool
the former: 6.0 refuses to read it at a time before (SnapshotUnavailable), later versions read their catalog at T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
import pymongo
from bson.binary import Binary
from pymongo.errors import OperationFailure, PyMongoError

from replicator_service.core.errors import NoAnswer, Retryable, SnapshotUnavailable
from replicator_service.core.position import to_cluster_time, to_timestamp
from replicator_service.core.replies import CursorReply, Reply, read_cursor
from replicator_service.source.connect.connection import RAW, ServerInfo
from replicator_service.source.connect.deadline import Deadline, ask, require_reachable
from replicator_service.source.connect.member import Member, on_member
from replicator_service.source.errors import translated
from replicator_service.source.read.ids import is_max_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.client_session import ClientSession
    from pymongo.database import Database

    from replicator_service.core.masking.door import Door
    from replicator_service.source.connect.route import Route

_CLOSE_SECONDS = 1.0
_QUERY_PLAN_KILLED = 175
"""The collection was dropped or renamed while a cursor stood on it."""

_READ_AGAIN = "Nothing to do: the collection is read again, under the name that it has now."
_NOTHING = CursorReply(b"", {"id": 0})


@dataclass(frozen=True, slots=True)
class Line:
    """What every read of one source shares.

    ``uuid_of`` looks a collection up in the catalog; whatever is read comes through the ``door``.
    """

    database: Database[dict[str, Any]]
    session: ClientSession
    deadline: Deadline
    info: ServerInfo
    route: Route
    uuid_of: Callable[[str], bytes | None]
    door: Door

    def run(self, command: dict[str, Any], member: Member | None = None) -> Any:  # noqa: ANN401 - a raw reply
        """One command, once, by this member or by the primary."""
        with translated(next(iter(command))):
            return ask(self.database, command, self.deadline, session=self.session, codec_options=RAW, member=member)

    def run_patiently(self, command: dict[str, Any], member: Member | None = None) -> Any:  # noqa: ANN401 - a raw reply
        """One command that may be sent again: while the server lives, with longer and longer deadlines."""
        while True:
            try:
                return self.run(command, member)
            except NoAnswer as error:
                require_reachable(self.database, member)
                if error.is_last:
                    raise

    def begin(self, command: dict[str, Any], collection: str, *, after: int) -> tuple[Any, Member | None]:
        """The first command of a read that may be any member's which has the cluster time ``after``.

        Gives the reply and who gave it: what follows has to be asked of the same.
        """
        member = self.route.member()
        if member is not None and self.route.reaches(member, self.database, collection, after):
            try:
                return self.run_patiently(command, member), member
            except Retryable as error:
                self.route.leave(member, error.message)
        return self.run_patiently(command), None


class ReadCursor:
    """The replies of one ``find``, each up to 16 MB, read as they are asked for; see :class:`core.ports.Cursor`.

    ``behind`` is a second command that is run when the first one is at its end without having given MaxKey, the last
    of all keys: an index scan with a lower bound alone stops before it.
    """

    def __init__(
        self,
        line: Line,
        command: dict[str, Any],
        *,
        at: int | None,
        uuid: bytes | None,
        batch_size: int,
        behind: dict[str, Any] | None = None,
    ) -> None:
        self._line = line
        self._batch_size = batch_size
        self._collection: str = command["find"]
        self._uuid = uuid
        self._behind = behind
        self._limit: int = command.get("limit", 0)
        self.exact = at is not None
        self.read_time = at or 0
        self._member: Member | None = None
        self._after, self._options = self._common(at)
        self._require_same()
        self._latest = self._first(command)

    def __iter__(self) -> Iterator[Reply]:
        """The replies that hold documents, in order."""
        returned, last = 0, b""
        for reply in self._replies():
            if self._behind is not None:
                returned += reply.count
                last = reply.key(reply.count - 1)
            yield reply
        if (
            self._behind is not None
            and (not self._limit or returned < self._limit)
            and not is_max_key(self._line.door.opened(self._collection, last) if last else last)
        ):
            self._latest = self._first(self._behind)
            yield from self._replies()
        self._require_same()

    def close(self) -> None:
        """Free the server's cursor when not everything was read. Never raises: the server ends it by itself."""
        cursor_id = self._latest.cursor_id
        if not cursor_id:
            return
        self._latest = _NOTHING
        command = {"killCursors": self._collection, "cursors": [bson.Int64(cursor_id)]}
        try:
            with pymongo.timeout(_CLOSE_SECONDS), on_member(self._member) as preferred:
                self._line.database.command(command, read_preference=preferred)
        except PyMongoError:
            return

    def _replies(self) -> Iterator[Reply]:
        while True:
            cursor = self._latest
            if cursor.has_documents:
                door, name = self._line.door, self._collection
                yield Reply(door.documents(name, cursor.array), hidden=door.found_again(name, cursor.array))
            # Whoever takes a reply may have closed this meanwhile.
            if not self._latest.cursor_id:
                return
            self._latest = self._next(cursor.cursor_id)

    def _common(self, at: int | None) -> tuple[int, dict[str, Any]]:
        """The cluster time that whoever is asked must have, and what all commands of this read have in common."""
        options: dict[str, Any] = {"batchSize": self._batch_size}
        if at is not None:
            if not self._line.info.reads_at_a_time:
                raise SnapshotUnavailable(
                    "this server does not read at a cluster time", hint="Nothing to do: it is read as it is now."
                )
            after = at
            options["readConcern"] = {"level": "snapshot", "atClusterTime": to_timestamp(at)}
        else:
            # Without a time, a majority read may show less than the stream has: a new primary learns only after a
            # while what the majority has. And some collections are filled without events (convertToCapped).
            after = _time_of(self._line.run_patiently({"ping": 1}))
            options["readConcern"] = {"level": "majority", "afterClusterTime": to_timestamp(after)}
        if self._uuid is not None and self._line.info.takes_collection_uuid:
            options["collectionUUID"] = Binary(self._uuid, 4)
        return after, options

    def _first(self, command: dict[str, Any]) -> CursorReply:
        reply, self._member = self._line.begin({**command, **self._options}, self._collection, after=self._after)
        return self._noted(reply)

    def _next(self, cursor_id: int) -> CursorReply:
        command = {
            "getMore": bson.Int64(cursor_id),
            "collection": self._collection,
            "batchSize": self._batch_size,
        }
        try:
            reply = self._line.run(command, self._member)
        except Retryable as error:
            cause = error.__cause__
            if isinstance(cause, OperationFailure) and cause.code == _QUERY_PLAN_KILLED:
                self._latest = _NOTHING
                raise SnapshotUnavailable(
                    f"{self._collection} was dropped or renamed while it was read", hint=_READ_AGAIN
                ) from error
            raise
        return self._noted(reply)

    def _noted(self, reply: Any) -> CursorReply:  # noqa: ANN401 - a raw reply
        if not self.exact:
            self.read_time = max(self.read_time, _time_of(reply))
        return read_cursor(reply["cursor"])

    def _require_same(self) -> None:
        """Where the server does not prove it: that the name leads to this collection still."""
        if self._uuid is None or self._line.info.takes_collection_uuid:
            return
        if self._line.uuid_of(self._collection) != self._uuid:
            raise SnapshotUnavailable(f"{self._collection} was dropped, renamed or made anew", hint=_READ_AGAIN)


def _time_of(reply: Any) -> int:  # noqa: ANN401 - a raw reply
    return to_cluster_time(reply["operationTime"])
