"""What moves: how often each collection changes, and when it last did. Counts durable commits alone, in memory.

Nothing is known of changes before the process began, nor of those that another instance commits.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from replicator_service.pipeline.observer import Committed

WINDOW_SECONDS = 10
"""Rates are means over the last whole seconds, this many at most."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One collection: the cluster time of the last commit that changed it, and change events a second."""

    last_change: int
    events_per_second: float


@dataclass(frozen=True, slots=True)
class Work:
    """All commits since the process began; ``slowest_seconds`` is the longest since :meth:`Activity.take`."""

    events: int = 0
    rows: int = 0
    commits: int = 0
    slowest_seconds: float | None = None


@dataclass(slots=True)
class _Second:
    at: int
    events: Counter[str] = field(default_factory=Counter)


class Activity:
    """Counts commits (:meth:`committed` is for ``Health(on_commit=...)``). Every method may be called by any thread."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._seconds: deque[_Second] = deque()
        self._last_change: dict[str, int] = {}
        self._work = Work()

    def committed(self, what: Committed) -> None:
        """A transaction is durable."""
        commit = what.commit
        with self._lock:
            work = self._work
            second = self._second()
            for (collection, _), count in commit.events.items():
                second.events[collection] += count
                self._last_change[collection] = commit.position.cluster_time
            self._work = Work(
                work.events + commit.events.total(),
                work.rows + what.rows,
                work.commits + 1,
                max(work.slowest_seconds or 0.0, what.seconds),
            )

    def movements(self) -> Mapping[str, Movement]:
        """Every collection that has changed since the process began."""
        with self._lock:
            now = int(self._clock())
            whole = [each for each in self._seconds if now - WINDOW_SECONDS <= each.at < now]
            length = max(1.0, min(WINDOW_SECONDS, now - self._began))
            events: Counter[str] = Counter()
            for each in whole:
                events.update(each.events)
            return MappingProxyType(
                {name: Movement(at, events[name] / length) for name, at in self._last_change.items()}
            )

    def take(self) -> Work:
        """The sums so far, and the slowest commit since this was last called: there is one caller."""
        with self._lock:
            work = self._work
            self._work = Work(work.events, work.rows, work.commits)
            return work

    def _second(self) -> _Second:
        now = int(self._clock())
        if not self._seconds or self._seconds[-1].at != now:
            self._seconds.append(_Second(now))
            while self._seconds[0].at < now - WINDOW_SECONDS:
                self._seconds.popleft()
        return self._seconds[-1]
