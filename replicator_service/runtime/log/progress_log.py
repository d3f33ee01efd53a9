"""The story in the log, for whoever reads it at night: what changed, what is wrong, and a sum now and then.

One line a fact. What goes on being wrong is said once and then once a minute, however often the service tries.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from replicator_service.core.steps import CollectionState
from replicator_service.runtime.log.repeated_warnings import DeadLetters, Outage
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.runtime.judgement.service_view import ServiceView
    from replicator_service.runtime.log.logging import Logger
    from replicator_service.runtime.metrics.counters import Metrics

SUMMARY_SECONDS = 60.0
_POLL_SECONDS = 0.25
_BAD = frozenset({State.WAITING, State.RESYNC_REQUIRED})
_NAMED = 10
"""So many collections are named in one line; the others are counted."""


class ProgressLog:
    """Looks at the service a few times a second, in a thread of its own."""

    def __init__(
        self,
        service_view: Callable[[], ServiceView],
        metrics: Metrics,
        log: Logger,
        *,
        summary_seconds: float = SUMMARY_SECONDS,
    ) -> None:
        first = service_view()
        self._service_view = service_view
        self._metrics = metrics
        self._log = log
        self._summary_seconds = summary_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress_log", daemon=True)
        self._began = first.now
        self._state = first.state
        self._changed_at = first.now
        self._rows_at_change = 0
        self._outage = Outage(log, summary_seconds)
        self._collections: dict[str, CollectionState] | None = None
        self._dead_letters = DeadLetters(log, summary_seconds)
        self._summed_at = first.now
        self._events = 0
        self._rows = 0

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling; what was not logged yet is logged by :meth:`poll`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def poll(self) -> None:
        """Tell what there is to tell now."""
        service = self._service_view()
        self._outage.observe(service)
        self._tell_state(service)
        self._tell_collections(service)
        self._dead_letters.observe(service)
        if service.now - self._summed_at >= self._summary_seconds:
            self._sum_up(service)

    def totals(self) -> dict[str, int]:
        """What this process has done, for its last line."""
        return {
            "events": self._metrics.events,
            "rows": self._metrics.rows,
            "uptime_seconds": round(self._service_view().now - self._began),
        }

    def _tell_state(self, service: ServiceView) -> None:
        # Whoever ends the process says why it failed.
        if service.state is self._state or service.state is State.FAILED:
            return
        rows = self._metrics.rows
        snapshot: dict[str, object] = {}
        if self._state is State.SNAPSHOTTING:
            snapshot = {"rows": rows - self._rows_at_change, "seconds": round(service.now - self._changed_at, 1)}
        tell = self._log.warning if service.state in _BAD else self._log.info
        tell(
            "state changed",
            state=service.state.value,
            before=self._state.value,
            lag_seconds=service.lag_seconds,
            **snapshot,
        )
        self._state, self._changed_at, self._rows_at_change = service.state, service.now, rows

    def _tell_collections(self, service: ServiceView) -> None:
        """Collections that came, or that something else is done with than before. The first look is no news."""
        if service.database is None:
            return
        states = {name: view.state for name, view in service.database.collections.items()}
        before, self._collections = self._collections, states
        if before is None:
            return
        for state in CollectionState:
            names = sorted(name for name, now in states.items() if now is state and before.get(name) is not state)
            if names:
                self._log.info("collections changed", state=state.value, count=len(names), collections=names[:_NAMED])

    def _sum_up(self, service: ServiceView) -> None:
        events, rows = self._metrics.events, self._metrics.rows
        if not self._outage.is_open:
            self._log.info(
                "summary",
                state=service.state.value,
                lag_seconds=service.lag_seconds,
                events=events - self._events,
                rows=rows - self._rows,
                seconds=round(service.now - self._summed_at),
                dead_letters=service.dead_letters,
                oplog_headroom_seconds=service.oplog_headroom_seconds,
                **_progress(service),
            )
            self._events, self._rows = events, rows
        self._summed_at = service.now

    def _run(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            self.poll()


def _progress(service: ServiceView) -> dict[str, object]:
    """How far the snapshots are, while there are any."""
    views = service.database.collections.values() if service.database else ()
    reading = [view for view in views if view.state is CollectionState.SNAPSHOTTING]
    if not reading:
        return {}
    expected = sum(view.expected or 0 for view in reading)
    written = sum(min(view.documents or 0, view.expected or 0) for view in reading)
    share = round(written / expected, 3) if expected else None
    return {"snapshots_left": len(reading), "snapshot_progress": share}
