"""The service as it is now, put together from what the pipeline reports and what the monitor has seen of the servers.

What was seen too long ago is unknown, not unchanged: a lag that reads 0 while nothing moves would hide the very thing
it is for.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from replicator_service.core.errors import Server
from replicator_service.core.overview import DatabaseView
from replicator_service.runtime.state.health import RUNNING, Health, Report, Role, State
from replicator_service.runtime.state.sightings import Passed, Sightings
from replicator_service.runtime.state.snapshot_pace import SnapshotPace
from replicator_service.runtime.state.waiting import ErrorReport, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replicator_service.core.overview import SourceView
    from replicator_service.runtime.state.activity import Activity, Movement

FRESH_SECONDS = 15.0
"""For how long something seen counts as current."""

SILENT_SECONDS = 8.0
"""A stream that has not answered for so long is waited for: it is asked to answer within a second, and its first
deadline is five more. Later deadlines may be longer, since a server may rightly take its time; the wait is one all the
same."""

_RHYTHM_SECONDS = 2.0
"""How far apart two empty answers of an idle stream, or two looks of the monitor, may be: that is no lag."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the monitor saw of a server, and when on the monotonic clock. ``problem`` is why it sees nothing now."""

    at: float | None = None
    problem: str | None = None

    def is_fresh(self, now: float) -> bool:
        """Whether it may be shown as current."""
        return self.at is not None and now - self.at <= FRESH_SECONDS


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One consistent view of everything. ``now`` is on the monotonic clock, like every tick in ``report``.

    ``database`` and ``source`` are the latest that was seen; ``source_seen`` and ``database_seen`` tell how old that
    is.
    """

    now: float
    report: Report
    source: SourceView | None = None
    database: DatabaseView | None = None
    source_seen: Sighting = field(default_factory=Sighting)
    database_seen: Sighting = field(default_factory=Sighting)
    writer_seen: Sighting = field(default_factory=Sighting)
    """When PostgreSQL last told whether the writer waits for it."""
    movements: Mapping[str, Movement] = field(default_factory=dict)
    """By collection, as far as this process has committed changes of it."""
    snapshot_seconds_left: Mapping[str, float] = field(default_factory=dict)
    """By collection, an estimate while its snapshot advances."""
    snapshot_documents_per_second: Mapping[str, float] = field(default_factory=dict)
    snapshot_bytes_per_second: Mapping[str, float] = field(default_factory=dict)
    passed: Passed | None = None
    """The last of MongoDB's times that the checkpoint has reached."""

    @property
    def state(self) -> State:
        """The state of this instance."""
        return self.report.state if self.wait is None or self.report.failure else State.WAITING

    @property
    def wait(self) -> Wait | None:
        """What is waited for: the pipeline says so, or its stream has been silent for too long."""
        report = self.report
        if report.wait is not None or report.state not in RUNNING - {State.PAUSED}:
            return report.wait
        turned = report.ticks.get("stream-reader", self.now)
        if self.now - turned <= SILENT_SECONDS:
            return None
        hint = "Nothing to do if it happens once. Otherwise look for a firewall that forgets connections, and at the "
        no_answer = ErrorReport(
            "NoAnswer", "MongoDB does not answer the change stream", f"{hint}load of the server.", Server.MONGODB
        )
        return Wait(turned, no_answer)

    @property
    def error(self) -> ErrorReport | None:
        """The last error that has not been overcome."""
        return self.report.failure or (self.wait.error if self.wait else None)

    @property
    def is_moving(self) -> bool:
        """Whether changes arrive in PostgreSQL: by this leader, or for a standby, by the one that holds the lease."""
        if self.state is State.STANDBY:
            return self.database is not None and self.database.leader is not None
        return self.state in RUNNING - {State.PAUSED}

    @property
    def is_leader(self) -> bool:
        """Whether this instance writes."""
        return self.report.role is Role.LEADER

    @property
    def cluster_time(self) -> int | None:
        """The checkpoint's cluster time: our own, or before the first commit the one in PostgreSQL."""
        if self.report.cluster_time is not None:
            return self.report.cluster_time
        return self.database.cluster_time if self.database else None

    @property
    def is_writing(self) -> bool:
        """Whether the writer waits for PostgreSQL at present."""
        is_fresh = self.writer_seen.is_fresh(self.now) or self.database_seen.is_fresh(self.now)
        return is_fresh and self.database is not None and self.database.is_writing

    @property
    def lag_seconds(self) -> float | None:
        """For how long MongoDB has had something that PostgreSQL has not; None while that is not known at present.

        MongoDB's time moves without any change, and the checkpoint only with the next one, so their difference is a
        bound. The smallest of three counts: that, the time since the stream had nothing left to bring, and the time
        since MongoDB was seen at a time that the checkpoint has reached. While nothing can move it grows all the same.
        """
        if self.cluster_time is None or self.source is None or not self.source_seen.is_fresh(self.now):
            return None
        age = _beyond_rhythm(self.now - (self.source_seen.at or self.now))
        lag = max(0.0, float((self.source.operation_time >> 32) - (self.cluster_time >> 32))) + age
        if self.report.current_at is not None and self.report.state in RUNNING:
            lag = min(lag, _beyond_rhythm(self.now - self.report.current_at))
        if self.passed is not None:
            lag = min(lag, _beyond_rhythm(self.now - self.passed.at))
        return lag if self.wait is None else max(lag, self.now - self.wait.since)

    @property
    def oplog_headroom_seconds(self) -> float | None:
        """How much history is left behind the checkpoint; negative means that it is lost."""
        if self.cluster_time is None or self.source is None or self.source.oldest_time is None:
            return None
        return float((self.cluster_time >> 32) - (self.source.oldest_time >> 32))

    @property
    def oplog_is_whole(self) -> bool:
        """Whether MongoDB has never discarded a change: then a short headroom only says that it is young."""
        return self.source is not None and self.source.oplog_is_whole

    @property
    def is_converging(self) -> bool:
        """Whether some rows may be newer than the checkpoint."""
        if self.is_leader or self.database is None:
            return self.report.is_converging
        until, now = self.database.converging_until, self.database.cluster_time
        return until is not None and now is not None and until > now

    @property
    def dead_letters(self) -> int:
        """How many there are: PostgreSQL knows, and while it is away the latest commit does."""
        if self.database is not None and self.database_seen.is_fresh(self.now):
            return self.database.dead_letters
        return self.report.dead_letters


