"""One leader's term: from taking the lease until it is lost, fails or is asked to stop."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from replicator_service.core.batching import Batching, StreamReply
from replicator_service.core.errors import StopRequested
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.naming import schema_name
from replicator_service.core.position import to_cluster_time
from replicator_service.core.rows import Encoder, RowGroup
from replicator_service.core.steps import CollectionState, Commit, Step
from replicator_service.pipeline import bootstrap
from replicator_service.pipeline.catalogue import Catalogue
from replicator_service.pipeline.channel import Channel
from replicator_service.pipeline.loop import Loop, Pace
from replicator_service.pipeline.observer import Committed, Observer
from replicator_service.pipeline.planner import Planner, SourcePorts
from replicator_service.pipeline.requests import RequestBoard, Requests
from replicator_service.pipeline.snapshot import Snapshots
from replicator_service.pipeline.stream_reader import StreamReader
from replicator_service.sink.control import registry
from replicator_service.sink.write.tables import damaged
from replicator_service.sink.write.writer import Writer
from replicator_service.source.errors import translated
from replicator_service.source.read.catalog import list_collections
from replicator_service.source.read.change_stream import ChangeStream
from replicator_service.source.read.history import require_history
from replicator_service.source.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymongo.database import Database

    from replicator_service.core.dead_letter_limit import DeadLetterLimit
    from replicator_service.core.failpoints import Failpoints
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.ports import SourceCollection
    from replicator_service.sink.connect.connection import Connection
    from replicator_service.sink.control.checkpoint import Checkpoint
    from replicator_service.source.connect.connection import Client, ServerFacts

_GROUP_WEIGHT = 16
"""How many small steps weigh as much as one row group."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory and time; the defaults keep the service under 150 MB."""

    poll_events: int = 4_000
    batch_events: int = 10_000
    batch_bytes: int = 16 * 2**20
    inbox_bytes: int = 8 * 2**20
    outbox_groups: int = 2
    chunk_documents: int = 10_000
    chunk_bytes: int = 16 * 2**20
    poll_wait_ms: int = 1_000
    pace: Pace = field(default_factory=Pace)


