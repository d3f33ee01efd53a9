"""Threads, waiting and time of one simulated process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulation.scheduler import Process, Scheduler, Task


class SimulatedThread:
    """A task as the service sees it."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._task = task

    def join(self) -> None:
        """Wait until it has ended."""
        self._scheduler.join(self._task)


class SimulatedCondition:
    """A lock with waiters. Notifying wakes all of them, in an order of the scheduler's."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._owner: Task | None = None
        self._wanting: list[Task] = []
        self._waiting: list[Task] = []

    def __enter__(self) -> bool:
        self._scheduler.pause()
        self._acquire()
        return True

    def __exit__(self, *error: object) -> None:
        self._release()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until the predicate holds, or the timeout (seconds) is over and return what the predicate says."""
        scheduler = self._scheduler
        end = None if timeout is None else scheduler.now + timeout
        while not predicate():
            left = None if end is None else end - scheduler.now
            if left is not None and left <= 0:
                return False
            task = scheduler.current
            self._waiting.append(task)
            self._release()
            scheduler.wait(left)
            if task in self._waiting:
                self._waiting.remove(task)
            self._acquire()
        return True

    def notify_all(self) -> None:
        """Let whoever waits look again."""
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)

    def _acquire(self) -> None:
        while self._owner is not None:
            self._wanting.append(self._scheduler.current)
            self._scheduler.wait()
        self._owner = self._scheduler.current

    def _release(self) -> None:
        self._owner = None
        wanting, self._wanting = self._wanting, []
        for task in wanting:
            self._scheduler.wake(task)


class SimulatedEvent:
    """Something that happens once."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_set = False
        self._waiting: list[Task] = []

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Set it, for ever."""
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or the timeout (seconds) is over and return whether it is set."""
        scheduler = self._scheduler
        end = None if timeout is None else scheduler.now + timeout
        while not self._is_set:
            left = None if end is None else end - scheduler.now
            if left is not None and left <= 0:
                break
            self._waiting.append(scheduler.current)
            scheduler.wait(left)
        return self._is_set


class SimulatedThreads:
    """The threads of one process, on the scheduler that it shares with all others."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def start(self, name: str, target: Callable[[], None]) -> SimulatedThread:
        """Run ``target`` beside the caller."""
        return SimulatedThread(self._scheduler, self._scheduler.start(self._process, name, target))

    def condition(self) -> SimulatedCondition:
        """A new condition."""
        return SimulatedCondition(self._scheduler)

    def event(self) -> SimulatedEvent:
        """A new event."""
        return SimulatedEvent(self._scheduler)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._scheduler.now
