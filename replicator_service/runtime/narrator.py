"""The story in the log: one line a change of state, and one a minute that sums up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from replicator_service.runtime.metrics import Metrics, Name

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.runtime.logging import Logger
    from replicator_service.runtime.present import Present

SUMMARY_SECONDS = 60.0
_LOOK_SECONDS = 0.25


class Narrator:
    """Looks at the present a few times a second, in a thread of its own."""

    def __init__(
        self,
        present: Callable[[], Present],
        metrics: Metrics,
        log: Logger,
        *,
        summary_seconds: float = SUMMARY_SECONDS,
    ) -> None:
        self._present = present
        self._metrics = metrics
        self._log = log
        self._summary_seconds = summary_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="narrator", daemon=True)
        self._state = present().state
        self._summed_at = present().now
        self._events = 0
        self._rows = 0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look for the last time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def look(self) -> None:
        """Tell what there is to tell now."""
        present = self._present()
        if present.state is not self._state:
            before, self._state = self._state, present.state
            error = present.report.error
            self._log.info(
                "state changed",
                state=present.state.value,
                before=before.value,
                role=present.report.role.value,
                lag_seconds=present.lag_seconds,
                **({} if error is None else {"cause": error.message, "hint": error.hint}),
            )
        if present.now - self._summed_at >= self._summary_seconds:
            self._sum_up(present)

    def _sum_up(self, present: Present) -> None:
        events, rows = self._metrics.total(Name.EVENTS), self._metrics.total(Name.ROWS_APPLIED)
        seconds = present.now - self._summed_at
        self._log.info(
            "summary",
            state=present.state.value,
            lag_seconds=present.lag_seconds,
            events=events - self._events,
            rows=rows - self._rows,
            seconds=round(seconds),
            dead_letters=present.dead_letters,
            oplog_headroom_seconds=present.oplog_headroom_seconds,
        )
        self._events, self._rows, self._summed_at = events, rows, present.now

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            self.look()
