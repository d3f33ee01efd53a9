"""Threads that read chunks of snapshots while the planner and the writer are at work with others."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.sessions import Pace
from replicator_service.pipeline.allowance import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.ports import Condition, Source, Thread, Threads
    from replicator_service.core.replies import Reply
    from replicator_service.core.sessions import OperatorSession, Range
    from replicator_service.pipeline.collection import Snapshot

_PACE_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Chunk:
    """A part of a range that is read, and what came of it.

    ``at`` is the position of the stream when it was asked for (None: what is there at that moment). ``touched`` are
    the keys that the stream has brought since. ``error`` is what kept it from being read; then there is nothing else.
    ``has_ended`` tells that nothing of the range is left behind it.
    """

    collection: str
    snapshot: Snapshot
    part: Range
    uuid: bytes | None
    at: int | None
    limit: int
    touched: set[str]
    replies: list[Reply] = field(default_factory=list)
    size: int = 0
    documents: int = 0
    ahead: int | None = None
    """The cluster time up to which it may be ahead, unless it shows exactly ``at``."""
    has_ended: bool = False
    error: BaseException | None = None

    @property
    def last(self) -> bytes:
        """The BSON of ``{_id: ...}`` of its last document."""
        reply = self.replies[-1]
        return reply.key(reply.count - 1)


class Readers:
    """Reads chunks on sources of their own, as many at a time as there are threads. Belongs to the planner's thread.

    ``open_source`` is called in each thread; ``changed`` is notified whenever a chunk was read. Threads are begun when
    they are needed. Each chunk ends after about ``chunk_bytes``. ``workers`` and ``max_mb_s`` are what goes unless an
    operator wants another pace.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        threads: Threads,
        changed: Condition,
        *,
        chunk_bytes: int,
        workers: int,
        max_mb_s: float | None,
    ) -> None:
        self._open_source = open_source
        self._threads = threads
        self._changed = changed
        self._chunk_bytes = chunk_bytes
        self._allowance = Allowance(threads)
        self._pace = Pace(workers, max_mb_s)
        self.workers = workers
        self._pace_at = -math.inf
        self._waiting: list[Chunk] = []
        self._read: list[Chunk] = []
        self._started: list[Thread] = []
        self._idle = self._busy = 0
        self._is_closed = False

    @property
    def has_read(self) -> bool:
        """Whether something can be taken."""
        return bool(self._read)

    def keep_pace(self, operator: OperatorSession, now: float) -> None:
        """Now and then, look whether somebody wants another pace."""
        if now < self._pace_at:
            return
        self._pace_at = now + _PACE_SECONDS
        pace = operator.snapshot_pace().over(self._pace)
        self.workers = pace.workers or 1
        self._allowance.limit(None if pace.max_mb_s is None else pace.max_mb_s * 1e6)

    def ask(self, chunk: Chunk) -> None:
        """Have a chunk read; begin another thread when all are at work and there are fewer than ``workers``."""
        with self._changed:
            self._waiting.append(chunk)
            is_short = self._idle < len(self._waiting) and len(self._started) < self.workers
            self._changed.notify_all()
        if is_short:
            number = len(self._started) + 1
            self._started.append(self._threads.start(f"snapshot-reader-{number}", self._run))

    def take(self) -> Chunk | None:
        """The next chunk that was read, if there is one."""
        with self._changed:
            return self._read.pop(0) if self._read else None

    def close(self) -> None:
        """End the threads, once what they read now is read."""
        self._allowance.close()
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._started:
            thread.join()

    def _run(self) -> None:
        source: Source | None = None
        try:
            while (chunk := self._next()) is not None:
                try:
                    if source is None:
                        source = self._open_source()
                    self._fill(source, chunk)
                except BaseException as error:  # noqa: BLE001 - the planner raises it
                    chunk.error = error
                    chunk.replies.clear()
                with self._changed:
                    self._busy -= 1
                    self._read.append(chunk)
                    self._changed.notify_all()
        finally:
            if source is not None:
                source.close()

    def _next(self) -> Chunk | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._is_closed or bool(self._waiting and self._busy < self.workers))
            self._idle -= 1
            if self._is_closed:
                return None
            self._busy += 1
            return self._waiting.pop(0)

    def _fill(self, source: Source, chunk: Chunk) -> None:
        """Read it: fewer documents than were asked for, and no bound of bytes that was reached, were the last."""
        part = chunk.part
        cursor = source.in_order(
            chunk.collection, part.place, upto=part.upto, limit=chunk.limit, at=chunk.at, uuid=chunk.uuid
        )
        with closing(cursor):
            for reply in cursor:
                chunk.replies.append(reply)
                chunk.documents += reply.count
                chunk.size += reply.size
                self._allowance.use(reply.size)
                if self._is_closed or chunk.size >= self._chunk_bytes:
                    break
            else:
                chunk.has_ended = chunk.documents < chunk.limit
        if not cursor.exact:
            chunk.ahead = cursor.read_time
