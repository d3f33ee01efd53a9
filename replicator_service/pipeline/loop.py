"""The planner's loop: what comes next, and when.

Each turn:

1. stop, if asked to;
2. handle what operators asked for;
3. take what the stream has brought, until a batch is full, or nothing more waits and the writer is ready for more;
4. submit the steps of every batch that may end;
5. if nothing happened for a while, move the position;
6. submit the steps of one transaction of snapshots.

Between the parts of a transaction that is too large for one batch, only the stream goes on (3 and 4).

While the writer has something to take, the stream piles up: batches grow with the time that a commit takes, and shrink
to single events when there is nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from replicator_service.core.batching import Batching, StreamReply
    from replicator_service.core.ports import Event
    from replicator_service.core.steps import Step
    from replicator_service.pipeline.channel import Channel
    from replicator_service.pipeline.planner import Planner
    from replicator_service.pipeline.requests import Requests
    from replicator_service.pipeline.snapshots import Snapshots


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a batch may stay open, and how often other things happen; all in seconds."""

    batch_seconds: float = 0.5
    heartbeat_seconds: float = 1.0
    idle_seconds: float = 30.0
    request_seconds: float = 0.5


class Loop:
    """Runs in the planner's thread until ``stopping`` is set: then the batches that are complete are still given.

    ``is_writer_busy`` tells whether steps wait that the writer has not taken: more would only wait behind them.
    """

    def __init__(
        self,
        *,
        inbox: Channel[StreamReply],
        batching: Batching,
        planner: Planner,
        snapshots: Snapshots,
        requests: Requests,
        submit: Callable[[Step], None],
        is_writer_busy: Callable[[], bool],
        clock: Callable[[], float],
        pace: Pace,
        stopping: Event,
        tick: Callable[[], None],
        on_idle: Callable[[], object],
    ) -> None:
        self._inbox = inbox
        self._batching = batching
        self._planner = planner
        self._snapshots = snapshots
        self._requests = requests
        self._submit = submit
        self._is_writer_busy = is_writer_busy
        self._clock = clock
        self._pace = pace
        self._stopping = stopping
        self._tick = tick
        self._on_idle = on_idle
        self._idled_at = clock()
        self._committed_at = clock()
        # Also without news: a first commit proves that PostgreSQL takes some again.
        self._is_first = True
        # The first turn looks at once: a stream that is paused must not move, and a resync may repair a broken table.
        self._requests_at = -math.inf

    def run(self) -> None:
        """Turn until asked to stop."""
        while not self._stopping.is_set():
            self.turn()

    def turn(self) -> None:
        """One turn of the loop, see the module."""
        self._tick()
        if not self._batching.is_parted:
            self._handle_requests()
            if self._requests.is_paused:
                self._stopping.wait(self._pace.request_seconds)
                return
        self._gather()
        self._submit_batches()
        self._move_idle_position()
        if self._snapshots.is_due(self._clock()) and not self._batching.is_parted:
            self._submit_all(self._snapshots.steps(self._clock()))

    def _handle_requests(self) -> None:
        now = self._clock()
        if now - self._requests_at >= self._pace.request_seconds:
            self._requests_at = now
            self._submit_all(self._requests.steps())

    def _gather(self) -> None:
        """Take answers: the first may be waited for; more as long as there is room and the writer is busy anyway."""
        has_work = self._snapshots.is_due(self._clock())
        seconds = 0.0 if has_work else self._pace.request_seconds
        answer = self._inbox.get(seconds, until=lambda: self._snapshots.has_read)
        deadline = self._clock() + self._pace.batch_seconds
        while answer is not None:
            self._batching.add(answer)
            left = deadline - self._clock()
            if self._batching.is_full or left <= 0:
                return
            answer = self._inbox.get(left, until=lambda: not self._is_writer_busy())

    def _submit_batches(self) -> None:
        while (batch := self._batching.take()) is not None:
            self._submit_all(self._planner.batch(batch))
            if batch.position is not None:
                self._committed_at = self._clock()

    def _move_idle_position(self) -> None:
        position = self._batching.idle_position()
        now = self._clock()
        if position is None or now - self._committed_at < self._pace.heartbeat_seconds:
            return
        if now - self._idled_at >= self._pace.idle_seconds:
            self._idled_at = now
            self._on_idle()
        if self._is_first or position.resume_token != self._planner.position.resume_token:
            self._is_first = False
            self._submit(self._planner.commit(position))
            self._committed_at = now

    def _submit_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._submit(step)
