"""A bounded queue between two threads, measured in bytes or steps rather than in items."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from replicator_service.core.errors import StopRequested

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Channel(Generic[T]):
    """Hands items from one thread to another, in order.

    ``capacity`` bounds the sum of the weights of what waits; an item heavier than that passes when nothing else
    waits. Closing wakes both sides: they get the error that closed it, or :class:`StopRequested`. Whoever waits for
    room calls ``tick`` every ``tick_seconds``: waiting for the other side is not being stuck.
    """

    def __init__(self, capacity: int, *, tick: Callable[[], None] = lambda: None, tick_seconds: float = 1.0) -> None:
        self._capacity = capacity
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T, weight: int = 1) -> None:
        """Add an item, waiting for room."""
        with self._changed:
            while not self._changed.wait_for(lambda: self._has_room(weight), self._tick_seconds):
                self._tick()
            self._require_open()
            self._items.append((item, weight))
            self._weight += weight
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T | None:
        """The next item, or None after ``timeout`` seconds without one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or bool(self._items), timeout):
                return None
            if not self._items:
                self._require_open()
            item, weight = self._items.popleft()
            self._weight -= weight
            self._changed.notify_all()
            return item

    def close(self, error: BaseException | None = None) -> None:
        """Refuse new items; what waits can still be taken. The first error is the one that counts."""
        with self._changed:
            if error is not None and self._error is None:
                self._error = error
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, weight: int) -> bool:
        return self._closed or not self._items or self._weight + weight <= self._capacity

    def _require_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise StopRequested("stop was requested")
