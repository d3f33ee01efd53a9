"""Brings messages to the receiver, in a thread of its own, one after the other, as often as it takes."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from replicator_service.runtime.webhook.request import NotDelivered, post

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tenacity import RetryCallState

MOST = 100
"""Messages that wait; of more, the oldest are dropped and counted."""

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_GIVEN_UP_SECONDS = 600.0
_DRAIN_SECONDS = 3.0
_LAST_SECONDS = 2.0
"""For a message while the process ends."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How many messages arrived, were given up, were dropped unsent. ``problem``: why the latest one does not arrive.

    ``tries`` counts the requests that failed.
    """

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    tries: int = 0
    problem: str | None = None


class Delivery:
    """A bounded queue and the thread that empties it. :meth:`enqueue` never waits."""

    def __init__(
        self,
        url: str,
        *,
        told: Callable[[Deliveries], None],
        send: Callable[..., None] = post,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self._url = url
        self._told = told
        self._send = send
        self._first_wait = first_wait
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._deliveries = Deliveries()
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._told(self._deliveries)
        self._thread.start()

    def enqueue(self, document: Mapping[str, Any]) -> None:
        """Put a message at the end of the queue."""
        with self._changed:
            self._waiting.append(json.dumps(document, ensure_ascii=False).encode())
            if len(self._waiting) > MOST:
                self._waiting.popleft()
                self._count(dropped=self._deliveries.dropped + 1)
            self._changed.notify()

    def stop(self, seconds: float = _DRAIN_SECONDS) -> None:
        """Try once more what waits, for at most so long, and end."""
        with self._changed:
            self._stopping.set()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while (body := self._next()) is not None:
            try:
                self._retrying()(self._try, body)
            except NotDelivered:
                self._count(failed=self._deliveries.failed + 1)
            else:
                self._count(sent=self._deliveries.sent + 1, problem=None)

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._stopping.is_set())
            return self._waiting.popleft() if self._waiting else None

    def _try(self, body: bytes) -> None:
        try:
            if self._stopping.is_set():
                self._send(self._url, body, whole_seconds=_LAST_SECONDS)
            else:
                self._send(self._url, body)
        except NotDelivered as error:
            self._count(tries=self._deliveries.tries + 1, problem=error.reason)
            raise

    def _retrying(self) -> Retrying:
        given_up = stop_after_delay(_GIVEN_UP_SECONDS)

        def pause(seconds: float) -> None:
            self._stopping.wait(seconds)

        def is_over(state: RetryCallState) -> bool:
            return self._stopping.is_set() or given_up(state)

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, NotDelivered) and not error.is_final),
            wait=wait_random_exponential(multiplier=self._first_wait, max=_LONGEST_WAIT),
            stop=is_over,
            sleep=pause,
            reraise=True,
        )

    def _count(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of Deliveries
        self._deliveries = replace(self._deliveries, **changes)
        self._told(self._deliveries)
