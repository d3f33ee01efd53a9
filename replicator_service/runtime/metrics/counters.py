"""Prometheus metrics: counters that move with commits, gauges read when asked.

Everything lives in an own registry. The counters of one commit advance together, after it: what they count is
durable. Gauges show :class:`ServiceView`; an unknown number is NaN, never 0.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from replicator_service.runtime.metrics.collection_events import CollectionEvents
from replicator_service.runtime.metrics.gauges import GAUGES, STREAM, gauge, gauges
from replicator_service.runtime.webhook.delivery import Deliveries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client.metrics_core import Metric

    from replicator_service.pipeline.observer import Committed
    from replicator_service.runtime.judgement.service_view import ServiceView


CONTENT_TYPE = CONTENT_TYPE_LATEST
UNKNOWN = "unknown:"
"""How the planner marks an event type that it does not know."""

# A series a histogram that says when the process began, which another one says already.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library declares no type here

EVENT_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
SECOND_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Counted:
    """One counter: its name as it is scraped, what it means, and how much a commit adds to it."""

    name: str
    meaning: str
    of: Callable[[Committed], int]


@dataclass(frozen=True, slots=True)
class Described:
    """A metric that :class:`Metrics` makes by itself: its name and its meaning."""

    name: str
    meaning: str


def _unknown(what: Committed) -> int:
    return sum(count for (_, operation), count in what.commit.events.items() if operation.startswith(UNKNOWN))


BUILD_INFO = Described("replicator_build_info", "The version that runs; always 1.")
EVENTS = Described("replicator_events_total", "Change events whose commit is durable.")
ROWS = Counted(
    "replicator_rows_applied_total", "Rows written, child rows and snapshots included.", lambda what: what.rows
)
COUNTERS = (
    Counted("replicator_unknown_events_total", "Change events of a type that this version does not know.", _unknown),
    ROWS,
    Counted("replicator_dead_letters_total", "Documents that became dead letters.", lambda what: what.rejected),
    Counted(
        "replicator_altered_values_total",
        "Values that did not fit their column or that PostgreSQL cannot hold as they are.",
        lambda what: what.altered,
    ),
    Counted("replicator_commits_total", "Commits.", lambda _: 1),
)
READ_FALLBACKS = Described(
    "replicator_read_fallbacks_total", "How often the primary was read instead of a secondary that lagged or was away."
)
WEBHOOK_MESSAGES = Described(
    "replicator_webhook_messages_total", "Messages of the webhook by outcome: sent, failed (given up) or dropped."
)
BATCH_EVENTS = Described("replicator_batch_events", "Change events in one commit.")
COMMIT_SECONDS = Described("replicator_commit_seconds", "From the first row of a commit to its end.")

ALL = {
    each.name: each.meaning
    for each in (BUILD_INFO, *GAUGES, EVENTS, *COUNTERS, READ_FALLBACKS, WEBHOOK_MESSAGES, BATCH_EVENTS, COMMIT_SECONDS)
}
"""Every metric of the service with its meaning, in the order of the reference."""


class Metrics(Collector):
    """Counts commits (:meth:`committed` is for ``Health(on_commit=...)``) and shows everything (:meth:`exposition`).

    ``service_view`` is asked at each scrape; until :meth:`show` has been called there are only counters. Collections
    that are gone share one series: their number over time has no bound.
    """

    def __init__(self, *, version: str = "", stream: str = "") -> None:
        self._version = version
        self._stream = stream
        self._lock = threading.Lock()
        self._service_view: Callable[[], ServiceView] | None = None
        self._events = CollectionEvents()
        self._totals: Counter[str] = Counter()
        self._batch_events = _histogram(BATCH_EVENTS, stream, EVENT_BUCKETS)
        self._commit_seconds = _histogram(COMMIT_SECONDS, stream, SECOND_BUCKETS)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def show(self, service_view: Callable[[], ServiceView]) -> None:
        """From now on, gauges show what ``service_view`` returns."""
        self._service_view = service_view

    def committed(self, what: Committed) -> None:
        """A transaction is durable."""
        events = what.commit.events
        with self._lock:
            for (collection, operation), count in events.items():
                if not operation.startswith(UNKNOWN):
                    self._events.add(collection, operation, count)
            for each in COUNTERS:
                self._totals[each.name] += each.of(what)
            if events:
                self._batch_events.labels(self._stream).observe(events.total())
            self._commit_seconds.labels(self._stream).observe(what.seconds)

    @property
    def events(self) -> int:
        """How many change events this process has made durable."""
        with self._lock:
            return self._events.total

    @property
    def rows(self) -> int:
        """How many rows it has written."""
        with self._lock:
            return self._totals[ROWS.name]

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, see :data:`CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All metrics of the service; called by the registry."""
        if self._service_view is not None:
            service = self._service_view()
            with self._lock:
                self._events.seen(service)
            yield from gauges(service)
            fallbacks = CounterMetricFamily(READ_FALLBACKS.name, READ_FALLBACKS.meaning, labels=(STREAM,))
            fallbacks.add_metric((self._stream,), service.report.fallbacks)
            yield fallbacks
            messages = CounterMetricFamily(WEBHOOK_MESSAGES.name, WEBHOOK_MESSAGES.meaning, labels=(STREAM, "outcome"))
            deliveries = service.report.deliveries or Deliveries()
            for outcome in ("sent", "failed", "dropped"):
                messages.add_metric((self._stream, outcome), getattr(deliveries, outcome))
            yield messages
        yield gauge(BUILD_INFO.name, BUILD_INFO.meaning, self._stream, {(self._version,): 1.0}, ("version",))
        with self._lock:
            families: list[Metric] = [self._events_family()]
            families += [_counter(each, self._stream, self._totals[each.name]) for each in COUNTERS]
            families += [*self._batch_events.collect(), *self._commit_seconds.collect()]
        yield from families

    def _events_family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(EVENTS.name, EVENTS.meaning, labels=(STREAM, "collection", "op"))
        for (collection, operation), count in self._events.items():
            family.add_metric((self._stream, collection, operation), count)
        return family


def _counter(counted: Counted, stream: str, value: float) -> CounterMetricFamily:
    family = CounterMetricFamily(counted.name, counted.meaning, labels=(STREAM,))
    family.add_metric((stream,), value)
    return family


def _histogram(described: Described, stream: str, buckets: Sequence[float]) -> Histogram:
    histogram = Histogram(described.name, described.meaning, (STREAM,), registry=None, buckets=buckets)
    histogram.labels(stream)
    return histogram
