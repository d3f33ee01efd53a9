"""One leader's term: from taking the lease until it is lost, fails or is asked to stop.

The stream reader polls, the planner decides and makes rows, the caller's thread writes: three threads, and a few more
while snapshots are read.
A term knows nothing of earlier ones: what it does follows from what PostgreSQL remembers and MongoDB answers.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.batching import Batching, StreamReply
from replicator_service.core.errors import StopRequested
from replicator_service.core.rows import RowGroup
from replicator_service.core.steps import Commit, Step
from replicator_service.pipeline.channel import Channel
from replicator_service.pipeline.collections import Collections
from replicator_service.pipeline.loop import Loop, Pace
from replicator_service.pipeline.marks import Marks
from replicator_service.pipeline.observer import Committed, Observer
from replicator_service.pipeline.planner import Planner
from replicator_service.pipeline.readers import Readers
from replicator_service.pipeline.requests import Requests
from replicator_service.pipeline.snapshots import Snapshots
from replicator_service.pipeline.start import Start
from replicator_service.pipeline.stream_reader import StreamReader
from replicator_service.pipeline.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replicator_service.core.dead_letter_limit import DeadLetterLimit
    from replicator_service.core.failpoints import Failpoints
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.ports import Event, Source, Stream, Threads
    from replicator_service.core.sessions import Checkpoint, LeaderSession, OperatorSession

_GROUP_WEIGHT = 16
"""How many small steps weigh as much as one row group."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory and time; the defaults keep the service under 200 MB."""

    poll_events: int = 4_000
    batch_events: int = 10_000
    batch_bytes: int = 16 * 2**20
    inbox_bytes: int = 8 * 2**20
    outbox_groups: int = 2
    chunk_documents: int = 10_000
    chunk_bytes: int = 8 * 2**20
    range_documents: int = 50_000
    snapshot_workers: int = 2
    snapshot_max_mb_s: float | None = None
    poll_wait_ms: int = 1_000
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Doors:
    """The connections of a term: each belongs to it alone, and is closed by whoever opened it.

    The stream and the reads have a source each, since two threads use them at a time.
    """

    stream: Source
    reads: Source
    leader: LeaderSession
    operator: OperatorSession


