"""The service view as gauges: :data:`GAUGES` is the one list of them, with their names, meanings, labels and values.

Every instance shows what it sees of the servers, so a standby shows the same lag as the leader: alerts take the maximum
over the instances of a stream. What PostgreSQL told too long ago is unknown, not unchanged; times of past events stay.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from replicator_service.core.abilities import Ability
from replicator_service.core.errors import Server
from replicator_service.core.steps import CollectionState
from replicator_service.core.temporary_names import is_temporary
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client.metrics_core import Metric

    from replicator_service.core.overview import CollectionView, LastReconciliation, MartView
    from replicator_service.runtime.judgement.service_view import ServiceView, Sighting

STREAM = "stream"
"""The label that every metric has besides its own."""

Samples = Mapping[tuple[str, ...], float | None]
"""Values by those of the labels; None is not known."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One gauge: its name as it is scraped, what it means, and its value at present. Unknown is NaN, never 0."""

    name: str
    meaning: str
    of: Callable[[ServiceView], float | Samples | None]
    labels: tuple[str, ...] = ()

    def family(self, service: ServiceView) -> Metric:
        """What is scraped."""
        found = self.of(service)
        samples: Samples = found if isinstance(found, Mapping) else {(): found}
        return gauge(self.name, self.meaning, service.report.stream, samples, self.labels)


def gauge(name: str, meaning: str, stream: str, samples: Samples, labels: Sequence[str]) -> GaugeMetricFamily:
    """One gauge; ``samples`` have the values of ``labels``, and the stream is added."""
    family = GaugeMetricFamily(name, meaning, labels=(STREAM, *labels))
    for values, value in samples.items():
        family.add_metric((stream, *values), math.nan if value is None else float(value))
    return family


def gauges(service: ServiceView) -> Iterable[Metric]:
    """Everything that is known now."""
    for each in GAUGES:
        yield each.family(service)


def _collections(service: ServiceView) -> list[CollectionView]:
    """What may have a series of its own: what PostgreSQL told just now, but for the server's temporary names."""
    if service.database is None or not service.database_seen.is_fresh(service.now):
        return []
    return [each for each in service.database.collections.values() if not is_temporary(each.name)]


def _counted(service: ServiceView) -> Samples:
    views = _collections(service)
    counts = Counter(view.state for view in views)
    return {(state.value,): float(counts[state]) for state in CollectionState} if views else {}


def _progress(service: ServiceView) -> Samples:
    return {
        (view.name,): view.snapshot_progress
        for view in _collections(service)
        if view.state is not CollectionState.DROPPED
    }


def _snapshot_documents(service: ServiceView) -> Samples:
    return {
        (view.name,): float(view.documents or 0)
        for view in _collections(service)
        if view.state is CollectionState.SNAPSHOTTING
    }


def _up(service: ServiceView) -> Samples:
    def of(seen: Sighting) -> float:
        return float(seen.problem is None and seen.is_fresh(service.now))

    return {
        (Server.MONGODB.value,): of(service.source_seen),
        (Server.POSTGRESQL.value,): of(service.database_seen),
    }


def _waiting(service: ServiceView) -> Samples:
    waited_for = service.wait.server if service.wait else None
    return {(server.value,): float(server is waited_for) for server in Server}


def _is_disk_full(service: ServiceView) -> float:
    return float(service.wait is not None and service.wait.error.is_disk_full)


def _reconciliation(of: Callable[[LastReconciliation], float | None]) -> Callable[[ServiceView], float | None]:
    def value(service: ServiceView) -> float | None:
        is_fresh = service.database_seen.is_fresh(service.now)
        last = service.database.last_reconciliation if service.database and is_fresh else None
        return of(last) if last else None

    return value


def _unproved_since(service: ServiceView) -> float | None:
    """A time of the past: it stays while PostgreSQL is away."""
    last = service.database.last_reconciliation if service.database else None
    return last.stale_since.timestamp() if last else None


def _abilities(service: ServiceView) -> Samples:
    found = service.report.abilities.found if service.report.abilities else {}
    works = {ability: found[ability].works if ability in found else None for ability in Ability}
    return {(ability.value,): None if each is None else float(each) for ability, each in works.items()}


def _findings(service: ServiceView) -> Samples:
    groups = service.database.finding_groups if service.database else ()
    return {(group.collection, group.kind.value): float(group.paths) for group in groups}


def _marts(of: Callable[[MartView], float]) -> Callable[[ServiceView], Samples]:
    return lambda service: {(mart.name,): of(mart) for mart in (service.database.marts if service.database else ())}