class Watch:
    """Holds the latest of everything; written by the monitor's threads, read by whoever shows it."""

    def __init__(self, health: Health, *, clock: Callable[[], float], activity: Activity | None = None) -> None:
        self._health = health
        self._clock = clock
        self._activity = activity
        self._pace = SnapshotPace()
        self._lock = threading.Lock()
        self._source: SourceView | None = None
        self._database: DatabaseView | None = None
        self._source_seen = Sighting()
        self._database_seen = Sighting()
        self._writer_seen = Sighting()
        self._sightings = Sightings()

    def writer_seen(self, *, is_writing: bool) -> None:
        """PostgreSQL has told whether the writer waits for it."""
        with self._lock:
            self._database = replace(self._database or DatabaseView(), is_writing=is_writing)
            self._writer_seen = Sighting(self._clock())

    def source_seen(self, view: SourceView) -> None:
        """MongoDB has answered."""
        with self._lock:
            now = self._clock()
            self._source, self._source_seen = view, Sighting(now)
            self._sightings.add(view.operation_time, now)
        self._health.observed_source(operation_time=view.operation_time, oldest_time=view.oldest_time)

    def source_missed(self, problem: str) -> None:
        """MongoDB has not answered."""
        with self._lock:
            self._source_seen = Sighting(self._source_seen.at, problem)

    def database_seen(self, view: DatabaseView) -> None:
        """PostgreSQL has answered."""
        with self._lock:
            now = self._clock()
            self._database, self._database_seen = view, Sighting(now)
            snapshots = view.load.snapshots if view.load is not None else {}
            self._pace.seen(now, view.collections, {name: each.bytes for name, each in snapshots.items()})

    def database_missed(self, problem: str) -> None:
        """PostgreSQL has not answered."""
        with self._lock:
            self._database_seen = Sighting(self._database_seen.at, problem)

    def service_view(self) -> ServiceView:
        """Everything as it is now."""
        report = self._health.report()
        movements = self._activity.movements() if self._activity else {}
        with self._lock:
            service = ServiceView(
                self._clock(),
                report,
                self._source,
                self._database,
                self._source_seen,
                self._database_seen,
                self._writer_seen,
                movements,
                self._pace.seconds_left(),
                self._pace.documents_per_second(),
                self._pace.bytes_per_second(),
            )
            return replace(service, passed=self._sightings.passed(service.cluster_time))


def _beyond_rhythm(seconds: float) -> float:
    return seconds if seconds > _RHYTHM_SECONDS else 0.0
