"""Waiting for a server: one episode from its first failure until work gets through again, whatever succeeds between.

A connection proves nothing, nor does one commit: on a full disk a small one may pass where the next fails. So an
episode that begins again soon after its end is the same one, and then ends only after some quiet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from replicator_service.core.errors import DiskFull, Retryable, Server

if TYPE_CHECKING:
    from replicator_service.core.errors import ReplicatorError

RELAPSE_SECONDS = 60.0
"""What fails again within this time had not been over."""

_FIRST_QUIET = 5.0
_LONGEST_QUIET = 60.0


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An error as it is shown. ``server`` is the one that it keeps waiting, if any."""

    kind: str
    message: str
    hint: str
    server: Server | None = None
    is_disk_full: bool = False

    @classmethod
    def of(cls, error: ReplicatorError) -> Self:
        """What is shown of this error."""
        server = error.server if isinstance(error, Retryable) else None
        return cls(type(error).__name__, error.message, error.hint, server, isinstance(error, DiskFull))


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for: since when (on the monotonic clock), why at last, and how often that was tried."""

    since: float
    error: ErrorReport
    attempts: int = 1

    @property
    def server(self) -> Server | None:
        """Which server is waited for, if it is one."""
        return self.error.server


class Waiting:
    """Opens and closes episodes. Belongs to whoever holds the lock around it; times are on the monotonic clock."""

    def __init__(self) -> None:
        self.wait: Wait | None = None
        self._is_stream = False
        self._quiet = 0.0
        self._failed_at = 0.0
        self._ended: tuple[float, Wait] | None = None

    def began(self, error: ReplicatorError, now: float, *, is_stream: bool) -> None:
        """Something failed; ``is_stream``: only an answer of the stream ends this, since commits go on without it."""
        report = ErrorReport.of(error)
        if self.wait is not None:
            self.wait = replace(self.wait, error=report, attempts=self.wait.attempts + 1)
        elif self._ended is not None and now - self._ended[0] <= RELAPSE_SECONDS:
            before = self._ended[1]
            self.wait = replace(before, error=report, attempts=before.attempts + 1)
            self._quiet = min(max(2 * self._quiet, _FIRST_QUIET), _LONGEST_QUIET)
        else:
            self.wait = Wait(now, report)
            self._quiet = 0.0
        self._is_stream = is_stream
        self._failed_at = now

    def answered(self, now: float) -> None:
        """The stream has answered."""
        if self._is_stream:
            self._is_stream = False
            self.progressed(now)

    def progressed(self, now: float) -> None:
        """Work got through: the episode is over, unless it has begun again before."""
        if self.wait is None or self._is_stream or now - self._failed_at < self._quiet:
            return
        self._ended = now, self.wait
        self.wait = None