class Term:
    """Leads one stream on the connections it is given. ``run`` blocks; it may be called once."""

    def __init__(
        self,
        *,
        client: Client,
        database: Database[dict[str, Any]],
        facts: ServerFacts,
        connection: Connection,
        stream: str,
        checkpoint: Checkpoint,
        mapping: Mapping,
        board: RequestBoard,
        limits: Limits,
        dead_letter_limit: DeadLetterLimit,
        observer: Observer,
        failpoints: Failpoints,
    ) -> None:
        self._client = client
        self._database = database
        self._facts = facts
        self._connection = connection
        self._stream = stream
        self._checkpoint = checkpoint
        self._board = board
        self._limits = limits
        self._dead_letter_limit = dead_letter_limit
        self._observer = observer
        self._failpoints = failpoints
        self._known = registry.registered(connection, stream)
        tables = {each.collection: each.table_name for each in self._known}
        self._catalogue = Catalogue(mapping, tables)
        self._outbox: Channel[Step] = Channel(
            limits.outbox_groups * _GROUP_WEIGHT + _GROUP_WEIGHT // 2, tick=lambda: observer.ticked("planner")
        )
        self.has_committed = False
        """Whether this term has made progress: a failure after that is a new one."""
        self._began: float | None = None
        self._altered = 0

    def run(self, stopping: threading.Event, *, forget_position: bool = False) -> None:
        """Replicate until ``stopping`` is set.

        ``forget_position`` begins at the present and reads everything again, deletes that were missed included.

        Raises :class:`ResyncRequired` when the position is lost, :class:`LeaseLost`, :class:`Retryable` and
        :class:`Fatal` as they come.
        """
        start = None if forget_position else self._checkpoint.position
        if start is not None:
            require_history(self._client, self._database, start)
        stream = ChangeStream(
            self._client, self._database, self._facts, start=start, batch_size=self._limits.poll_events
        )
        reader = Reader(self._client, self._database)
        try:
            self._run(stream, reader, stopping, forget_position=forget_position)
        finally:
            reader.close()
            stream.close()

    def _run(self, stream: ChangeStream, reader: Reader, stopping: threading.Event, *, forget_position: bool) -> None:
        source = SourcePorts(self._list_collections, self._estimate, self._operation_time)
        planner = Planner(
            reader=reader,
            source=source,
            catalogue=self._catalogue,
            position=stream.position,
            converging_until=self._checkpoint.converging_until,
            failpoints=self._failpoints,
        )
        writer = Writer(
            self._connection,
            schema=schema_name(self._stream),
            stream=self._stream,
            epoch=self._checkpoint.epoch,
            encode=self._encode_again,
            limit=self._dead_letter_limit,
            failpoints=self._failpoints,
        )
        changed = self._changed()
        for step in self._first_steps(planner, changed, forget_position=forget_position):
            self._write(writer, step)
        # Every term can begin: only what comes after that is progress, and lets a failure count as a new one.
        self.has_committed = False
        self._observer.streaming_from(planner.position.cluster_time)
        inbox: Channel[StreamReply] = Channel(
            self._limits.inbox_bytes, tick=lambda: self._observer.ticked("stream-reader")
        )
        poller = StreamReader(
            stream,
            inbox,
            wait_ms=self._limits.poll_wait_ms,
            failpoints=self._failpoints,
            tick=lambda: self._observer.ticked("stream-reader"),
            delayed=self._observer.delayed,
        )
        loop = self._loop(inbox, planner, reader, source, stopping)
        planning = threading.Thread(target=self._plan, args=(loop,), name="planner", daemon=True)
        poller.start()
        planning.start()
        try:
            self._write_on(writer)
        except BaseException as error:
            self._outbox.close(error)
            raise
        finally:
            self._outbox.close()
            poller.stop()
            planning.join()
            # Last: when PostgreSQL is away as well this raises, and no thread may be left behind.
            writer.rollback()

    def _changed(self) -> list[str]:
        """Collections whose mapping or whose tables have changed: they are prepared and read again."""
        changed = bootstrap.restore(self._catalogue, self._known)
        tables = {
            each.collection: tables_of(self._catalogue[each.collection].mapping)
            for each in self._known
            if each.state is not CollectionState.DROPPED
        }
        return sorted({*changed, *damaged(self._connection, schema_name(self._stream), tables)})

    def _first_steps(self, planner: Planner, changed: Sequence[str], *, forget_position: bool) -> Iterable[Step]:
        existing = self._list_collections()
        if forget_position:
            answered = [r.id for r in self._board.open_requests() if r.kind == "resync" and r.collection is None]
            return bootstrap.after_lost_history(planner, existing, answered)
        if self._checkpoint.position is None:
            return bootstrap.first_start(planner, existing)
        requested = {r.collection for r in self._board.open_requests() if r.kind == "resync"}
        names = set(self._catalogue) if None in requested else {name for name in requested if name is not None}
        return bootstrap.next_start(planner, changed, existing, names)

    def _loop(
        self,
        inbox: Channel[StreamReply],
        planner: Planner,
        reader: Reader,
        source: SourcePorts,
        stopping: threading.Event,
    ) -> Loop:
        limits = self._limits
        return Loop(
            inbox=inbox,
            batching=Batching(
                planner.position,
                max_events=limits.batch_events,
                max_bytes=limits.batch_bytes,
                groups_inserts=self._facts.groups_inserts,
            ),
            planner=planner,
            snapshots=Snapshots(
                planner,
                reader,
                source,
                chunk_documents=limits.chunk_documents,
                chunk_bytes=limits.chunk_bytes,
                failpoints=self._failpoints,
            ),
            requests=Requests(
                self._board,
                planner,
                reader,
                source,
                on_pause=lambda is_paused: self._observer.paused(is_paused=is_paused),
            ),
            give=self._give,
            clock=time.monotonic,
            pace=limits.pace,
            stopping=stopping,
            tick=lambda: self._observer.ticked("planner"),
            on_idle=gc.collect,
        )

    def _give(self, step: Step) -> None:
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
        writer.begin_renewing()
        while True:
            try:
                step = self._outbox.get(timeout=1.0)
            except StopRequested:
                return
            self._observer.ticked("writer")
            if step is None:
                writer.renew()
            else:
                self._write(writer, step)

    def _write(self, writer: Writer, step: Step) -> None:
        if self._began is None:
            self._began = time.monotonic()
        written = writer.apply(step)
        if written is None or not isinstance(step, Commit):
            return
        altered = self._catalogue.altered
        committed = Committed(
            commit=step,
            rows=written.rows,
            rejected=written.rejected,
            settled=written.settled,
            swept=sum(written.swept.values()),
            altered=altered - self._altered,
            dead_letters=writer.dead_letters,
            seconds=time.monotonic() - self._began,
        )
        self._altered = altered
        self.has_committed = True
        self._began = None
        self._observer.committed(committed)

    def _encode_again(self, changes: Sequence[Any]) -> RowGroup:
        """For the writer's thread: transforms keep no state between documents but a count."""
        return Encoder(self._catalogue.transform_of).encode(changes)

    def _list_collections(self) -> dict[str, SourceCollection]:
        return list_collections(self._database)

    def _estimate(self, collection: str) -> int:
        with translated():
            # The driver refuses names that the server takes, as "a$b", except in commands.
            return int(self._database.command({"count": collection})["n"])

    def _operation_time(self) -> int:
        with translated():
            return to_cluster_time(self._database.command({"ping": 1})["operationTime"])


def keep_collector_out() -> None:
    """Keep the cyclic collector away from large batches: decoding would cost three times as much.

    Decoded documents hold no cycles; what does (exceptions) is collected while the stream is idle.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
