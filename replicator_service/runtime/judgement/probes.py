"""Whether this instance lives, is ready, has started: three questions of an orchestrator, answered from memory.

Being alive has nothing to do with the servers: a service that waits for a server, stands by or is paused is alive.
What is not alive is one whose threads do not turn any more although nothing keeps them from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.runtime.state.health import RUNNING, State

if TYPE_CHECKING:
    from replicator_service.runtime.judgement.service_view import ServiceView

STUCK_SECONDS = 120.0
"""A thread that has not turned for so long is stuck, unless its server is known to be at work."""

CALL_SECONDS = 660.0
"""Longer than any call of MongoDB's driver may take. A stream that resumes far back rightly scans the oplog in one."""

STANDBY_SECONDS = 30.0
_PARTS = ("stream-reader", "planner", "writer")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition, whether it holds, and what was found."""

    name: str
    holds: bool
    detail: str


def liveness(service: ServiceView) -> list[Verdict]:
    """Whether each thread of the pipeline turns."""
    # What the pipeline reports: a stream that is silent makes the state "waiting", and its threads have to turn still.
    if not service.is_leader or service.report.state not in RUNNING:
        return [Verdict("process", holds=True, detail=f"{service.state.value}, no stream is running")]
    return [_turning(service, part) for part in _PARTS if part in service.report.ticks]


def readiness(service: ServiceView, *, max_lag_seconds: float) -> list[Verdict]:
    """Whether this instance does its work: it leads or stands by, knows of no trouble, and keeps up."""
    report = service.report
    is_working = service.state in RUNNING or service.state is State.STANDBY
    verdicts = [Verdict("state", is_working, service.state.value)]
    error = service.error
    verdicts.append(Verdict("error", error is None, "none" if error is None else f"{error.kind}: {error.message}"))
    if service.state is State.STANDBY:
        age = service.now - report.ticks.get("standby", service.now)
        verdicts.append(Verdict("standby", age <= STANDBY_SECONDS, f"asked for the lease {age:.0f} s ago"))
    lag = service.lag_seconds
    detail = "unknown" if lag is None else f"{lag:.0f} s, at most {max_lag_seconds:.0f} s"
    verdicts.append(Verdict("lag", lag is not None and lag <= max_lag_seconds, detail))
    return verdicts


def startup(service: ServiceView) -> list[Verdict]:
    """Whether this instance has led or stood by since it began."""
    return [Verdict("started", service.report.started, service.state.value)]


def _turning(service: ServiceView, part: str) -> Verdict:
    age = max(0.0, service.now - service.report.ticks[part])
    detail, limit = f"turned {age:.0f} s ago", STUCK_SECONDS
    if service.is_writing:
        detail, limit = f"{detail}, PostgreSQL is at work", math.inf
    elif part == "stream-reader" and service.source_seen.is_fresh(service.now):
        limit = CALL_SECONDS
    return Verdict(part, age <= limit, detail)
