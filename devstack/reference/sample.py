"""A service in the middle of its work, as it sees itself: what the examples of the reference are made of."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from replicator_service.core.abilities import Abilities, Ability, Found
from replicator_service.core.overview import (
    CollectionView,
    DatabaseView,
    DeadLetterGroup,
    DifferenceGroup,
    FindingGroup,
    LastReconciliation,
    Leader,
    MartView,
    SourceView,
)
from replicator_service.core.position import Position
from replicator_service.core.read_from import Reading
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.core.schema_findings import FindingKind, SchemaFinding
from replicator_service.core.steps import CollectionState, Commit
from replicator_service.pipeline.observer import Committed
from replicator_service.runtime.judgement.service_view import ServiceView, Sighting
from replicator_service.runtime.state.activity import Movement
from replicator_service.runtime.state.health import Report, Role, State

STREAM = "origin"
AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
_SECONDS = int(AT.timestamp())
_CLUSTER_TIME = (_SECONDS << 32) + 7
_MONOTONIC = 5_000.0


def _at(hour: int) -> datetime:
    return AT.replace(hour=hour)


SERVICE = ServiceView(
    now=_MONOTONIC,
    report=Report(
        state=State.SNAPSHOTTING,
        role=Role.LEADER,
        stream=STREAM,
        cluster_time=_CLUSTER_TIME,
        dead_letters=1,
        ticks={"stream-reader": _MONOTONIC, "planner": _MONOTONIC, "writer": _MONOTONIC},
        started=True,
        abilities=Abilities(
            {
                Ability.SNAPSHOT_READS: Found(works=True),
                Ability.SNAPSHOT_HISTORY: Found(works=True, told="300 s"),
                Ability.SPLIT_EVENTS: Found(works=False, told="code 40324: Location40324"),
                Ability.OPLOG_HISTORY: Found(works=True, told="it reaches back 90000 s"),
            },
            300,
        ),
        reading=Reading(spares_primary=True, member="mongo-2:27017"),
    ),
    source=SourceView(_CLUSTER_TIME, (_SECONDS - 90_000) << 32, {"weather": "timeseries"}),
    database=DatabaseView(
        is_installed=True,
        cluster_time=_CLUSTER_TIME,
        epoch=3,
        dead_letters=1,
        collections={
            "EventLogs": CollectionView(
                "EventLogs", "event_logs", CollectionState.SNAPSHOTTING, 61_000, 60_000, 240_000, 0
            ),
            "SupportTickets": CollectionView(
                "SupportTickets", "support_tickets", CollectionState.STREAMING, 877, None, None, 1
            ),
        },
        last_reconciliation=LastReconciliation(
            at=_at(2),
            differences=3,
            repaired=2,
            documents=18_762,
            groups=(DifferenceGroup("SupportTickets", DifferenceKind.MISSING, 1, are_dead_letters=True),),
        ),
        leader=Leader(pid=4711, application="replicator writer", address="10.0.0.7", since=_at(1)),
        dead_letter_groups=(
            DeadLetterGroup(
                "SupportTickets",
                'new row for relation "support_tickets" violates check constraint "no_urgency"',
                1,
                _at(9),
            ),
        ),
        finding_groups=(
            FindingGroup("EventLogs", FindingKind.MISFIT, 1, 12),
            FindingGroup("EventLogs", FindingKind.NEW_FIELD, 1, 40),
        ),
        findings=(
            SchemaFinding("EventLogs", "timestamp", FindingKind.MISFIT, _at(3), _at(9), 12),
            SchemaFinding("EventLogs", "details.source", FindingKind.NEW_FIELD, _at(1), _at(9), 40),
        ),
        marts=(MartView("user_activity", _at(6), _at(6), 0.41, 1_000, 3, 120, 0, 0),),
    ),
    source_seen=Sighting(_MONOTONIC),
    database_seen=Sighting(_MONOTONIC),
    movements={"SupportTickets": Movement(_CLUSTER_TIME, 12.5)},
    snapshot_seconds_left={"EventLogs": 9.0},
)
"""One collection is read again while the stream goes on, and one document was refused."""


def committed() -> Committed:
    """One commit, so that every counter has a sample."""
    events = Counter({("SupportTickets", "update"): 2, ("SupportTickets", "insert"): 1})
    return Committed(
        commit=Commit(Position({}, _CLUSTER_TIME), None, events=events),
        rows=7,
        rejected=0,
        settled=0,
        swept=0,
        altered=0,
        dead_letters=1,
        seconds=0.004,
    )
