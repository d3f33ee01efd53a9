"""What the service knows of itself, for everybody who asks: one object, written by its threads, read by the others.

The state follows from what has been reported, see :meth:`Health._derived`: nobody sets it. The pipeline reports through
the :class:`Observer` interface; nothing here looks at a database.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

from replicator_service.core.read_from import Reading
from replicator_service.pipeline.observer import Committed, Observer
from replicator_service.runtime.state.waiting import ErrorReport, Wait, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replicator_service.core.abilities import Abilities
    from replicator_service.core.errors import ReplicatorError, Retryable
    from replicator_service.runtime.webhook.delivery import Deliveries


class State(StrEnum):
    """What the service is doing, in the words of every interface."""

    STARTING = "starting"
    WAITING = "waiting"
    SNAPSHOTTING = "snapshotting"
    STREAMING = "streaming"
    CONVERGING = "converging"
    PAUSED = "paused"
    STANDBY = "standby"
    RESYNC_REQUIRED = "resync_required"
    FAILED = "failed"


RUNNING = frozenset({State.SNAPSHOTTING, State.STREAMING, State.CONVERGING, State.PAUSED})
"""The states of a leader whose pipeline runs."""


class Role(StrEnum):
    """Whether this instance holds the lease: only then does it write."""

    LEADER = "leader"
    STANDBY = "standby"


class _Phase(Enum):
    STARTING = auto()
    STANDBY = auto()
    RUNNING = auto()
    RESYNC_REQUIRED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Report:
    """A consistent copy of everything known; times are in seconds.

    ``cluster_time`` is the checkpoint's; ``operation_time`` is the server's latest. ``ticks`` says when each thread
    last turned, and ``current_at`` when PostgreSQL was last known to have all that MongoDB had, on the monotonic clock.
    """

    state: State = State.STARTING
    role: Role = Role.STANDBY
    stream: str = ""
    cluster_time: int | None = None
    converging_until: int | None = None
    operation_time: int | None = None
    oldest_time: int | None = None
    current_at: float | None = None
    dead_letters: int = 0
    wait: Wait | None = None
    """What is waited for at present."""
    failure: ErrorReport | None = None
    """What waiting does not overcome: history is lost, or the service has failed."""
    last_error: ErrorReport | None = None
    """The last of either, also when it has been overcome."""
    errors: int = 0
    """How many were reported since the process began: some are overcome between two looks."""
    collection_errors: Mapping[str, ErrorReport] = field(default_factory=dict)
    """What keeps single collections from being read, while the others go on."""
    ticks: dict[str, float] = field(default_factory=dict)
    abilities: Abilities | None = None
    """What MongoDB was found to be able to do when this instance connected last."""
    reading: Reading = field(default_factory=Reading)
    """Which member of MongoDB's replica set is read from."""
    deliveries: Deliveries | None = None
    """What became of the webhook's messages; None without a webhook."""
    fallbacks: int = 0
    """How often the primary was read instead of a secondary."""
    started: bool = False
    """Whether this instance has led or stood by at least once since it began."""

    @property
    def error(self) -> ErrorReport | None:
        """The last error that has not been overcome."""
        return self.failure or (self.wait.error if self.wait else None)

    @property
    def is_converging(self) -> bool:
        """Whether some rows may be newer than the checkpoint."""
        return self.converging_until is not None


