"""A bounded queue between two threads, measured in bytes or steps rather than in items."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from replicator_service.core.errors import StopRequested

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.ports import Condition

T = TypeVar("T")


class Channel(Generic[T]):
    """Hands items from one thread to another, in order.

    ``capacity`` bounds the sum of the weights of what waits; an item heavier than that passes when nothing else
    waits. Closing wakes both sides: they get the error that closed it, or :class:`StopRequested`. Whoever waits for
    the other side calls ``tick`` every ``tick_seconds``: that is not being stuck. Channels may share a condition, so
    that one thread can wait for whatever happens in either.
    """

    def __init__(
        self,
        capacity: int,
        condition: Condition,
        *,
        tick: Callable[[], None] = lambda: None,
        tick_seconds: float = 1.0,
    ) -> None:
        self._capacity = capacity
        self._changed = condition
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._closed = False
        self._error: BaseException | None = None
        self._unsettled = 0

    def put(self, item: T, weight: int = 1) -> None:
        """Add an item, waiting for room."""
        with self._changed:
            self._wait(lambda: self._closed or not self._items or self._weight + weight <= self._capacity)
            self._require_open()
            self._items.append((item, weight))
            self._weight += weight
            self._unsettled += 1
            self._changed.notify_all()

    def get(self, timeout: float | None = None, *, until: Callable[[], bool] = lambda: False) -> T | None:
        """The next item, or None after ``timeout`` seconds without one, or as soon as ``until`` holds."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._items) or until(), timeout)
            if not self._items:
                if self._closed:
                    self._require_open()
                return None
            item, weight = self._items.popleft()
            self._weight -= weight
            self._changed.notify_all()
            return item

    def settle(self) -> None:
        """Say that everything that was taken so far is done with."""
        with self._changed:
            self._unsettled = len(self._items)
            self._changed.notify_all()

    @property
    def is_waiting(self) -> bool:
        """Whether something was put that nobody has taken yet."""
        return bool(self._items)

    def wait_settled(self) -> None:
        """Wait until everything that was put has been taken and is done with."""
        with self._changed:
            self._wait(lambda: self._closed or self._unsettled == 0)
            self._require_open()

    def close(self, error: BaseException | None = None) -> None:
        """Refuse new items; what waits can still be taken. The first error is the one that counts."""
        with self._changed:
            if error is not None and self._error is None:
                self._error = error
            self._closed = True
            self._changed.notify_all()

    def _wait(self, predicate: Callable[[], bool]) -> None:
        while not self._changed.wait_for(predicate, self._tick_seconds):
            self._tick()

    def _require_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise StopRequested("stop was requested")
