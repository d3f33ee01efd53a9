"""How many bytes of snapshots may be read a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicator_service.core.ports import Threads


class Allowance:
    """Spreads bytes over time. Shared by threads: whoever has read waits until that was allowed."""

    def __init__(self, threads: Threads) -> None:
        self._clock = threads.monotonic
        self._condition = threads.condition()
        self._max_bytes: float | None = None
        self._free_at = 0.0
        """When everything that was used is paid for."""
        self._is_closed = False

    def limit(self, max_bytes: float | None) -> None:
        """Change how many bytes a second there are; what waits goes by the new limit."""
        with self._condition:
            if max_bytes != self._max_bytes:
                self._max_bytes = max_bytes
                self._free_at = self._clock()
                self._condition.notify_all()

    def use(self, size: int) -> None:
        """Take so many bytes, and wait until they are allowed."""
        with self._condition:
            if self._max_bytes is None:
                return
            self._free_at = max(self._free_at, self._clock()) + size / self._max_bytes
            while not self._is_closed and (left := self._free_at - self._clock()) > 0:
                self._condition.wait_for(lambda: self._is_closed or self._free_at <= self._clock(), left)

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