class Term:
    """Leads one stream through the doors it is given. ``run`` blocks; it may be called once."""

    def __init__(
        self,
        doors: Doors,
        *,
        checkpoint: Checkpoint,
        mapping: Mapping,
        limits: Limits,
        dead_letter_limit: DeadLetterLimit,
        observer: Observer,
        failpoints: Failpoints,
        threads: Threads,
    ) -> None:
        self._doors = doors
        self._checkpoint = checkpoint
        self._limits = limits
        self._dead_letter_limit = dead_letter_limit
        self._observer = observer
        self._failpoints = failpoints
        self._threads = threads
        self._collections = Collections(mapping)
        self._marks = Marks(doors.reads, checkpoint.mark, threads.monotonic)
        self._changed = threads.condition()
        self._inbox: Channel[StreamReply] = Channel(
            limits.inbox_bytes, self._changed, tick=lambda: observer.ticked("stream-reader")
        )
        self._outbox: Channel[Step] = Channel(
            limits.outbox_groups * _GROUP_WEIGHT + _GROUP_WEIGHT // 2,
            self._changed,
            tick=lambda: observer.ticked("planner"),
        )
        self.has_committed = False
        """Whether this term has made progress: a failure after that is a new one."""
        self._began: float | None = None

    def run(self, stopping: Event, *, anew: bool = False) -> None:
        """Replicate until ``stopping`` is set.

        ``anew`` begins at the present and reads everything again, deletes that were missed included.

        Raises :class:`ResyncRequired` when the position is lost, :class:`LeaseLost`, :class:`Retryable` and
        :class:`Fatal` as they come.
        """
        start = None if anew else self._checkpoint.position
        if start is None:
            self._marks.begin_anew()
        known = {each.collection: each.uuid for each in self._doors.leader.registered() if each.uuid is not None}
        stream = self._doors.stream.open_stream(start, mark=self._checkpoint.mark, known=known)
        try:
            self._run(stream, stopping, begins_anew=start is None)
        finally:
            stream.close()

    def _run(self, stream: Stream, stopping: Event, *, begins_anew: bool) -> None:
        doors = self._doors
        planner = Planner(
            source=doors.reads,
            collections=self._collections,
            position=stream.position.by_time() if doors.reads.hides_positions else stream.position,
            converging_until=self._checkpoint.converging_until,
            failpoints=self._failpoints,
            marks=self._marks,
        )
        writer = Writer(
            doors.leader, epoch=self._checkpoint.epoch, limit=self._dead_letter_limit, failpoints=self._failpoints
        )
        for step in self._first_steps(planner, begins_anew=begins_anew):
            self._write(writer, step)
        # Every term can begin: only what comes after that is progress, and lets a failure count as a new one.
        self.has_committed = False
        self._observer.streaming_from(planner.position.cluster_time)
        poller = StreamReader(
            stream,
            self._inbox,
            wait_ms=self._limits.poll_wait_ms,
            threads=self._threads,
            failpoints=self._failpoints,
            tick=lambda: self._observer.ticked("stream-reader"),
            delayed=self._observer.delayed,
            answered=lambda answer: self._observer.answered(
                answer.position.cluster_time, has_events=answer.reply is not None
            ),
        )
        readers = Readers(
            doors.reads.beside,
            self._threads,
            self._changed,
            chunk_bytes=self._limits.chunk_bytes,
            workers=self._limits.snapshot_workers,
            max_mb_s=self._limits.snapshot_max_mb_s,
        )
        loop = self._loop(planner, readers, stopping)
        planning = self._threads.start("planner", lambda: self._plan(loop))
        try:
            self._write_on(writer)
        except BaseException as error:
            self._outbox.close(error)
            raise
        finally:
            self._outbox.close()
            poller.stop()
            planning.join()
            readers.close()
            # Last: when PostgreSQL is away as well this raises, and no thread may be left behind.
            writer.rollback()

    def _first_steps(self, planner: Planner, *, begins_anew: bool) -> Iterable[Step]:
        doors = self._doors
        start = Start(planner, doors.reads, doors.leader, doors.operator.open_requests())
        registered = doors.leader.registered()
        return start.anew(registered) if begins_anew else start.onwards(registered)

    def _loop(self, planner: Planner, readers: Readers, stopping: Event) -> Loop:
        limits, doors = self._limits, self._doors
        return Loop(
            inbox=self._inbox,
            batching=Batching(
                planner.position,
                max_events=limits.batch_events,
                max_bytes=limits.batch_bytes,
                groups_inserts=doors.reads.groups_inserts,
                by_time=doors.reads.hides_positions,
            ),
            planner=planner,
            snapshots=Snapshots(
                planner,
                doors.reads,
                doors.operator,
                readers,
                settled=self._outbox.wait_settled,
                chunk_documents=limits.chunk_documents,
                chunk_bytes=limits.chunk_bytes,
                range_documents=limits.range_documents,
                observer=self._observer,
                failpoints=self._failpoints,
            ),
            requests=Requests(
                doors.operator,
                planner,
                doors.reads,
                on_pause=lambda is_paused: self._observer.paused(is_paused=is_paused),
            ),
            submit=self._submit,
            is_writer_busy=lambda: self._outbox.is_waiting,
            clock=self._threads.monotonic,
            pace=limits.pace,
            stopping=stopping,
            tick=lambda: self._observer.ticked("planner"),
            on_idle=gc.collect,
        )

    def _submit(self, step: Step) -> None:
        """Hand a step to the writer; what bounds memory is how many row groups wait, not the small steps between."""
        self._outbox.put(step, _GROUP_WEIGHT if isinstance(step, RowGroup) else 1)

    def _plan(self, loop: Loop) -> None:
        """The planner's thread: its end, good or bad, closes the outbox."""
        try:
            loop.run()
        except StopRequested:
            self._outbox.close()
        except BaseException as error:  # noqa: BLE001 - handed to the writer's thread, which raises it
            self._outbox.close(error)
        else:
            self._outbox.close()

    def _write_on(self, writer: Writer) -> None:
        """Write until the outbox is closed and empty."""
        self._doors.leader.promise_renewal()
        while True:
            try:
                step = self._outbox.get(timeout=1.0)
            except StopRequested:
                return
            self._observer.ticked("writer")
            if step is None:
                self._doors.leader.renew()
            else:
                self._write(writer, step)
            self._outbox.settle()

    def _write(self, writer: Writer, step: Step) -> None:
        if self._began is None:
            self._began = self._threads.monotonic()
        written = writer.apply(step)
        if written is None or not isinstance(step, Commit):
            return
        committed = Committed(
            commit=step,
            rows=written.rows,
            rejected=written.rejected,
            settled=written.settled,
            swept=written.swept,
            altered=written.altered,
            dead_letters=writer.dead_letters,
            seconds=self._threads.monotonic() - self._began,
        )
        self.has_committed = True
        self._began = None
        self._observer.committed(committed)


def keep_collector_out() -> None:
    """Keep the cyclic collector away from large batches: decoding would cost three times as much.

    Decoded documents hold no cycles; what does (exceptions) is collected while the stream is idle. What there is at the
    start is never looked at again: a thousand objects of it are garbage, and finding them takes 50 ms.
    """
    gc.freeze()
    gc.disable()
