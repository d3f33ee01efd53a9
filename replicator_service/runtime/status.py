"""The JSON of ``/status``: a contract, read by the page, by ``replicator status`` and by other programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replicator_service.core.position import wall_time

if TYPE_CHECKING:
    from replicator_service.core.overview import CollectionView, DatabaseView
    from replicator_service.runtime.present import Present, Sighting

Json = dict[str, Any]


def status(present: Present, *, version: str = "", events: int = 0, rows: int = 0) -> Json:
    """Everything that is known. Unknown numbers are null, never 0.

    ``cluster_time`` is ``seconds * 2**32 + increment``, ``snapshot_progress`` a share from 0 to 1, and the ``rows`` of
    a collection PostgreSQL's estimate. ``servers`` tells when each was last seen.
    """
    report = present.report
    return {
        "state": present.state.value,
        "role": report.role.value,
        "stream": report.stream,
        "cluster_time": present.cluster_time,
        "cluster_wall_time": _wall(present.cluster_time),
        "lag_seconds": present.lag_seconds,
        "converging": present.is_converging,
        "oplog_headroom_seconds": present.oplog_headroom_seconds,
        "dead_letters": present.dead_letters,
        "collections": collections(present.database),
        "unsupported_collections": dict(present.source.unsupported) if present.source else {},
        "last_reconciliation": last_reconciliation(present.database),
        "error": None
        if report.error is None
        else {"class": report.error.kind, "message": report.error.message, "hint": report.error.hint},
        "servers": {
            "mongodb": _server(present.source_seen, present.now),
            "postgresql": _server(present.database_seen, present.now),
        },
        "leader": leader(present.database),
        "events_total": events,
        "rows_applied_total": rows,
        "version": version,
    }


def collections(view: DatabaseView | None) -> Json:
    """Each collection by name."""
    return {name: _collection(each) for name, each in (view.collections if view else {}).items()}


def last_reconciliation(view: DatabaseView | None) -> Json | None:
    """When both sides were last compared, and how many differences there were."""
    if view is None or view.last_reconciliation is None:
        return None
    last = view.last_reconciliation
    return {
        "at": last.at.astimezone(UTC).isoformat(),
        "differences": last.differences,
        "repaired": last.repaired,
    }


def leader(view: DatabaseView | None) -> Json | None:
    """Who holds the lease, as PostgreSQL sees the session."""
    if view is None or view.leader is None:
        return None
    holder = view.leader
    return {"pid": holder.pid, "address": holder.address, "since": holder.since.astimezone(UTC).isoformat()}


def _collection(view: CollectionView) -> Json:
    return {
        "state": view.state.value,
        "rows": view.rows,
        "snapshot_progress": view.snapshot_progress,
        "table": view.table,
        "dead_letters": view.dead_letters,
    }


def _server(seen: Sighting, now: float) -> Json:
    return {
        "seen_seconds_ago": None if seen.at is None else round(max(0.0, now - seen.at), 1),
        "problem": seen.problem,
    }


def _wall(cluster_time: int | None) -> str | None:
    try:
        time: datetime | None = None if cluster_time is None else wall_time(cluster_time)
    except (OverflowError, ValueError):
        return None
    return None if time is None else time.isoformat()
