"""What goes on being wrong, told in the log without repeating itself: servers that are away, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicator_service.runtime.judgement.service_view import ServiceView
    from replicator_service.runtime.log.logging import Logger
    from replicator_service.runtime.state.waiting import ErrorReport


BACK_SECONDS = 5.0
"""An outage that begins again within this time has not ended."""


class Outage:
    """A server that is waited for: a line when it begins, for every new cause, once a minute, and when it is over."""

    def __init__(self, log: Logger, every_seconds: float) -> None:
        self._log = log
        self._every = every_seconds
        self._errors = 0
        self._began: float | None = None
        self._over_at: float | None = None
        self._told_at = 0.0
        self._attempts = 0
        self._causes: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether something is waited for."""
        return self._began is not None

    def observe(self, service: ServiceView) -> None:
        """Tell what is new."""
        report = service.report
        new, self._errors = report.errors - self._errors, report.errors
        wait = service.wait
        error = wait.error if wait is not None else report.last_error
        if error is not None and (wait is not None or (new and report.failure is None)):
            self._attempts += new
            self._over_at = None
            self._tell(error, service)
        if wait is None and self._began is not None:
            self._tell_end(service, self._began)

    def _tell(self, error: ErrorReport, service: ServiceView) -> None:
        if self._began is None:
            self._began = service.wait.since if service.wait is not None else service.now
        elif error.message in self._causes and service.now - self._told_at < self._every:
            return
        self._causes.add(error.message)
        self._told_at = service.now
        self._log.warning(
            "waiting for a server",
            server=None if error.server is None else error.server.value,
            cause=error.message,
            hint=error.hint,
            waited_seconds=round(service.now - self._began),
            attempts=self._attempts,
            oplog_headroom_seconds=service.oplog_headroom_seconds,
        )

    def _tell_end(self, service: ServiceView, began: float) -> None:
        """Work got through, and went on doing so; a service that failed meanwhile has no end to tell."""
        if self._over_at is None:
            self._over_at = service.now
        if service.report.failure is None:
            if service.now - self._over_at < BACK_SECONDS:
                return
            self._log.info(
                "servers are back",
                waited_seconds=round(self._over_at - began, 1),
                attempts=self._attempts,
                state=service.state.value,
                role=service.report.role.value,
                lag_seconds=service.lag_seconds,
            )
        self._began, self._over_at, self._attempts, self._causes = None, None, 0, set()


class DeadLetters:
    """Dead letters: a line when there are more, at most one a minute, and one when none is left."""

    def __init__(self, log: Logger, every_seconds: float) -> None:
        self._log = log
        self._every = every_seconds
        self._known = 0
        self._told_at: float | None = None

    def observe(self, service: ServiceView) -> None:
        """Tell what is new."""
        if service.database is None or not service.database_seen.is_fresh(service.now):
            return
        count = service.database.dead_letters
        if count > self._known:
            if self._told_at is not None and service.now - self._told_at < self._every:
                return
            self._told_at = service.now
            self._log.warning(
                "there are dead letters",
                dead_letters=count,
                added=count - self._known,
                hint="See their reasons with 'replicator dead-letters list'.",
            )
        elif count == 0 < self._known:
            self._log.info("no dead letters are left")
            self._told_at = None
        self._known = count