class Health(Observer):
    """The live object behind :class:`Report`. Every method may be called from any thread."""

    def __init__(
        self,
        stream: str,
        *,
        clock: Callable[[], float],
        on_commit: Callable[[Committed], None] = lambda _: None,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._on_commit = on_commit
        self._report = Report(stream=stream)
        self._phase = _Phase.STARTING
        self._waiting = Waiting()
        self._is_paused = False
        self._is_snapshotting = False
        self._received = 0
        """The cluster time up to which events have come: they are committed when the checkpoint is there."""

    def report(self) -> Report:
        """A copy of the present."""
        with self._lock:
            return self._report

    def committed(self, what: Committed) -> None:
        """A commit is durable. One of a term that only begins proves nothing: each term can begin."""
        with self._lock:
            self._is_snapshotting = what.commit.is_snapshotting
            if self._phase is _Phase.RUNNING:
                self._waiting.progressed(self._clock())
            self._show(
                replace(
                    self._report,
                    cluster_time=what.commit.position.cluster_time,
                    converging_until=what.commit.converging_until,
                    dead_letters=what.dead_letters,
                )
            )
        self._on_commit(what)

    def ticked(self, part: str) -> None:
        """A thread has turned."""
        with self._lock:
            self._report.ticks[part] = self._clock()
            if self._is_paused and self._phase is _Phase.RUNNING and self._waiting.wait is not None:
                # A paused planner turns by asking PostgreSQL, and never commits.
                self._waiting.progressed(self._clock())
                self._show(self._report)

    def paused(self, *, is_paused: bool) -> None:
        """The stream is paused, or continues."""
        with self._lock:
            self._is_paused = is_paused
            if is_paused:
                # Nothing will commit now; whoever says this has asked PostgreSQL.
                self._waiting.progressed(self._clock())
            self._show(self._report)

    def answered(self, cluster_time: int, *, has_events: bool) -> None:
        """The stream has brought everything up to here; without events, everything that MongoDB had just now."""
        with self._lock:
            now = self._clock()
            self._waiting.answered(now)
            if has_events:
                self._received = max(self._received, cluster_time)
            # That a secondary has nothing to bring says nothing: it may lag behind the primary.
            is_silent = not has_events and self._report.reading.member is None
            is_current = is_silent and (self._report.cluster_time or 0) >= self._received
            self._show(replace(self._report, current_at=now if is_current else self._report.current_at))

    def delayed(self, error: ReplicatorError) -> None:
        """The stream waits for a server that lives and does not answer; the lease is kept."""
        with self._lock:
            self._waiting.began(error, self._clock(), is_stream=True)
            self._failed(error, self._report)

    def waits(self, error: Retryable) -> None:
        """The term has ended, and with it the lease: the service tries again until this is over."""
        with self._lock:
            self._waiting.began(error, self._clock(), is_stream=False)
            self._phase = _Phase.STARTING
            self._failed(error, replace(self._report, role=Role.STANDBY))

    def probed(self, abilities: Abilities) -> None:
        """MongoDB was asked what it can do."""
        with self._lock:
            self._show(replace(self._report, abilities=abilities))

    def reads_from(self, reading: Reading, *, fell_back: bool) -> None:
        """Documents and changes are read from another member than before."""
        with self._lock:
            self._show(replace(self._report, reading=reading, fallbacks=self._report.fallbacks + fell_back))

    def delivered(self, deliveries: Deliveries) -> None:
        """The webhook has delivered a message, or has not."""
        with self._lock:
            self._show(replace(self._report, deliveries=deliveries))

    def stepped_down(self) -> None:
        """Another instance has taken the lease."""
        with self._lock:
            self._phase = _Phase.STARTING
            self._show(replace(self._report, role=Role.STANDBY))

    def standing_by(self, *, cluster_time: int | None) -> None:
        """Another instance leads; ``cluster_time`` is its checkpoint as read from PostgreSQL."""
        with self._lock:
            self._phase = _Phase.STANDBY
            self._waiting.progressed(self._clock())
            self._show(replace(self._report, role=Role.STANDBY, cluster_time=cluster_time, failure=None, started=True))

    def leading(self, *, cluster_time: int | None) -> None:
        """This instance holds the lease; its pipeline does not run yet."""
        with self._lock:
            self._phase = _Phase.STARTING
            self._show(replace(self._report, role=Role.LEADER, cluster_time=cluster_time, failure=None))

    def streaming_from(self, cluster_time: int) -> None:
        """The pipeline runs from here on. What was waited for is over with its first commit, not before."""
        with self._lock:
            self._phase = _Phase.RUNNING
            self._received = cluster_time
            self._show(
                replace(
                    self._report,
                    role=Role.LEADER,
                    cluster_time=cluster_time,
                    failure=None,
                    started=True,
                    collection_errors={},
                )
            )

    def resync_required(self, error: ReplicatorError) -> None:
        """The position is lost; the lease is kept."""
        with self._lock:
            self._phase = _Phase.RESYNC_REQUIRED
            self._waiting.progressed(self._clock())
            self._failed(error, replace(self._report, failure=ErrorReport.of(error)))

    def failed(self, error: ReplicatorError) -> None:
        """The service ends by this error."""
        with self._lock:
            self._phase = _Phase.FAILED
            self._failed(error, replace(self._report, role=Role.STANDBY, failure=ErrorReport.of(error)))

    def collection_failed(self, name: str, error: ReplicatorError | None) -> None:
        """This collection cannot be read (or can be again)."""
        with self._lock:
            errors = {other: each for other, each in self._report.collection_errors.items() if other != name}
            if error is not None:
                errors[name] = ErrorReport.of(error)
            self._show(replace(self._report, collection_errors=errors))

    def observed_source(self, *, operation_time: int | None, oldest_time: int | None) -> None:
        """The monitor has asked MongoDB; None keeps what was known."""
        with self._lock:
            self._show(
                replace(
                    self._report,
                    operation_time=operation_time or self._report.operation_time,
                    oldest_time=oldest_time or self._report.oldest_time,
                )
            )

    def _failed(self, error: ReplicatorError, report: Report) -> None:
        self._show(replace(report, last_error=ErrorReport.of(error), errors=report.errors + 1))

    def _show(self, report: Report) -> None:
        wait = self._waiting.wait
        state = self._derived(report, wait)
        if report is not self._report or report.wait is not wait or report.state is not state:
            self._report = replace(report, wait=wait, state=state)

    def _derived(self, report: Report, wait: Wait | None) -> State:
        if self._phase is _Phase.FAILED:
            return State.FAILED
        if self._phase is _Phase.RESYNC_REQUIRED:
            return State.RESYNC_REQUIRED
        if wait is not None:
            return State.WAITING
        if self._phase is _Phase.STANDBY:
            return State.STANDBY
        if self._phase is _Phase.STARTING:
            return State.STARTING
        if self._is_paused:
            return State.PAUSED
        if self._is_snapshotting:
            return State.SNAPSHOTTING
        return State.STREAMING if report.converging_until is None else State.CONVERGING
