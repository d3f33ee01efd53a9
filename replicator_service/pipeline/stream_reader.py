"""The stream reader: one thread that does nothing but poll, so that the server always works on the next batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import NoAnswer
from replicator_service.core.failpoints import Failpoints, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.batching import StreamReply
    from replicator_service.core.ports import Stream, Threads
    from replicator_service.pipeline.channel import Channel

_PROBE_MS = 1
"""After an answer with events the next poll hardly waits: an empty answer then proves that nothing was left, which
closes a cluster time at once."""
_HEARTBEAT_WEIGHT = 256


class StreamReader:
    """Polls ``stream`` into ``inbox`` until it is stopped or fails; the failure closes the inbox.

    A stream that is silent while its server lives is told to ``delayed`` and opened again, for as long as that gives
    it more time than before.
    """

    def __init__(
        self,
        stream: Stream,
        inbox: Channel[StreamReply],
        *,
        wait_ms: int,
        threads: Threads,
        failpoints: Failpoints,
        tick: Callable[[], None],
        delayed: Callable[[NoAnswer], None] = lambda _: None,
        answered: Callable[[StreamReply], None] = lambda _: None,
    ) -> None:
        self._stream = stream
        self._inbox = inbox
        self._wait_ms = wait_ms
        self._failpoints = failpoints
        self._tick = tick
        self._delayed = delayed
        self._answered = answered
        self._stopping = threads.event()
        self._thread = threads.start("stream-reader", self._run)

    def stop(self) -> None:
        """Stop polling; returns when the poll in hand has come back."""
        self._stopping.set()
        self._inbox.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._poll_on()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that takes from the inbox
            self._inbox.close(error)

    def _poll_on(self) -> None:
        wait_ms = self._wait_ms
        while not self._stopping.is_set():
            self._tick()
            try:
                answer = self._stream.poll(wait_ms=wait_ms)
            except NoAnswer as error:
                self._open_again(error)
                continue
            self._answered(answer)
            self._failpoints.reach(Window.AFTER_POLL)
            weight = _HEARTBEAT_WEIGHT if answer.reply is None else answer.reply.size
            self._inbox.put(answer, weight)
            wait_ms = self._wait_ms if answer.reply is None else _PROBE_MS
            if self._stream.is_exhausted:
                self._open_again()

    def _open_again(self, error: NoAnswer | None = None) -> None:
        while not self._stopping.is_set():
            if error is not None:
                self._delayed(error)
                if error.is_last:
                    raise error
            self._tick()
            try:
                self._stream.reopen()
            except NoAnswer as again:
                error = again
            else:
                return
