"""The composition root: settings become connections, and a supervisor that keeps one term after another going."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

from replicator_service.app.servers import RealServers
from replicator_service.configuration.settings import OnHistoryLost, Settings
from replicator_service.core.dead_letter_limit import DeadLetterLimit
from replicator_service.core.errors import (
    ConfigurationError,
    LeaseLost,
    ReplicatorError,
    ResyncRequired,
    Retryable,
    StopRequested,
)
from replicator_service.core.failpoints import Failpoints
from replicator_service.core.position import wall_time
from replicator_service.core.times import time_text
from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Doors, Limits, Term
from replicator_service.runtime.threads import MachineThreads

if TYPE_CHECKING:
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.ports import Event, Threads
    from replicator_service.core.sessions import Checkpoint, LeaderSession, Servers
    from replicator_service.runtime.state.health import Health

STANDBY_SECONDS = 1.0
"""How often a standby tries to take the lease."""

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 15.0
_REPEATED = 3


class Log(Protocol):
    """The part of :class:`replicator_service.runtime.log.logging.Logger` that is used here."""

    def info(self, event: str, **fields: object) -> object:
        """Something worth a line."""
        ...

    def warning(self, event: str, **fields: object) -> object:
        """Something an operator may want to look at."""
        ...


@dataclass(slots=True)
class _Failures:
    """Failures in a row: what is shown of them, never what is done about them."""

    has_progressed: bool = False
    """The last attempt committed something, so waiting begins anew with its first, short pause."""
    _last: tuple[str, str] | None = None
    _count: int = 0

    def begin(self) -> None:
        """Another attempt."""
        if self.has_progressed:
            self._last, self._count = None, 0
        self.has_progressed = False

    def named(self, error: Retryable) -> Retryable:
        """The error, called what it is when it comes for the third time in a row."""
        this = (type(error).__name__, error.message)
        self._count = self._count + 1 if this == self._last else 1
        self._last = this
        if self._count < _REPEATED:
            return error
        return type(error)(f"{error.message} (at every attempt)", hint=error.hint)


class Service:
    """Replicates one database for as long as it is let. ``run`` blocks.

    Nothing is remembered from one term to the next: each decides from what PostgreSQL holds and MongoDB answers.
    """

    def __init__(
        self,
        settings: Settings,
        mapping: Mapping,
        *,
        health: Health,
        log: Log,
        servers: Servers | None = None,
        threads: Threads | None = None,
        failpoints: Failpoints | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._settings = settings
        self._mapping = mapping
        self._health = health
        self._log = log
        self._servers = servers or RealServers(settings, mapping, health)
        self._threads = threads or MachineThreads()
        self._failpoints = failpoints or Failpoints()
        self._limits = limits or limits_of(settings)
        self._failures = _Failures()

    @property
    def stream(self) -> str:
        """The stream's name: the database's."""
        return self._settings.mongo_database

    def run(self, stopping: Event) -> None:
        """Lead or stand by until ``stopping`` is set; servers that are away are waited for, forever.

        Raises :class:`ResyncRequired` never (it is handled), :class:`Fatal` and its kin for a person.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(Retryable),
            wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            stop=lambda _: stopping.is_set(),
            sleep=lambda seconds: self._wait(stopping, seconds),
            reraise=True,
        )
        while not stopping.is_set():
            try:
                retrying(self._once, stopping)
            except StopRequested:
                return
            except Retryable:
                if not stopping.is_set():
                    raise
            except ReplicatorError as error:
                self._health.failed(error)
                raise

    def _once(self, stopping: Event) -> None:
        """Connect, lead (or stand by) until something ends it. Errors decide what is next."""
        self._failures.begin()
        try:
            self._connect_and_lead(stopping)
        except LeaseLost as error:
            self._log.warning("lease lost", cause=error.message)
            self._health.stepped_down()
        except ConfigurationError as error:
            raise self._servers.explained(error) from error
        except Retryable as error:
            # The progress log tells of it: once, and then now and then, however often this tries.
            self._health.waits(self._failures.named(error))
            if not self._failures.has_progressed:
                raise
            self._wait(stopping, _FIRST_WAIT)

    def _connect_and_lead(self, stopping: Event) -> None:
        with closing(self._servers.open_source()) as source, closing(self._servers.open_leader()) as leader:
            self._stand_by(leader, stopping)
            seen = self._health.report().cluster_time
            checkpoint = leader.raise_epoch()
            self._tell_what_is_lost(seen, checkpoint)
            with closing(self._servers.open_operator()) as operator, closing(source.beside()) as beside:
                position = checkpoint.position
                self._health.leading(cluster_time=position.cluster_time if position else None)
                if self._health.report().wait is None:
                    # In an outage the lease may be taken at every try: its end says who leads.
                    self._log.info("leading", epoch=checkpoint.epoch, checkpoint=_wall_time(checkpoint))
                if position is None and not any(each.is_streamed for each in source.collections().values()):
                    self._log.warning(
                        "nothing to replicate yet",
                        cause=f"There is no collection in the database {self.stream} that may cross.",
                        hint="If that is a surprise, check REPLICATOR_MONGO_DATABASE: 'replicator check' names the "
                        "databases that there are. Collections that are made later are replicated from then on.",
                    )
                self._lead(Doors(source, beside, leader, operator), checkpoint, stopping)

    def _tell_what_is_lost(self, seen: int | None, checkpoint: Checkpoint) -> None:
        """Say that PostgreSQL is at an earlier position than before, ``seen``. Its rows are of then, too.

        The stream goes on from the earlier position; where MongoDB's history does not reach so far back, that is lost
        history like any other.
        """
        position = checkpoint.position
        if seen is not None and position is not None and position.cluster_time < seen:
            self._log.warning(
                "postgresql has lost its last commits",
                cause="A standby was promoted that did not have them, PostgreSQL crashed, or a backup was restored.",
                reached=time_text(wall_time(seen)),
                checkpoint=_wall_time(checkpoint),
                hint="Nothing to do here: they are read again from MongoDB. Others who read those rows have seen what "
                "is gone for a moment.",
            )

    def _lead(self, doors: Doors, checkpoint: Checkpoint, stopping: Event) -> None:
        """One term after the other, as long as this session leads."""
        anew = False
        while not stopping.is_set():
            term = Term(
                doors,
                checkpoint=checkpoint,
                mapping=self._mapping,
                limits=self._limits,
                dead_letter_limit=DeadLetterLimit(
                    max_run=self._settings.dead_letter_max_run, max_share=self._settings.dead_letter_max_share
                ),
                observer=self._health,
                failpoints=self._failpoints,
                threads=self._threads,
            )
            try:
                term.run(stopping, anew=anew)
            except ResyncRequired as error:
                self._log.warning(
                    "history lost",
                    cause=error.message,
                    policy=self._settings.on_history_lost.value,
                    hint=f"'{error.command}' reads everything again. {error.hint}".strip()
                    if self._settings.on_history_lost is OnHistoryLost.STOP
                    else "Everything is read again, by itself.",
                )
                self._health.resync_required(error)
                self._decide(doors, stopping)
                anew = True
            finally:
                self._failures.has_progressed |= term.has_committed
            checkpoint = doors.leader.checkpoint() or checkpoint

    def _decide(self, doors: Doors, stopping: Event) -> None:
        """The position is lost: what is next is a matter of policy, and then of a person's word."""
        if self._settings.on_history_lost is OnHistoryLost.RESYNC:
            self._wait(stopping, _FIRST_WAIT)
            return
        doors.leader.promise_renewal()
        while not any(each.kind == "resync" and each.collection is None for each in doors.operator.open_requests()):
            doors.leader.renew()
            self._health.ticked("waiting")
            self._wait(stopping, STANDBY_SECONDS)

    def _stand_by(self, leader: LeaderSession, stopping: Event) -> None:
        """Wait until this session holds the lease."""
        is_waiting = False
        while not leader.try_lease():
            try:
                if leader.end_frozen_leader(self._settings.lease_seconds):
                    self._log.warning("ended the session of a leader that is frozen")
                    continue
            except ConfigurationError as error:
                self._log.warning(
                    "may not end the session of a leader that is frozen",
                    cause=error.message,
                    hint="Let all instances use one role, or grant pg_signal_backend; or end that process.",
                )
            checkpoint = leader.checkpoint()
            position = checkpoint.position if checkpoint else None
            self._health.standing_by(cluster_time=position.cluster_time if position else None)
            if not is_waiting:
                self._log.info("standing by", checkpoint=_wall_time(checkpoint))
                is_waiting = True
            self._health.ticked("standby")
            self._wait(stopping, STANDBY_SECONDS)

    @staticmethod
    def _wait(stopping: Event, seconds: float) -> None:
        if stopping.wait(seconds):
            raise StopRequested("stop was requested")


def _wall_time(checkpoint: Checkpoint | None) -> str | None:
    """From when the stream goes on, for the log; None before the first commit."""
    position = checkpoint.position if checkpoint else None
    return None if position is None else time_text(wall_time(position.cluster_time))


def limits_of(settings: Settings) -> Limits:
    """The pipeline's bounds from the settings."""
    return Limits(
        batch_events=settings.batch_max_events,
        batch_bytes=settings.batch_max_bytes,
        chunk_documents=settings.chunk_documents,
        snapshot_workers=settings.snapshot_workers,
        snapshot_max_mb_s=settings.snapshot_max_mb_s,
        pace=Pace(batch_seconds=settings.batch_max_ms / 1_000),
    )
