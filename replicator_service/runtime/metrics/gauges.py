"""The present as gauges.

Every instance shows what it sees of the servers, so a standby shows the same lag as the leader: alerts take the maximum
over the instances of a stream. What PostgreSQL told too long ago is unknown, not unchanged; times of past events stay.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from replicator_service.core.steps import CollectionState
from replicator_service.runtime.metrics.metric_names import HELP, STREAM, Name
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

    from replicator_service.core.overview import CollectionView, DatabaseView
    from replicator_service.runtime.judgement.service_view import Present, Sighting

Samples = dict[tuple[str, ...], float]
"""Values by those of the labels."""


def gauges(present: Present) -> Iterable[Metric]:
    """Everything that is known now. An unknown number is NaN, never 0."""
    stream = present.report.stream
    yield gauge(stream, Name.STATE, {(state.value,): float(state is present.state) for state in State}, ("state",))
    # One that waits for a server has given up its lease, although it still believes in its role.
    leads = present.is_leader and present.report.error is None
    yield gauge(stream, Name.LEADER, {(): float(leads)})
    servers = {"mongodb": present.source_seen, "postgresql": present.database_seen}
    up: Samples = {(name,): _up(seen, present.now) for name, seen in servers.items()}
    yield gauge(stream, Name.SERVER_UP, up, ("server",))
    yield gauge(stream, Name.CONVERGING, {(): float(present.is_converging)})
    yield gauge(stream, Name.LAG, {(): _known(present.lag_seconds)})
    yield gauge(stream, Name.OPLOG_HEADROOM, {(): _known(present.oplog_headroom_seconds)})
    yield gauge(stream, Name.OPLOG_WHOLE, {(): float(present.oplog_is_whole)})
    yield gauge(stream, Name.DEAD_LETTERS, {(): float(present.dead_letters)})
    is_fresh = present.database_seen.is_fresh(present.now)
    yield from _collections(stream, present.database.collections.values() if present.database and is_fresh else ())
    groups = present.database.finding_groups if present.database and is_fresh else ()
    found: Samples = {(group.collection, group.kind.value): float(group.paths) for group in groups}
    # Two labels that are bounded; a path would be a third, and names of fields can be data.
    yield gauge(stream, Name.SCHEMA_FINDINGS, found, ("collection", "kind"))
    yield from _reconciliation(stream, present.database, is_fresh=is_fresh)
    yield from _marts(stream, present.database)


def gauge(stream: str, name: Name, samples: Samples, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    """One gauge; ``samples`` have the values of ``labels``, and the stream is added."""
    family = GaugeMetricFamily(name, HELP[name], labels=(STREAM, *labels))
    for values, value in samples.items():
        family.add_metric((stream, *values), value)
    return family


def _collections(stream: str, views: Iterable[CollectionView]) -> Iterable[Metric]:
    views = list(views)
    counts = Counter(view.state for view in views)
    states: Samples = {(state.value,): float(counts[state]) for state in CollectionState} if views else {}
    yield gauge(stream, Name.COLLECTIONS, states, ("state",))
    progress: Samples = {(view.name,): _known(view.snapshot_progress) for view in views}
    yield gauge(stream, Name.SNAPSHOT_PROGRESS, progress, ("collection",))
    written: Samples = {
        (view.name,): float(view.documents or 0) for view in views if view.state is CollectionState.SNAPSHOTTING
    }
    yield gauge(stream, Name.SNAPSHOT_DOCUMENTS, written, ("collection",))


def _reconciliation(stream: str, database: DatabaseView | None, *, is_fresh: bool) -> Iterable[Metric]:
    last = database.last_reconciliation if database else None
    outstanding = unexplained = None
    if last and is_fresh:
        outstanding = last.outstanding
        unexplained = outstanding - sum(group.count for group in last.groups if group.are_dead_letters)
    yield gauge(stream, Name.RECONCILIATION_DIFFERENCES, {(): _known(outstanding)})
    yield gauge(stream, Name.RECONCILIATION_UNEXPLAINED, {(): _known(unexplained)})
    yield gauge(stream, Name.RECONCILIATION_LAST_SUCCESS, {(): _known(last.at.timestamp() if last else None)})


def _marts(stream: str, database: DatabaseView | None) -> Iterable[Metric]:
    marts = database.marts if database else ()
    yield gauge(stream, Name.MART_AS_OF, {(mart.name,): mart.as_of.timestamp() for mart in marts}, ("mart",))
    yield gauge(stream, Name.MART_LOADED, {(mart.name,): mart.loaded_at.timestamp() for mart in marts}, ("mart",))
    yield gauge(stream, Name.MART_LOAD_SECONDS, {(mart.name,): mart.seconds for mart in marts}, ("mart",))
    yield gauge(stream, Name.MART_ROWS, {(mart.name,): float(mart.rows) for mart in marts}, ("mart",))


def _up(seen: Sighting, now: float) -> float:
    return float(seen.problem is None and seen.is_fresh(now))


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)