GAUGES = (
    Gauge(
        "replicator_state",
        "1 for the present state, 0 for every other.",
        lambda service: {(state.value,): float(state is service.state) for state in State},
        ("state",),
    ),
    Gauge(
        "replicator_leader",
        "1 while this instance holds the lease, otherwise 0.",
        lambda service: float(service.is_leader),
    ),
    Gauge("replicator_waiting", "1 for the server that this instance waits for, otherwise 0.", _waiting, ("server",)),
    Gauge("replicator_disk_full", "1 while nothing is written since PostgreSQL has no room.", _is_disk_full),
    Gauge(
        "replicator_server_up",
        "1 while this instance reaches the server (mongodb or postgresql), otherwise 0.",
        _up,
        ("server",),
    ),
    Gauge(
        "replicator_converging",
        "1 while some rows may be newer than the checkpoint.",
        lambda service: float(service.is_converging),
    ),
    Gauge(
        "replicator_lag_seconds",
        "For how long MongoDB has had something that PostgreSQL has not; NaN while unknown.",
        lambda service: service.lag_seconds,
    ),
    Gauge(
        "replicator_oplog_headroom_seconds",
        "History left behind the checkpoint; NaN while unknown, negative when lost.",
        lambda service: service.oplog_headroom_seconds,
    ),
    Gauge(
        "replicator_oplog_whole",
        "1 while MongoDB has never discarded history: a short headroom then only says that it is young.",
        lambda service: float(service.oplog_is_whole),
    ),
    Gauge(
        "replicator_ability",
        "1 for what MongoDB can do, 0 for what it cannot; NaN where that could not be told.",
        _abilities,
        ("ability",),
    ),
    Gauge(
        "replicator_inexact",
        "1 while this server cannot be replicated from exactly, and a person has accepted that.",
        lambda service: float(bool(service.report.abilities and service.report.abilities.inexact)),
    ),
    Gauge(
        "replicator_reads_primary",
        "1 while the primary is read, 0 while a secondary is.",
        lambda service: float(service.report.reading.member is None),
    ),
    Gauge(
        "replicator_webhook_failing",
        "1 while the latest message of the webhook does not arrive, otherwise 0.",
        lambda service: float(bool(service.report.deliveries and service.report.deliveries.problem)),
    ),
    Gauge("replicator_dead_letters", "Dead letters at present.", lambda service: float(service.dead_letters)),
    Gauge("replicator_collections", "Collections by what is done with them.", _counted, ("state",)),
    Gauge(
        "replicator_snapshot_progress",
        "Share of a collection's documents that its snapshot has written; 1 when complete.",
        _progress,
        ("collection",),
    ),
    Gauge(
        "replicator_snapshot_documents",
        "Documents that the snapshot of a collection has written, while it is not complete.",
        _snapshot_documents,
        ("collection",),
    ),
    Gauge(
        "replicator_schema_findings",
        "Paths with new_field, misfit or gone (kind): see replicator mapping drift.",
        _findings,
        ("collection", "kind"),
    ),
    Gauge(
        "replicator_reconciliation_differences",
        "Differences that the last comparison of each collection left; NaN while unknown.",
        _reconciliation(lambda last: last.outstanding),
    ),
    Gauge(
        "replicator_reconciliation_unexplained_differences",
        "Those of them that do not wait as dead letters.",
        _reconciliation(lambda last: last.unexplained),
    ),
    Gauge(
        "replicator_reconciliation_compared_collections",
        "Collections that were compared at all; NaN before the first comparison.",
        _reconciliation(lambda last: last.compared),
    ),
    Gauge(
        "replicator_reconciliation_last_success_timestamp_seconds",
        "When the collection compared longest ago was compared (one that never was: came into being); NaN before any.",
        _unproved_since,
    ),
    Gauge(
        "replicator_mart_as_of_timestamp_seconds",
        "The time that a mart shows; none before its first load.",
        _marts(lambda mart: mart.as_of.timestamp()),
        ("mart",),
    ),
    Gauge(
        "replicator_mart_loaded_timestamp_seconds",
        "When a mart was last loaded.",
        _marts(lambda mart: mart.loaded_at.timestamp()),
        ("mart",),
    ),
    Gauge(
        "replicator_mart_load_seconds",
        "How long the last load of a mart took.",
        _marts(lambda mart: mart.seconds),
        ("mart",),
    ),
    Gauge(
        "replicator_mart_rows", "Rows of a mart after its last load.", _marts(lambda mart: float(mart.rows)), ("mart",)
    ),
)
