"""One thread at a time, in virtual time; who is next is the seed's choice.

Every task is a greenlet. It runs until it comes to a scheduling point (:meth:`Scheduler.pause`,
:meth:`Scheduler.wait`): nothing else is ever preempted, so a history depends on the seed alone. Tasks belong to
processes, which can be frozen (SIGSTOP) and killed (SIGKILL): a killed one never gets another turn, not even for its
``finally`` blocks.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_STEP_SECONDS = 0.0002
"""What passes between two scheduling points. Long waits are the ports' and the tasks' own."""


class Stuck(Exception):
    """Every task waits, and none of them for a time."""


class Process:
    """Tasks that are frozen and killed together."""

    __slots__ = ("_parked", "_scheduler", "is_alive", "is_frozen", "name")

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self._scheduler = scheduler
        self._parked: list[Task] = []
        self.name = name
        self.is_alive = True
        self.is_frozen = False

    def kill(self) -> None:
        """Give none of its tasks another turn. A task that kills its own process does not come back from here."""
        self.is_alive = False
        self._parked.clear()
        if self._scheduler.current.process is self:
            self._scheduler.end_turn()

    def freeze(self) -> None:
        """Give its tasks no turn until it is thawed; their waits run out meanwhile."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let its tasks take part again."""
        self.is_frozen = False
        for task in self._parked:
            self._scheduler.make_ready(task)
        self._parked.clear()

    def park(self, task: Task) -> None:
        """Keep a task that has its turn while the process is frozen."""
        self._parked.append(task)


class Task:
    """A thread of a process."""

    __slots__ = ("_run", "_scheduler", "error", "greenlet", "is_done", "is_waiting", "name", "process", "wait_number")

    def __init__(self, scheduler: Scheduler, process: Process, name: str, target: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._run = target
        self.process = process
        self.name = name
        self.greenlet = greenlet(self._main, scheduler.hub)
        self.is_done = False
        self.is_waiting = False
        self.wait_number = 0
        """Which wait of the task a time belongs to: an earlier one's may still be in the queue."""
        self.error: BaseException | None = None

    def _main(self) -> None:
        try:
            self._run()
        except GreenletExit:
            return
        except BaseException as error:  # noqa: BLE001 - whoever started it looks at it
            self.error = error
        self.is_done = True
        self._scheduler.ended(self)


class Scheduler:
    """Gives turns. ``stay`` is how likely a task goes on at a scheduling point without giving up its turn."""

    def __init__(self, random: Random, *, stay: float = 0.3, max_turns: int = 200_000) -> None:
        self.random = random
        self.now = 0.0
        self.turns = 0
        self.hub = getcurrent()
        self.is_closed = False
        self._stay = stay
        self._max_turns = max_turns
        self._ready: list[Task] = []
        self._times: list[tuple[float, int, int, Task]] = []
        self._counter = 0
        self._tasks: list[Task] = []
        self._joining: dict[Task, list[Task]] = {}
        self.current: Task = Task(self, Process(self, "hub"), "hub", lambda: None)
        self.failed: list[Task] = []
        """Tasks that ended with an error."""

    def start(self, process: Process, name: str, target: Callable[[], None]) -> Task:
        """Begin a task; it gets its first turn later."""
        task = Task(self, process, name, target)
        self._tasks.append(task)
        self._ready.append(task)
        return task

    def run(self, until: Callable[[], bool]) -> None:
        """Give turns until it is so. Raises :class:`Stuck`, also when it is not so after very many turns."""
        while not until():
            self.turns += 1
            if self.turns > self._max_turns:
                raise Stuck("the turns have run out")
            self.now += _STEP_SECONDS
            times = self._times
            while times and times[0][0] <= self.now:
                self._time_is_up()
            ready = self._ready
            if not ready:
                if not times:
                    raise Stuck("every task waits for another")
                self.now = max(self.now, times[0][0])
                self._time_is_up()
                continue
            index = int(self.random.random() * len(ready))
            task = ready[index]
            ready[index] = ready[-1]
            ready.pop()
            process = task.process
            if not process.is_alive or task.is_done:
                continue
            if process.is_frozen:
                process.park(task)
                continue
            self.current = task
            task.greenlet.switch()

    def pause(self) -> None:
        """A scheduling point: anything may happen before this returns."""
        if self.random.random() < self._stay and not self.is_closed:
            return
        self._ready.append(self.current)
        self.end_turn()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until :meth:`wake`, or for so long and return whether it was woken."""
        task = self.current
        task.is_waiting = True
        task.wait_number += 1
        if seconds is not None:
            self._counter += 1
            heappush(self._times, (self.now + seconds, self._counter, task.wait_number, task))
        self.end_turn()
        return not self._was_late(task)

    def sleep(self, seconds: float) -> None:
        """Wait for so long."""
        self.wait(seconds)

    def wake(self, task: Task) -> None:
        """Let a task that waits have a turn."""
        if task.is_waiting:
            task.is_waiting = False
            self._ready.append(task)

    def make_ready(self, task: Task) -> None:
        """Let a task that is not in any queue have a turn."""
        self._ready.append(task)

    def join(self, task: Task) -> None:
        """Wait until a task has ended."""
        while not task.is_done:
            self._joining.setdefault(task, []).append(self.current)
            self.wait()

    def ended(self, task: Task) -> None:
        """Called by a task at its end."""
        if task.error is not None:
            self.failed.append(task)
        for waiting in self._joining.pop(task, ()):
            self.wake(waiting)

    def end_turn(self) -> None:
        """Give the turn back. Raises ``GreenletExit`` when the history is over."""
        if not self.is_closed:
            self.hub.switch()
        if self.is_closed:
            raise GreenletExit

    def close(self) -> None:
        """End every task: whatever it does from here on has no effect."""
        self.is_closed = True
        for task in self._tasks:
            if task.greenlet:
                self.current = task
                task.greenlet.throw(GreenletExit)
        self._tasks.clear()
        self._ready.clear()
        self._times.clear()

    def _time_is_up(self) -> None:
        _, _, number, task = heappop(self._times)
        if task.is_waiting and task.wait_number == number:
            task.is_waiting = False
            task.wait_number = -number
            self._ready.append(task)

    @staticmethod
    def _was_late(task: Task) -> bool:
        """Whether the wait that has just ended had run out."""
        if task.wait_number >= 0:
            return False
        task.wait_number = -task.wait_number
        return True
