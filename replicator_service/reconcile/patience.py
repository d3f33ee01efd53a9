"""Waiting for what passes by itself, up to a bound."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.errors import ReplicatorError

_FIRST_WAIT = 0.05
_LONGEST_WAIT = 1.0


class Patience:
    """A bound in seconds from now. The waits grow."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._deadline = clock() + seconds
        self._wait = _FIRST_WAIT

    def wait(self, reason: ReplicatorError) -> None:
        """Wait a little. Raises ``reason`` when the time is over."""
        if self._clock() >= self._deadline:
            raise reason
        self._sleep(self._wait)
        self._wait = min(self._wait * 1.5, _LONGEST_WAIT)
