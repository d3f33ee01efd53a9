"""A health object with its surroundings, driven by hand and by a clock that the test moves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from replicator_service.core.overview import DatabaseView, SourceView
from replicator_service.core.position import Position
from replicator_service.core.steps import Commit
from replicator_service.pipeline.observer import Committed
from replicator_service.runtime.judgement.service_view import ServiceView, Watch
from replicator_service.runtime.metrics.counters import Metrics
from replicator_service.runtime.state.activity import Activity
from replicator_service.runtime.state.health import Health


def at_second(seconds: int) -> int:
    """The first cluster time of a second."""
    return seconds << 32


@dataclass
class Surroundings:
    """Health, watch and metrics put together as the service does it."""

    now: float = 1_000.0
    metrics: Metrics = field(default_factory=lambda: Metrics(version="1.2.3", stream="shop"))

    def __post_init__(self) -> None:
        self.activity = Activity(clock=lambda: self.now)
        self.health = Health("shop", clock=lambda: self.now, on_commit=self._on_commit)
        self.watch = Watch(self.health, clock=lambda: self.now, activity=self.activity)
        self.metrics.show(self.watch.service_view)

    def _on_commit(self, what: Committed) -> None:
        self.metrics.committed(what)
        self.activity.committed(what)

    @property
    def service(self) -> ServiceView:
        """Everything as it is now."""
        return self.watch.service_view()

    def lead(self, *, checkpoint: int = 100, operation: int = 100, oldest: int | None = None) -> None:
        """Stream from a checkpoint, seen beside a server whose latest operation is at `operation` (in seconds)."""
        self.health.streaming_from(at_second(checkpoint))
        for part in ("stream-reader", "planner", "writer"):
            self.health.ticked(part)
        self.see_source(operation, oldest)

    def answer(self, second: int, *, has_events: bool = False) -> None:
        """Let the stream answer."""
        self.health.ticked("stream-reader")
        self.health.answered(at_second(second), has_events=has_events)

    def see_source(self, operation: int, oldest: int | None = None, **unsupported: str) -> None:
        """Let the monitor see MongoDB."""
        oldest_time = None if oldest is None else at_second(oldest)
        self.watch.source_seen(SourceView(at_second(operation), oldest_time, unsupported))

    def see_database(self, view: DatabaseView) -> None:
        """Let the monitor see PostgreSQL."""
        self.watch.database_seen(view)

    def commit(
        self,
        second: int = 100,
        events: dict[tuple[str, str], int] | None = None,
        *,
        rows: int = 0,
        rejected: int = 0,
        altered: int = 0,
        dead_letters: int = 0,
        converging_until: int | None = None,
        is_snapshotting: bool = False,
    ) -> None:
        """Report one commit as the pipeline does."""
        position = Position({}, at_second(second))
        self.health.committed(
            Committed(
                commit=Commit(position, converging_until, is_snapshotting, events=Counter(events or {})),
                rows=rows,
                rejected=rejected,
                settled=0,
                swept=0,
                altered=altered,
                dead_letters=dead_letters,
                seconds=0.02,
            )
        )
