"""The change stream of the model: what comes next, how much of it at a time, and what is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.batching import StreamReply
from replicator_service.core.errors import ResyncRequired, Retryable
from replicator_service.core.position import Position, token_time
from replicator_service.core.replies import Reply
from replicator_service.source.read.tokens import require_forward
from simulation.mongo.events import high_water_mark, is_high_water_mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulation.mongo.source import ModelSource

_HISTORY_LOST = "the position is no longer in MongoDB's history"


def array_of(documents: Sequence[bytes]) -> bytes:
    """The BSON array of documents."""
    body = b"".join(b"\x03" + str(index).encode() + b"\0" + each for index, each in enumerate(documents))
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


class ModelStream:
    """A change stream."""

    def __init__(self, source: ModelSource, start: Position | None) -> None:
        self._source = source
        self._generation = -1
        self._must_exist = False
        self.is_exhausted = False
        self.position = self._open(start)

    def poll(self, *, wait_ms: int) -> StreamReply:
        """The next answer."""
        source, server = self._source, self._source.server
        source.call()
        end = server.scheduler.now + wait_ms / 1_000
        while True:
            if self._generation != server.generation:
                raise Retryable("MongoDB does not know this stream any more")
            answer = self._next(source.network.number(1, source.poll_events))
            if answer is not None:
                return answer
            if server.scheduler.now >= end:
                if server.abilities.repeats_tokens and source.network.chance(0.05):
                    self._repeat()
                return self._idle()
            server.wait(end - server.scheduler.now)
            source.network.require(source.process)
            server.require_up()

    def reopen(self) -> None:
        """Open the stream again after its last position."""
        self.position = self._open(self.position)

    def close(self) -> None:
        """Free what the server keeps for it."""
        self._generation = -1

    def _open(self, start: Position | None) -> Position:
        self._source.call()
        server = self._source.server
        if start is None:
            time = server.latest_time + 1
            start = Position({"_data": high_water_mark(time)}, time - 1)
        elif _time_of(start) < server.oldest_time:
            raise ResyncRequired(_HISTORY_LOST)
        self._must_exist = not is_high_water_mark(_data(start))
        self._generation = server.generation
        self.is_exhausted = False
        return start

    def _next(self, limit: int) -> StreamReply | None:
        server = self._source.server
        token, time = _data(self.position), _time_of(self.position)
        if time < server.oldest_time:
            raise self._source.network.choice(
                (ResyncRequired(_HISTORY_LOST), Retryable("the oplog has gone over this stream's place"))
            )
        if self._must_exist and server.known_time >= time:
            if not server.has_event(token, time):
                raise ResyncRequired(_HISTORY_LOST)
            self._must_exist = False
        events, is_all = server.events_after(token, time, limit)
        if events and events[0].is_poison:
            raise ResyncRequired("the next event can never be delivered")
        for index, event in enumerate(events):
            if event.is_poison or (index and events[index - 1].ends_stream):
                events, is_all = events[:index], False
                break
        if not events:
            return None
        last = events[-1]
        mark = high_water_mark(server.known_time)
        after = last.token if not is_all or last.ends_stream else max(last.token, mark)
        self.is_exhausted = last.ends_stream
        self._move(after)
        return StreamReply(Reply(array_of([each.bson for each in events]), field="fullDocument"), self.position)

    def _idle(self) -> StreamReply:
        token = _data(self.position)
        mark = high_water_mark(self._source.server.known_time)
        if mark > token:
            self._move(mark)
        return StreamReply(None, self.position)

    def _repeat(self) -> None:
        """Answer with an older token, as some servers do."""
        token = {"_data": high_water_mark(max(_time_of(self.position) - 1, 0))}
        require_forward(self.position, token, array_of([]))
        self.position = Position(token, self.position.cluster_time)

    def _move(self, token: str) -> None:
        if token != _data(self.position):
            time = token_time({"_data": token}) or 0
            self.position = Position({"_data": token}, max(time, self.position.cluster_time))


def _data(position: Position) -> str:
    return str(position.resume_token["_data"])


def _time_of(position: Position) -> int:
    return token_time(position.resume_token) or 0
