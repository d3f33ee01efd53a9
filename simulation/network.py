"""What lies between a process and a server: time, lost connections, lost answers. All of it the seed's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from greenlet import GreenletExit

from replicator_service.core.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulation.scheduler import Process, Scheduler

T = TypeVar("T")


class Network:
    """One server's connections. ``loss`` is how likely a call loses its connection, ``delay`` how likely it is late."""

    def __init__(self, scheduler: Scheduler, *, loss: float = 0.0, delay: float = 0.02) -> None:
        self._scheduler = scheduler
        self._random = scheduler.random
        self.loss = loss
        self.delay = delay
        self.partitioned: set[Process] = set()
        """Processes that cannot reach the server."""

    def travel(self, process: Process) -> None:
        """One call's way. Raises :class:`Retryable` when the connection is lost."""
        self._scheduler.pause()
        if self._random.random() < self.delay:
            self._scheduler.sleep(self._random.random() ** 4 * 5)
        self.require(process)
        if self.loss and self._random.random() < self.loss:
            raise Retryable("the connection was lost")

    def require(self, process: Process) -> None:
        """Raise :class:`Retryable` when the process cannot reach the server."""
        if self._scheduler.is_closed:
            raise GreenletExit
        if process in self.partitioned:
            raise Retryable("the server cannot be reached")

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self._random.random() < probability

    def number(self, low: int, high: int) -> int:
        """A number between the two, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def choice(self, choices: Sequence[T]) -> T:
        """One of these."""
        return choices[int(self._random.random() * len(choices))]
