"""What is known as JSON: the values of the fields of ``/status``, see :mod:`.status`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from replicator_service.core.abilities import MEANINGS
from replicator_service.core.position import wall_time
from replicator_service.core.schema_findings import FindingKind
from replicator_service.core.steps import CollectionState
from replicator_service.core.times import time_text
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from replicator_service.core.abilities import Abilities
    from replicator_service.core.overview import CollectionView, DatabaseView, MartView
    from replicator_service.runtime.judgement.service_view import ServiceView, Sighting
    from replicator_service.runtime.state.health import Report
    from replicator_service.runtime.state.waiting import ErrorReport

Json = dict[str, Any]

_MOVING = frozenset({CollectionState.SNAPSHOTTING.value, CollectionState.STREAMING.value})


def collections(view: DatabaseView | None) -> Json:
    """Each collection by name."""
    return {name: _collection(each) for name, each in (view.collections if view else {}).items()}


def abilities(found: Abilities | None) -> Json | None:
    """What MongoDB can do, what it said of that, and what follows where it cannot."""
    if found is None:
        return None
    told: Json = {
        ability.value: {
            "available": each.works,
            "detail": each.told or None,
            "without": MEANINGS[ability].without if each.works is False else None,
        }
        for ability, each in found.found.items()
    }
    return told


def reading(report: Report) -> Json:
    """Which member is read from, and how often the primary had to be."""
    found = report.reading
    return {
        "spares_primary": found.spares_primary,
        "member": found.member,
        "fallbacks": report.fallbacks,
        "reason": found.reason,
    }


def webhook(report: Report) -> Json | None:
    """What became of the webhook's messages."""
    return None if report.deliveries is None else asdict(report.deliveries)


def dead_letter_reasons(view: DatabaseView | None) -> list[Json]:
    """Why there are dead letters, the most frequent reasons first: those of the latest few thousand."""
    return [
        {"collection": each.collection, "reason": each.reason, "count": each.count, "latest": utc(each.latest)}
        for each in (view.dead_letter_groups if view else ())
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
            "first_seen": utc(each.first_seen),
            "last_seen": utc(each.last_seen),
        }
        for each in (view.findings if view else ())
    ]


def last_reconciliation(view: DatabaseView | None) -> Json | None:
    """When both sides were last compared, how many differences there were, and what of them remains."""
    if view is None or view.last_reconciliation is None:
        return None
    last = view.last_reconciliation
    return {
        "at": utc(last.at),
        "compared": last.compared,
        "collections": last.collections,
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
    return {"started_at": utc(attempt.started_at), "error": attempt.error}


def marts(view: DatabaseView | None) -> Json:
    """The last published load of each mart; empty where there are none, or this user may not read of them."""
    return {each.name: _mart(each) for each in (view.marts if view else ())}


def leader(view: DatabaseView | None) -> Json | None:
    """Who holds the lease, as PostgreSQL sees the session."""
    if view is None or view.leader is None:
        return None
    holder = view.leader
    return {"pid": holder.pid, "address": holder.address, "since": utc(holder.since)}


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


def moving(service: ServiceView) -> Json:
    """The collections with what this process knows of them: null where it has seen none of their changes.

    While nothing moves, each shows the state that keeps it; one that cannot be read waits.
    """
    known = collections(service.database)
    for name, each in known.items():
        failure = service.report.collection_errors.get(name)
        if each["state"] in _MOVING and (failure is not None or not service.is_moving):
            is_kept = failure is None and service.state is not State.STANDBY
            each["state"] = service.state.value if is_kept else State.WAITING.value
        each["error"] = None if failure is None else error(failure)
        movement = service.movements.get(name)
        each["last_change"] = wall(movement.last_change) if movement else None
        each["events_per_second"] = round(movement.events_per_second, 1) if movement else 0.0
        left = service.snapshot_seconds_left.get(name)
        each["snapshot_seconds_left"] = None if left is None else round(left)
        each.update(_snapshot(service, name))
    return known


def _snapshot(service: ServiceView, name: str) -> Json:
    """How much of a collection is read, and how fast; null while it is not."""
    load = service.database.load if service.database else None
    found = load.snapshots.get(name) if load else None
    documents, size = service.snapshot_documents_per_second.get(name), service.snapshot_bytes_per_second.get(name)
    return {
        "snapshot_bytes": found.bytes if found else None,
        "snapshot_ranges": found.ranges if found else None,
        "snapshot_ranges_left": found.ranges_left if found else None,
        "snapshot_documents_per_second": None if documents is None else round(documents),
        "snapshot_bytes_per_second": None if size is None else round(size),
    }


def snapshot_pace(view: DatabaseView | None) -> Json:
    """What an operator has said of the pace of snapshots; null is what the settings say."""
    pace = view.load.pace if view and view.load else None
    return {"workers": pace.workers if pace else None, "max_mb_s": pace.max_mb_s if pace else None}


def indexes(view: DatabaseView | None) -> list[Json]:
    """Indexes of the mapping that are not there yet."""
    return [
        {
            "collection": each.collection,
            "table": each.table,
            "columns": list(each.columns),
            "state": each.state,
            "progress": None if each.progress is None else round(each.progress, 3),
            "error": each.error,
        }
        for each in (view.load.indexes if view and view.load else ())
    ]


def error(report: ErrorReport) -> Json:
    """An error with what to do about it."""
    return {"class": report.kind, "message": report.message, "hint": report.hint}


def waiting(service: ServiceView, at: datetime) -> Json | None:
    """What is waited for, since when and why."""
    wait = service.wait
    if wait is None:
        return None
    seconds = max(0.0, service.now - wait.since)
    return {
        "server": None if wait.server is None else wait.server.value,
        "since": utc(at - timedelta(seconds=seconds)),
        "seconds": round(seconds, 1),
        "attempts": wait.attempts,
        "reason": wait.error.message,
        "hint": wait.error.hint,
    }


def last_failure(view: DatabaseView | None) -> Json | None:
    """Why the service ended last, while nothing was replicated since."""
    if view is None or view.failure is None:
        return None
    failure = view.failure
    return {
        "at": utc(failure.at),
        "instance": failure.instance,
        "cause": failure.cause,
        "hint": failure.hint,
        "exit_code": failure.exit_code,
    }


def _mart(view: MartView) -> Json:
    return {
        "as_of": utc(view.as_of),
        "loaded_at": utc(view.loaded_at),
        "seconds": round(view.seconds, 3),
        "rows": view.rows,
        "inserted": view.inserted,
        "versioned": view.versioned,
        "closed": view.closed,
        "overwritten": view.overwritten,
        "source_time": None if view.source_time is None else utc(view.source_time),
        "warnings": list(view.warnings),
    }


def server(seen: Sighting, now: float) -> Json:
    """When a server was last seen."""
    return {
        "seen_seconds_ago": None if seen.at is None else round(max(0.0, now - seen.at), 1),
        "problem": seen.problem,
    }


def utc(time: datetime) -> str:
    """A time in UTC."""
    return time_text(time)


def wall(cluster_time: int | None) -> str | None:
    """A cluster time as a time, where there is such a year."""
    try:
        time: datetime | None = None if cluster_time is None else wall_time(cluster_time)
    except (OverflowError, ValueError):
        return None
    return None if time is None else time_text(time)
