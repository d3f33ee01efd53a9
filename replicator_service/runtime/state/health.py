"""What the service knows of itself, for everybody who asks: one object, written by its threads, read by the others.

States: see :class:`State`. The pipeline reports through the :class:`Observer` interface; nothing here looks at a
database.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.pipeline.observer import Committed, Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replicator_service.core.errors import ReplicatorError


class State(StrEnum):
    """What the service is doing, in the words of every interface."""

    STARTING = "starting"
    SNAPSHOTTING = "snapshotting"
    STREAMING = "streaming"
    CONVERGING = "converging"
    PAUSED = "paused"
    STANDBY = "standby"
    RESYNC_REQUIRED = "resync_required"
    FAILED = "failed"


class Role(StrEnum):
    """Whether this instance writes."""

    LEADER = "leader"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The last error that has not been overcome."""

    kind: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Report:
    """A consistent copy of everything known; times are in seconds.

    ``cluster_time`` is the checkpoint's; ``operation_time`` is the server's latest. ``ticks`` says when each thread
    last turned, on the monotonic clock.
    """

    state: State = State.STARTING
    role: Role = Role.STANDBY
    stream: str = ""
    cluster_time: int | None = None
    converging_until: int | None = None
    operation_time: int | None = None
    oldest_time: int | None = None
    dead_letters: int = 0
    error: ErrorReport | None = None
    last_error: ErrorReport | None = None
    """The same, also when it has been overcome."""
    errors: int = 0
    """How many were reported since the process began: some are overcome between two looks."""
    collection_errors: Mapping[str, ErrorReport] = field(default_factory=dict)
    """What keeps single collections from being read, while the others go on."""
    ticks: dict[str, float] = field(default_factory=dict)
    started: bool = False
    """Whether this instance has led or stood by at least once since it began."""

    @property
    def lag_seconds(self) -> float | None:
        """Server operation time minus the checkpoint's cluster time; None while either is unknown."""
        if self.cluster_time is None or self.operation_time is None:
            return None
        return max(0.0, float((self.operation_time >> 32) - (self.cluster_time >> 32)))

    @property
    def oplog_headroom_seconds(self) -> float | None:
        """How much history is left behind the checkpoint; negative means it is lost."""
        if self.cluster_time is None or self.oldest_time is None:
            return None
        return float((self.cluster_time >> 32) - (self.oldest_time >> 32))

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
        self._is_paused = False
        self._is_snapshotting = False

    def report(self) -> Report:
        """A copy of the present."""
        with self._lock:
            return self._report

    def committed(self, what: Committed) -> None:
        """A commit is durable."""
        with self._lock:
            self._is_snapshotting = what.commit.is_snapshotting
            self._report = replace(
                self._report,
                cluster_time=what.commit.position.cluster_time,
                converging_until=what.commit.converging_until,
                dead_letters=what.dead_letters,
                error=None,
            )
            self._update_state()
        self._on_commit(what)

    def ticked(self, part: str) -> None:
        """A thread has turned."""
        with self._lock:
            self._report.ticks[part] = self._clock()

    def paused(self, *, is_paused: bool) -> None:
        """The stream is held, or goes on."""
        with self._lock:
            self._is_paused = is_paused
            self._update_state()

    def delayed(self, error: ReplicatorError) -> None:
        """The stream waits for a server that lives and does not answer."""
        self.entered(self.report().state, error)

    def streaming_from(self, cluster_time: int) -> None:
        """This instance leads from here on."""
        with self._lock:
            self._report = replace(
                self._report,
                role=Role.LEADER,
                cluster_time=cluster_time,
                error=None,
                started=True,
                collection_errors={},
            )
            self._update_state()

    def standing_by(self, *, cluster_time: int | None) -> None:
        """Another instance leads; ``cluster_time`` is its checkpoint as read from PostgreSQL."""
        with self._lock:
            self._report = replace(
                self._report,
                role=Role.STANDBY,
                state=State.STANDBY,
                cluster_time=cluster_time,
                error=None,
                started=True,
            )

    def collection_failed(self, name: str, error: ReplicatorError | None) -> None:
        """This collection cannot be read (or can be again)."""
        with self._lock:
            errors = {other: each for other, each in self._report.collection_errors.items() if other != name}
            if error is not None:
                errors[name] = ErrorReport(type(error).__name__, error.message, error.hint)
            self._report = replace(self._report, collection_errors=errors)

    def leading(self, *, cluster_time: int | None) -> None:
        """This instance holds the lease; its pipeline does not run yet."""
        with self._lock:
            self._report = replace(self._report, role=Role.LEADER, state=State.STARTING, cluster_time=cluster_time)

    def entered(self, state: State, error: ReplicatorError | None = None) -> None:
        """The supervisor says what state this is, and why."""
        report = None if error is None else ErrorReport(type(error).__name__, error.message, error.hint)
        with self._lock:
            self._report = replace(
                self._report,
                state=state,
                error=report or self._report.error,
                last_error=report or self._report.last_error,
                errors=self._report.errors + (report is not None),
            )

    def observed_source(self, *, operation_time: int | None, oldest_time: int | None) -> None:
        """The monitor has asked MongoDB; None keeps what was known."""
        with self._lock:
            self._report = replace(
                self._report,
                operation_time=operation_time or self._report.operation_time,
                oldest_time=oldest_time or self._report.oldest_time,
            )

    def _update_state(self) -> None:
        if self._report.role is not Role.LEADER:
            return
        if self._is_paused:
            state = State.PAUSED
        elif self._is_snapshotting:
            state = State.SNAPSHOTTING
        elif self._report.converging_until is not None:
            state = State.CONVERGING
        else:
            state = State.STREAMING
        self._report = replace(self._report, state=state)
