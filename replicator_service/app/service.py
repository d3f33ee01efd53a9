"""The composition root: settings become connections, and a supervisor that keeps one term after another going."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tenacity import Retrying, retry_if_exception_type, wait_random_exponential
from tenacity.stop import stop_when_event_set

from replicator_service.configuration.settings import OnHistoryLost, Settings
from replicator_service.core.dead_letter_limit import DeadLetterLimit
from replicator_service.core.errors import (
    Fatal,
    LeaseLost,
    RecordRejected,
    ReplicatorError,
    ResyncRequired,
    Retryable,
    StopRequested,
)
from replicator_service.core.failpoints import Failpoints
from replicator_service.core.position import wall_time
from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Limits, Term
from replicator_service.runtime.state.health import Health, State
from replicator_service.sink.check.start import explained, prepare
from replicator_service.sink.connect.connection import Connection
from replicator_service.sink.connect.connection import connect as connect_sink
from replicator_service.sink.control.checkpoint import Checkpoint, raise_epoch, read_checkpoint
from replicator_service.sink.control.lease import HolderWatch, try_lease
from replicator_service.sink.control.requests import PostgresBoard
from replicator_service.sink.errors import Forbidden
from replicator_service.source.connect.connection import connect as connect_source
from replicator_service.source.connect.connection import disconnect, read_only_database, server_facts

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import Mapping

STANDBY_SECONDS = 1.0
"""How often a standby tries to take the lease."""

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 15.0


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def info(self, event: str, **fields: object) -> object:
        """Something worth a line."""
        ...

    def warning(self, event: str, **fields: object) -> object:
        """Something an operator may want to look at."""
        ...


@dataclass(slots=True)
class _Mode:
    """What one attempt leaves for the next."""

    forget_position: bool = False
    """History was lost: the next term begins at the present and reads everything again."""
    has_committed: bool = False
    """The last term made progress, so waiting begins anew with its first, short pause."""


class Service:
    """Replicates one database for as long as it is let. ``run`` blocks."""

    def __init__(
        self,
        settings: Settings,
        mapping: Mapping,
        *,
        health: Health,
        log: Log,
        failpoints: Failpoints | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._settings = settings
        self._mapping = mapping
        self._health = health
        self._log = log
        self._failpoints = failpoints or Failpoints()
        self._limits = limits or limits_of(settings)
        self._mode = _Mode()

    @property
    def stream(self) -> str:
        """The stream's name: the database's."""
        return self._settings.mongo_database

    def run(self, stopping: threading.Event) -> None:
        """Lead or stand by until ``stopping`` is set; servers that are away are waited for, forever.

        Raises :class:`ResyncRequired` never (it is handled), :class:`Fatal` and its kin for a person.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(Retryable),
            wait=wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            stop=stop_when_event_set(stopping),
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
                self._health.entered(State.FAILED, error)
                raise

    def _once(self, stopping: threading.Event) -> None:
        """Connect, lead (or stand by) until something ends it. Errors decide what is next."""
        self._mode.has_committed = False
        try:
            self._connect_and_lead(stopping)
        except ResyncRequired as error:
            self._log.warning("history lost", cause=error.message, policy=self._settings.on_history_lost.value)
            self._health.entered(State.RESYNC_REQUIRED, error)
            self._mode.forget_position = True
        except LeaseLost as error:
            self._log.warning("lease lost", cause=error.message)
        except RecordRejected as error:
            # What no document causes (a drop, a rename, the end of a resync) cannot become a dead letter.
            raise Fatal(error.message, hint=error.hint) from error
        except Forbidden as error:
            with self._connect_sink("replicator check", durable=True) as connection:
                raise explained(connection, self.stream, self._mapping, error) from error
        except Retryable as error:
            # The narrator tells of it: once, and then now and then, however often this tries.
            self._health.entered(self._health.report().state, error)
            if not self._mode.has_committed:
                raise
            self._wait(stopping, _FIRST_WAIT)

    def _connect_and_lead(self, stopping: threading.Event) -> None:
        settings = self._settings
        client = connect_source(settings.mongo_uri.get_secret_value())
        try:
            facts = server_facts(client)
            connection = self._connect_sink("replicator writer", durable=False)
            try:
                self._stand_by(connection, stopping)
                checkpoint = self._take_over(connection, stopping)
                with self._connect_sink("replicator requests", durable=True) as board_connection:
                    term = Term(
                        client=client,
                        database=read_only_database(client, settings.mongo_database),
                        facts=facts,
                        connection=connection,
                        stream=self.stream,
                        checkpoint=checkpoint,
                        mapping=self._mapping,
                        board=PostgresBoard(board_connection, self.stream),
                        limits=self._limits,
                        dead_letter_limit=DeadLetterLimit(
                            max_run=settings.dead_letter_max_run, max_share=settings.dead_letter_max_share
                        ),
                        observer=self._health,
                        failpoints=self._failpoints,
                    )
                    self._log.info("leading", epoch=checkpoint.epoch, checkpoint=_wall_time(checkpoint))
                    forget, self._mode.forget_position = self._mode.forget_position, False
                    try:
                        term.run(stopping, forget_position=forget)
                    finally:
                        self._mode.has_committed = term.has_committed
            finally:
                connection.close()
        finally:
            disconnect(client)

    def _connect_sink(self, name: str, *, durable: bool) -> Connection:
        return connect_sink(self._settings.postgres_dsn.get_secret_value(), application_name=name, durable=durable)

    def _stand_by(self, connection: Connection, stopping: threading.Event) -> None:
        """Wait until this connection holds the lease."""
        prepare(connection, self.stream, self._mapping)
        is_waiting = False
        holder = HolderWatch(connection, self.stream, seconds=self._settings.lease_seconds, clock=time.monotonic)
        while not try_lease(connection, self.stream):
            if holder.end_if_frozen():
                self._log.warning("ended the session of a leader that is frozen")
                continue
            if holder.refusal is not None:
                self._log.warning(
                    "may not end the session of a leader that is frozen",
                    cause=holder.refusal,
                    hint="Let all instances use one role, or grant pg_signal_backend; or end that process.",
                )
                holder.refusal = None
            checkpoint = read_checkpoint(connection, self.stream)
            position = checkpoint.position if checkpoint else None
            self._health.standing_by(cluster_time=position.cluster_time if position else None)
            if not is_waiting:
                self._log.info("standing by", checkpoint=_wall_time(checkpoint))
                is_waiting = True
            self._health.ticked("standby")
            self._wait(stopping, STANDBY_SECONDS)

    def _take_over(self, connection: Connection, stopping: threading.Event) -> Checkpoint:
        """Raise the epoch; when the position is lost and a person shall decide, wait for their word."""
        checkpoint = raise_epoch(connection, self.stream)
        if not self._mode.forget_position or self._settings.on_history_lost is OnHistoryLost.RESYNC:
            return checkpoint
        board = PostgresBoard(connection, self.stream)
        while not self._resync_requested(board):
            self._health.ticked("waiting")
            self._wait(stopping, STANDBY_SECONDS)
        return checkpoint

    @staticmethod
    def _resync_requested(board: PostgresBoard) -> bool:
        requests: Sequence[str] = [r.kind for r in board.open_requests() if r.collection is None]
        return "resync" in requests

    @staticmethod
    def _wait(stopping: threading.Event, seconds: float) -> None:
        if stopping.wait(seconds):
            raise StopRequested("stop was requested")


def _wall_time(checkpoint: Checkpoint | None) -> str | None:
    """From when the stream goes on, for the log; None before the first commit."""
    position = checkpoint.position if checkpoint else None
    return None if position is None else wall_time(position.cluster_time).isoformat()


def limits_of(settings: Settings) -> Limits:
    """The pipeline's bounds from the settings."""
    return Limits(
        batch_events=settings.batch_max_events,
        batch_bytes=settings.batch_max_bytes,
        chunk_documents=settings.chunk_documents,
        pace=Pace(batch_seconds=settings.batch_max_ms / 1_000),
    )
