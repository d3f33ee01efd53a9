"""When a batch ends: only between two cluster times, and as early as the sink can take it.

Pure policy. Events come in as replies of the stream; what goes out is either a *batch* (it ends at a position that may
be committed) or a *part* of a cluster time that is too large to be held in memory (it is written inside the same
transaction as the rest of that cluster time). A multi-document transaction is therefore never half visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from replicator_service.core.events import (
    Document,
    StreamEvent,
    event_time,
    event_token,
    is_fragment,
    is_schema_change,
    join_fragments,
    may_share_time,
)
from replicator_service.core.position import Position

if TYPE_CHECKING:
    from replicator_service.core.replies import Reply


@dataclass(frozen=True, slots=True)
class StreamReply:
    """One answer of the change stream.

    ``reply`` is None when the server had no event. ``position`` is the post-batch position. An answer without events
    proves that everything up to its position has been seen.
    """

    reply: Reply | None
    position: Position


class Item(NamedTuple):
    """An event with its origin: ``ordinal`` leads to the event's bytes in ``reply``."""

    event: StreamEvent
    reply: Reply
    ordinal: int


class _Decoded(NamedTuple):
    """A decoded event, or one part of a split one, with its origin."""

    event: Document
    reply: Reply
    ordinal: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Events and the position after them. ``position`` is None for a part: its cluster time goes on.

    ``cluster_time`` is the state that the rows of this batch have: every lookup reads MongoDB at exactly this time.
    """

    items: list[Item]
    cluster_time: int
    position: Position | None
    next_reply: Reply | None = None
    """The reply that the next batch begins with, when this one ends inside a reply."""

    def release(self) -> None:
        """Forget the decoded events once the rows are made; their bytes stay for whoever holds their reply."""
        for reply in {id(item.reply): item.reply for item in self.items}.values():
            if reply is not self.next_reply:
                reply.release()
        self.items.clear()


class Batching:
    """Collects events until a batch may end.

    ``max_events`` and ``max_bytes`` bound what is held, give or take one reply; ``groups_inserts`` is true from
    MongoDB 6.1 on, where ordinary writes may share a cluster time. With ``by_time`` positions say nothing but theirs:
    each is between two cluster times.
    """

    def __init__(
        self, start: Position, *, max_events: int, max_bytes: int, groups_inserts: bool, by_time: bool = False
    ) -> None:
        self._by_time = by_time
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._groups_inserts = groups_inserts
        self._items: list[Item] = []
        self._bytes = 0
        self._complete = 0
        """How many of the items are known to end with their cluster time."""
        self._position = start
        """The position after the complete items."""
        self._part_time: int | None = None
        """The cluster time of parts that were taken and are not committed yet."""
        self._stops: list[int] = []
        """Where the items hold schema changes: each is a batch by itself."""
        self._fragments: list[_Decoded] = []

    @property
    def is_full(self) -> bool:
        """Whether a bound is reached: take before adding more."""
        return len(self._items) >= self._max_events or self._bytes >= self._max_bytes

    @property
    def is_open(self) -> bool:
        """Whether something waits for the rest of its cluster time."""
        return len(self._items) > self._complete or self._part_time is not None or bool(self._fragments)

    @property
    def is_parted(self) -> bool:
        """Whether parts of a cluster time were taken whose rest is still to come.

        Nothing else may be committed then: it would commit those parts.
        """
        return self._part_time is not None

    def add(self, answer: StreamReply) -> None:
        """Add one answer of the stream."""
        if answer.reply is None:
            self._complete = len(self._items)
            self._position = answer.position
            return
        self._append(answer.reply)
        if not self._items:
            return
        last = self._items[-1].event
        if may_share_time(last, groups_inserts=self._groups_inserts):
            self._complete_before(event_time(last))
        elif self._fragments:
            self._complete_until(len(self._items))
        else:
            self._complete = len(self._items)
            self._position = answer.position

    def take(self) -> Batch | None:
        """Return the next batch or part, or None when there is nothing that may be written yet."""
        if self._complete:
            return self._take_complete()
        if self._part_time is not None and self._position.cluster_time >= self._part_time:
            self._part_time = None
            return Batch([], self._position.cluster_time, self._stored_form(self._position))
        if self._items and self.is_full:
            return self._take_part()
        return None

    def idle_position(self) -> Position | None:
        """The position of a stream in which nothing happens, or None while anything is held."""
        return None if self._items or self.is_open else self._stored_form(self._position)

    def _stored_form(self, position: Position) -> Position:
        return position.by_time() if self._by_time else position

    def _append(self, reply: Reply) -> None:
        self._bytes += reply.size
        for index, event in enumerate(reply.events):
            if not isinstance(event, dict):
                self._items.append(Item(event, reply, index))
                continue
            whole = _Decoded(event, reply, index)
            if is_fragment(event):
                self._fragments.append(whole)
                if event["splitEvent"]["fragment"] < event["splitEvent"]["of"]:
                    continue
                whole = _joined(self._fragments)
                self._fragments = []
            if is_schema_change(whole.event):
                self._stops.append(len(self._items))
            self._items.append(Item(*whole))

    def _complete_before(self, cluster_time: int) -> None:
        end = len(self._items)
        while end > self._complete and event_time(self._items[end - 1].event) == cluster_time:
            end -= 1
        if end > self._complete:
            self._complete_until(end)

    def _complete_until(self, end: int) -> None:
        self._complete = end
        self._position = _position_after(self._items[end - 1])

    def _take_complete(self) -> Batch:
        end, position = self._complete, self._position
        if self._stops and self._stops[0] < end:
            end = max(self._stops[0], 1)
            if end < self._complete:
                position = _position_after(self._items[end - 1])
        items = self._remove(end)
        self._part_time = None
        return Batch(items, position.cluster_time, self._stored_form(position), self._next_reply())

    def _take_part(self) -> Batch:
        self._part_time = event_time(self._items[-1].event)
        return Batch(self._remove(len(self._items)), self._part_time, None)

    def _next_reply(self) -> Reply | None:
        return self._items[0].reply if self._items else None

    def _remove(self, end: int) -> list[Item]:
        self._bytes = self._bytes * (len(self._items) - end) // len(self._items)
        items, self._items = self._items[:end], self._items[end:]
        self._complete = max(self._complete - end, 0)
        self._stops = [stop - end for stop in self._stops if stop >= end]
        return items


def _position_after(item: Item) -> Position:
    return Position(event_token(item.event), event_time(item.event))


def _joined(fragments: list[_Decoded]) -> _Decoded:
    """One item of the parts of a split event; its bytes are of the part with the document, or else with the key."""
    whole = join_fragments([fragment.event for fragment in fragments])
    wanted = "fullDocument" if "fullDocument" in whole else "documentKey"
    origin = next((fragment for fragment in fragments if wanted in fragment.event), fragments[-1])
    return _Decoded(whole, origin.reply, origin.ordinal)
