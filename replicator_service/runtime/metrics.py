"""Prometheus metrics: one list of their names, counters that move with commits, gauges read when asked.

Everything lives in an own registry. The counters of one commit advance together, after it: what they count is
durable. Gauges show :class:`Present`; an unknown number is NaN, never 0.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from replicator_service.runtime.health import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client.metrics_core import Metric

    from replicator_service.pipeline.observer import Committed
    from replicator_service.runtime.present import Present


class Name(StrEnum):
    """Every metric of the service, as it is scraped."""

    BUILD_INFO = "replicator_build_info"
    STATE = "replicator_state"
    LEADER = "replicator_leader"
    CONVERGING = "replicator_converging"
    LAG = "replicator_lag_seconds"
    OPLOG_HEADROOM = "replicator_oplog_headroom_seconds"
    SNAPSHOT_PROGRESS = "replicator_snapshot_progress"
    DEAD_LETTERS = "replicator_dead_letters"
    EVENTS = "replicator_events_total"
    UNKNOWN_EVENTS = "replicator_unknown_events_total"
    ROWS_APPLIED = "replicator_rows_applied_total"
    DEAD_LETTERS_TOTAL = "replicator_dead_letters_total"
    ALTERED_VALUES = "replicator_altered_values_total"
    COMMITS = "replicator_commits_total"
    BATCH_EVENTS = "replicator_batch_events"
    COMMIT_SECONDS = "replicator_commit_seconds"


HELP = {
    Name.BUILD_INFO: "The version that runs; always 1.",
    Name.STATE: "1 for the present state, 0 for every other.",
    Name.LEADER: "1 while this instance leads, 0 while it stands by.",
    Name.CONVERGING: "1 while some rows may be newer than the checkpoint.",
    Name.LAG: "MongoDB's operation time minus the checkpoint's cluster time; NaN while either is unknown.",
    Name.OPLOG_HEADROOM: "History left behind the checkpoint; NaN while unknown, negative when lost.",
    Name.SNAPSHOT_PROGRESS: "Share of a collection's documents that its snapshot has written; 1 when complete.",
    Name.DEAD_LETTERS: "Dead letters at present.",
    Name.EVENTS: "Change events whose commit is durable.",
    Name.UNKNOWN_EVENTS: "Change events of a type that this version does not know.",
    Name.ROWS_APPLIED: "Rows written, child rows and snapshots included.",
    Name.DEAD_LETTERS_TOTAL: "Documents that became dead letters.",
    Name.ALTERED_VALUES: "Values that did not fit their column or that PostgreSQL cannot hold as they are.",
    Name.COMMITS: "Commits.",
    Name.BATCH_EVENTS: "Change events in one commit.",
    Name.COMMIT_SECONDS: "From the first row of a commit to its end.",
}

EVENT_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
SECOND_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST
UNKNOWN = "unknown:"
"""How the planner marks an event type that it does not know."""


@dataclass(slots=True)
class Histogram:
    """Counts of observations up to each bound."""

    bounds: Sequence[float]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulated(self) -> list[tuple[str, float]]:
        """Bounds with how many were at most this large."""
        labels = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        seen, result = 0, []
        for label, count in zip(labels, self.counts, strict=True):
            seen += count
            result.append((label, float(seen)))
        return result


class Metrics(Collector):
    """Counts commits (:meth:`committed` is for ``Health(on_commit=...)``) and shows everything (:meth:`exposition`).

    ``present`` is asked at each scrape; until :meth:`show` has been called there are only counters.
    """

    def __init__(self, *, version: str = "") -> None:
        self._version = version
        self._lock = threading.Lock()
        self._present: Callable[[], Present] | None = None
        self._events: Counter[tuple[str, str]] = Counter()
        self._totals: Counter[Name] = Counter()
        self._batch_events = Histogram(EVENT_BUCKETS)
        self._commit_seconds = Histogram(SECOND_BUCKETS)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def show(self, present: Callable[[], Present]) -> None:
        """From now on, gauges show what ``present`` returns."""
        self._present = present

    def committed(self, what: Committed) -> None:
        """A transaction is durable."""
        events = what.commit.events
        with self._lock:
            for (collection, operation), count in events.items():
                if operation.startswith(UNKNOWN):
                    self._totals[Name.UNKNOWN_EVENTS] += count
                else:
                    self._events[collection, operation] += count
            self._totals[Name.ROWS_APPLIED] += what.rows
            self._totals[Name.DEAD_LETTERS_TOTAL] += what.rejected
            self._totals[Name.ALTERED_VALUES] += what.altered
            self._totals[Name.COMMITS] += 1
            if events:
                self._batch_events.observe(events.total())
            self._commit_seconds.observe(what.seconds)

    def total(self, name: Name) -> int:
        """A counter's value; events are summed over their labels."""
        with self._lock:
            return self._events.total() if name is Name.EVENTS else self._totals[name]

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, see :data:`CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All metrics of the service; called by the registry."""
        if self._present is not None:
            yield from gauges(self._present())
        yield _gauge(Name.BUILD_INFO, [((self._version,), 1.0)], ("version",))
        with self._lock:
            families: list[Metric] = [self._events_family()]
            families += [
                CounterMetricFamily(name, HELP[name], value=self._totals[name])
                for name in (
                    Name.UNKNOWN_EVENTS,
                    Name.ROWS_APPLIED,
                    Name.DEAD_LETTERS_TOTAL,
                    Name.ALTERED_VALUES,
                    Name.COMMITS,
                )
            ]
            families.append(_histogram(Name.BATCH_EVENTS, self._batch_events))
            families.append(_histogram(Name.COMMIT_SECONDS, self._commit_seconds))
        yield from families

    def _events_family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(Name.EVENTS, HELP[Name.EVENTS], labels=("collection", "op"))
        for (collection, operation), count in sorted(self._events.items()):
            family.add_metric((collection, operation), count)
        return family


def gauges(present: Present) -> Iterable[Metric]:
    """The present as gauges."""
    states = [((state.value,), float(state is present.state)) for state in State]
    yield _gauge(Name.STATE, states, ("state",))
    yield _gauge(Name.LEADER, [((), float(present.is_leader))])
    yield _gauge(Name.CONVERGING, [((), float(present.is_converging))])
    yield _gauge(Name.LAG, [((), _known(present.lag_seconds))])
    yield _gauge(Name.OPLOG_HEADROOM, [((), _known(present.oplog_headroom_seconds))])
    yield _gauge(Name.DEAD_LETTERS, [((), float(present.dead_letters))])
    collections = present.database.collections if present.database else {}
    progress = [((name,), _known(view.snapshot_progress)) for name, view in collections.items()]
    yield _gauge(Name.SNAPSHOT_PROGRESS, progress, ("collection",))


def _gauge(
    name: Name, samples: Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, HELP[name], labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: Name, histogram: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, HELP[name], buckets=histogram.cumulated(), sum_value=histogram.total)


def _known(value: float | None) -> float:
    return math.nan if value is None else value
