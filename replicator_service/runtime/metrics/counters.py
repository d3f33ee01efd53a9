"""Prometheus metrics: counters that move with commits, gauges read when asked.

Everything lives in an own registry. The counters of one commit advance together, after it: what they count is
durable. Gauges show :class:`Present`; an unknown number is NaN, never 0.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from replicator_service.runtime.metrics.gauges import gauge, gauges
from replicator_service.runtime.metrics.metric_names import EVENT_BUCKETS, HELP, SECOND_BUCKETS, STREAM, Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client.metrics_core import Metric

    from replicator_service.pipeline.observer import Committed
    from replicator_service.runtime.judgement.service_view import Present


__all__ = ["CONTENT_TYPE", "HELP", "UNKNOWN", "Histogram", "Metrics", "Name"]

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

    def __init__(self, *, version: str = "", stream: str = "") -> None:
        self._version = version
        self._stream = stream
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
        yield gauge(self._stream, Name.BUILD_INFO, {(self._version,): 1.0}, ("version",))
        with self._lock:
            families: list[Metric] = [self._events_family()]
            families += [
                _counter(name, self._stream, self._totals[name])
                for name in (
                    Name.UNKNOWN_EVENTS,
                    Name.ROWS_APPLIED,
                    Name.DEAD_LETTERS_TOTAL,
                    Name.ALTERED_VALUES,
                    Name.COMMITS,
                )
            ]
            families.append(_histogram(Name.BATCH_EVENTS, self._stream, self._batch_events))
            families.append(_histogram(Name.COMMIT_SECONDS, self._stream, self._commit_seconds))
        yield from families

    def _events_family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(Name.EVENTS, HELP[Name.EVENTS], labels=(STREAM, "collection", "op"))
        for (collection, operation), count in sorted(self._events.items()):
            family.add_metric((self._stream, collection, operation), count)
        return family


def _counter(name: Name, stream: str, value: float) -> CounterMetricFamily:
    family = CounterMetricFamily(name, HELP[name], labels=(STREAM,))
    family.add_metric((stream,), value)
    return family


def _histogram(name: Name, stream: str, histogram: Histogram) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, HELP[name], labels=(STREAM,))
    family.add_metric((stream,), buckets=histogram.cumulated(), sum_value=histogram.total)
    return family
