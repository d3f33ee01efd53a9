"""The JSON of ``/status``: a contract, read by the page, by ``replicator status`` and by other programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replicator_service.core.position import wall_time
from replicator_service.core.schema_findings import FindingKind
from replicator_service.runtime.judgement.notices import MEANINGS, notices

if TYPE_CHECKING:
    from replicator_service.core.overview import CollectionView, DatabaseView, MartView
    from replicator_service.runtime.judgement.service_view import Present, Sighting

Json = dict[str, Any]


def status(
    present: Present, *, at: datetime, max_lag_seconds: float, version: str = "", events: int = 0, rows: int = 0
) -> Json:
    """Everything that is known at the wall time ``at``. Unknown numbers are null, never 0.

    ``cluster_time`` is ``seconds * 2**32 + increment``, ``snapshot_progress`` a share from 0 to 1, and the ``rows`` of
    a collection PostgreSQL's estimate. ``servers`` tells when each was last seen, ``notices`` what a person should
    know, the most severe first.
    """
    report = present.report
    return {
        "state": present.state.value,
        "meaning": MEANINGS[present.state],
        "role": report.role.value,
        "stream": report.stream,
        "cluster_time": present.cluster_time,
        "cluster_wall_time": _wall(present.cluster_time),
        "lag_seconds": present.lag_seconds,
        "converging": present.is_converging,
        "oplog_headroom_seconds": present.oplog_headroom_seconds,
        "oplog_is_whole": present.oplog_is_whole,
        "dead_letters": present.dead_letters,
        "dead_letter_reasons": dead_letter_reasons(present.database),
        "schema_finding_paths": schema_finding_paths(present.database),
        "schema_findings": schema_findings(present.database),
        "collections": _moving(present),
        "unsupported_collections": dict(present.source.unsupported) if present.source else {},
        "last_reconciliation": last_reconciliation(present.database),
        "reconciliation_attempt": reconciliation_attempt(present.database),
        "marts": marts(present.database),
        "error": None
        if report.error is None
        else {"class": report.error.kind, "message": report.error.message, "hint": report.error.hint},
        "notices": [
            {
                "severity": each.severity.value,
                "subject": each.subject,
                "message": each.message,
                "hint": each.hint,
                "command": each.command,
            }
            for each in notices(present, at=at, max_lag_seconds=max_lag_seconds)
        ],
        "servers": {
            "mongodb": _server(present.source_seen, present.now),
            "postgresql": _server(present.database_seen, present.now),
        },
        "leader": leader(present.database),
        "events_total": events,
        "rows_applied_total": rows,
        "version": version,
        "time": _utc(at),
    }


def collections(view: DatabaseView | None) -> Json:
    """Each collection by name."""
    return {name: _collection(each) for name, each in (view.collections if view else {}).items()}


def dead_letter_reasons(view: DatabaseView | None) -> list[Json]:
    """Why there are dead letters, the most frequent reasons first: those of the latest few thousand."""
    return [
        {"collection": each.collection, "reason": each.reason, "count": each.count, "latest": _utc(each.latest)}
        for each in (view.letter_groups if view else ())
    ]


def schema_finding_paths(view: DatabaseView | None) -> Json:
    """How many paths there are of each kind of finding."""
    return {kind.value: view.finding_paths(kind) if view else 0 for kind in FindingKind}


def schema_findings(view: DatabaseView | None) -> list[Json]:
    """What documents and mapping do not have in common: values that do not fit first, the most frequent first."""
    return [
        {
            "collection": each.collection,
            "path": each.path,
            "kind": each.kind.value,
            "count": each.count,
            "first_seen": _utc(each.first_seen),
            "last_seen": _utc(each.last_seen),
        }
        for each in (view.findings if view else ())
    ]


def last_reconciliation(view: DatabaseView | None) -> Json | None:
    """When both sides were last compared, how many differences there were, and what of them remains."""
    if view is None or view.last_reconciliation is None:
        return None
    last = view.last_reconciliation
    return {
        "at": _utc(last.at),
        "documents": last.documents,
        "differences": last.differences,
        "repaired": last.repaired,
        "outstanding": last.outstanding,
        "outstanding_by_kind": [
            {
                "collection": each.collection,
                "kind": each.kind.value,
                "count": each.count,
                "dead_letters": each.are_dead_letters,
            }
            for each in last.groups
        ],
    }


def reconciliation_attempt(view: DatabaseView | None) -> Json | None:
    """A comparison begun after the last finished one; without an ``error`` it still runs."""
    if view is None or view.reconciliation_attempt is None:
        return None
    attempt = view.reconciliation_attempt
    return {"started_at": _utc(attempt.started_at), "error": attempt.error}


def marts(view: DatabaseView | None) -> Json:
    """The last published load of each mart; empty where there are none, or this user may not read of them."""
    return {each.name: _mart(each) for each in (view.marts if view else ())}


def leader(view: DatabaseView | None) -> Json | None:
    """Who holds the lease, as PostgreSQL sees the session."""
    if view is None or view.leader is None:
        return None
    holder = view.leader
    return {"pid": holder.pid, "address": holder.address, "since": _utc(holder.since)}


def _collection(view: CollectionView) -> Json:
    return {
        "state": view.state.value,
        "rows": view.rows,
        "snapshot_progress": view.snapshot_progress,
        "table": view.table,
        "dead_letters": view.dead_letters,
        "snapshot_documents": view.documents,
        "snapshot_expected": view.expected,
    }


def _moving(present: Present) -> Json:
    """The collections with what this process has seen of their changes: null where it has seen none."""
    known = collections(present.database)
    for name, each in known.items():
        movement = present.movements.get(name)
        each["last_change"] = _wall(movement.last_change) if movement else None
        each["events_per_second"] = round(movement.events_per_second, 1) if movement else 0.0
        left = present.snapshot_seconds_left.get(name)
        each["snapshot_seconds_left"] = None if left is None else round(left)
    return known


def _mart(view: MartView) -> Json:
    return {
        "as_of": _utc(view.as_of),
        "loaded_at": _utc(view.loaded_at),
        "seconds": round(view.seconds, 3),
        "rows": view.rows,
        "inserted": view.inserted,
        "versioned": view.versioned,
        "closed": view.closed,
        "overwritten": view.overwritten,
        "source_time": None if view.source_time is None else _utc(view.source_time),
        "warnings": list(view.warnings),
    }


def _server(seen: Sighting, now: float) -> Json:
    return {
        "seen_seconds_ago": None if seen.at is None else round(max(0.0, now - seen.at), 1),
        "problem": seen.problem,
    }


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _wall(cluster_time: int | None) -> str | None:
    try:
        time: datetime | None = None if cluster_time is None else wall_time(cluster_time)
    except (OverflowError, ValueError):
        return None
    return None if time is None else time.isoformat()
