"""What a person should know now: what is wrong, and what to do about it.

Pure functions of the service view. The page and ``replicator status`` show the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.abilities import MEANINGS, describe
from replicator_service.core.errors import ResyncRequired, Server
from replicator_service.core.schema_findings import FindingKind
from replicator_service.core.times import time_text
from replicator_service.core.words import counted, sentence, spelled
from replicator_service.runtime.judgement.probes import liveness
from replicator_service.runtime.state.health import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from replicator_service.runtime.judgement.service_view import ServiceView, Sighting

HEADROOM_SHORT_SECONDS = 3_600.0
HEADROOM_CRITICAL_SECONDS = 600.0
LAG_SECONDS = 60.0
_INTERFERENCES = 3
STALE_HOURS = 26.0
"""Nightly work that is older than a day and a little has not been done."""


class Severity(StrEnum):
    """How much a notice matters: somebody must act, somebody should look, good to know."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing worth knowing. ``command`` is what to run, where one command helps."""

    severity: Severity
    subject: str
    message: str
    hint: str
    command: str | None = None


def notices(service: ServiceView, *, at: datetime, max_lag_seconds: float) -> list[Notice]:
    """Everything worth knowing at the wall time ``at``, the most severe first."""
    found = [
        *_waiting(service, at),
        *_errors(service),
        *_collections(service),
        *_servers(service),
        *_threads(service),
        *_leader(service),
        *_failure(service, at),
        *_headroom(service),
        *_lag(service, max_lag_seconds),
        *_paused(service),
        *_differences(service, at),
        *_dead_letters(service),
        *_misfits(service),
        *_marts(service, at),
        *_requests(service, at),
        *_interference(service),
        *_inexact(service),
        *_reading(service),
        *_webhook(service),
    ]
    order = list(Severity)
    return sorted(found, key=lambda notice: order.index(notice.severity))


def _waiting(service: ServiceView, at: datetime) -> Iterator[Notice]:
    wait = service.wait
    if service.state is not State.WAITING or wait is None:
        return
    name = "a server" if wait.server is None else wait.server.spelled
    # Not for how long: a text that changes every second is read aloud every second.
    since = at - timedelta(seconds=max(0.0, round(service.now - wait.since)))
    yield Notice(
        Severity.CRITICAL,
        "waiting",
        f"Waiting for {name} since {time_text(since)}: {sentence(wait.error.message)}",
        f"{sentence(wait.error.hint)} {_MEANWHILE}".strip(),
    )


_MEANWHILE = "Changes wait in MongoDB's oplog; replication continues by itself."


def _errors(service: ServiceView) -> Iterator[Notice]:
    error = service.report.failure
    if error is not None:
        command = ResyncRequired.command if service.state is State.RESYNC_REQUIRED else None
        yield Notice(Severity.CRITICAL, "error", sentence(error.message), error.hint, command)


def _collections(service: ServiceView) -> Iterator[Notice]:
    for name, error in sorted(service.report.collection_errors.items()):
        yield Notice(
            Severity.WARNING,
            "collection",
            f"{name} cannot be read: {sentence(error.message)}",
            f"{sentence(error.hint)} The other collections are replicated; this one is tried again now and then.",
        )


def _servers(service: ServiceView) -> Iterator[Notice]:
    waited_for = service.wait.server if service.wait else None
    for server, seen in ((Server.MONGODB, service.source_seen), (Server.POSTGRESQL, service.database_seen)):
        problem = _problem(seen, service.now)
        if problem is not None and server is not waited_for:
            fix = f"Start {server.spelled}, or repair the network between it and the service. {_MEANWHILE}"
            yield Notice(Severity.CRITICAL, server.value, f"{server.spelled} does not answer: {problem}.", fix)


def _problem(seen: Sighting, now: float) -> str | None:
    """Why a server counts as away; one that nobody has looked at yet does not."""
    if seen.problem is not None:
        return seen.problem if seen.at is None else f"{seen.problem}; last seen {spelled(now - seen.at)} ago"
    if seen.at is not None and not seen.is_fresh(now):
        return f"last seen {spelled(now - seen.at)} ago"
    return None


def _threads(service: ServiceView) -> Iterator[Notice]:
    for verdict in liveness(service):
        if not verdict.holds:
            yield Notice(
                Severity.CRITICAL,
                "stuck",
                f"The {verdict.name} does not turn any more ({verdict.detail}).",
                "Whoever watches /livez restarts the service; otherwise restart it. Nothing is lost by that.",
            )


def _leader(service: ServiceView) -> Iterator[Notice]:
    database = service.database
    is_known = database is not None and service.database_seen.is_fresh(service.now)
    if service.state is State.STANDBY and is_known and database is not None and database.leader is None:
        yield Notice(
            Severity.CRITICAL,
            "no leader",
            "No instance leads: nothing is replicated.",
            "This instance takes over within seconds. When this stays, look at its log.",
        )


def _failure(service: ServiceView, at: datetime) -> Iterator[Notice]:
    failure = service.database.failure if service.database else None
    if failure is not None:
        told = f"The service ended {_ago(failure.at, at)} on {failure.instance}: {sentence(failure.cause)}"
        yield Notice(Severity.CRITICAL, "failure", told, failure.hint)


def _requests(service: ServiceView, at: datetime) -> Iterator[Notice]:
    for each in service.database.failed_requests if service.database else ():
        asked = f"replicator {each.kind} {each.collection or ''}".strip()
        yield Notice(
            Severity.WARNING,
            "request",
            f"{_ago(each.at, at).capitalize()} the request '{asked}' could not be done: {sentence(each.error)}",
            "Remove the cause and ask for it again. This is told for a day.",
        )


def _inexact(service: ServiceView) -> Iterator[Notice]:
    abilities = service.report.abilities
    for ability in abilities.missing if abilities is not None else ():
        told = MEANINGS[ability]
        if abilities is not None and told.inexact is not None:
            yield Notice(
                Severity.WARNING,
                "inexact",
                f"Not exact, as accepted by REPLICATOR_ACCEPT_INEXACT: {describe(ability, abilities.found[ability])}.",
                told.fix,
            )


def _reading(service: ServiceView) -> Iterator[Notice]:
    reading = service.report.reading
    if reading.spares_primary and reading.member is None and reading.reason is not None:
        yield Notice(
            Severity.WARNING,
            "reading",
            f"The primary is read instead of a secondary: {sentence(reading.reason)}",
            "The secondary is tried again now and then. Exactness does not depend on it.",
        )


def _webhook(service: ServiceView) -> Iterator[Notice]:
    deliveries = service.report.deliveries
    if deliveries is not None and deliveries.problem is not None:
        yield Notice(
            Severity.WARNING,
            "webhook",
            f"Messages of the webhook do not arrive: {sentence(deliveries.problem)}",
            "Check REPLICATOR_WEBHOOK_URL and the receiver. Replication does not depend on it.",
        )


def _interference(service: ServiceView) -> Iterator[Notice]:
    found = service.database.interference if service.database else ()
    for each in found[:_INTERFERENCES]:
        yield Notice(Severity.WARNING, "interference", f"{each.cause}.", f"Take it away: {each.fix}")
    if (left := len(found) - _INTERFERENCES) > 0:
        yield Notice(
            Severity.WARNING,
            "interference",
            f"Others have hung {counted(left, 'more thing')} on replicated tables.",
            "See all of them, each with the statement that takes it away.",
            "replicator check",
        )


def _headroom(service: ServiceView) -> Iterator[Notice]:
    left = service.oplog_headroom_seconds
    if left is None or service.oplog_is_whole or service.state is State.RESYNC_REQUIRED:
        return
    hint = (
        "Once MongoDB discards changes that were not replicated, everything is read again. "
        "Keep them longer: db.adminCommand({replSetResizeOplog: 1, minRetentionHours: 24})"
    )
    if left < 0:
        yield Notice(Severity.CRITICAL, "headroom", "MongoDB has discarded changes that were not replicated.", hint)
    elif left < HEADROOM_SHORT_SECONDS:
        severity = Severity.CRITICAL if left < HEADROOM_CRITICAL_SECONDS else Severity.WARNING
        yield Notice(severity, "headroom", f"MongoDB's oplog reaches back only {spelled(left)}.", hint)


def _lag(service: ServiceView, max_lag_seconds: float) -> Iterator[Notice]:
    lag = service.lag_seconds
    if lag is None or lag <= LAG_SECONDS or service.state in {State.PAUSED, State.WAITING, State.RESYNC_REQUIRED}:
        return
    severity = Severity.CRITICAL if lag > max_lag_seconds else Severity.WARNING
    yield Notice(
        severity,
        "lag",
        f"PostgreSQL is {spelled(lag)} behind MongoDB.",
        "After an outage this shrinks by itself. When it grows, PostgreSQL or the network is slower than the writes: "
        "look at the commit time.",
    )


def _paused(service: ServiceView) -> Iterator[Notice]:
    if service.state is State.PAUSED:
        yield Notice(
            Severity.WARNING,
            "paused",
            "The stream is paused.",
            "Resume it before MongoDB's oplog no longer holds the changes, see the headroom.",
            "replicator resume",
        )


def _differences(service: ServiceView, at: datetime) -> Iterator[Notice]:
    database = service.database
    if database is None:
        return
    last, attempt = database.last_reconciliation, database.reconciliation_attempt
    if last is not None and last.are_dead_letters:
        yield Notice(
            Severity.INFO,
            "differences",
            "The differences of the last reconciliation are the dead letters.",
            "Nothing else differs. They are equal as soon as the dead letters are written.",
        )
    elif last is not None and last.outstanding > 0:
        yield Notice(
            Severity.CRITICAL,
            "differences",
            f"{counted(last.outstanding, 'difference')} between MongoDB and PostgreSQL "
            f"{'remains' if last.outstanding == 1 else 'remain'}.",
            "See which documents differ, then repair them; replication continues meanwhile.",
            "replicator reconcile --repair",
        )
    if attempt is not None and attempt.error is not None:
        yield Notice(
            Severity.WARNING,
            "reconciliation",
            f"The reconciliation begun {_ago(attempt.started_at, at)} failed: {sentence(attempt.error)}",
            "Both sides have not been compared since the one before it.",
            "replicator reconcile",
        )
    elif last is not None and _hours(last.stale_since, at) > STALE_HOURS:
        left = last.collections - last.compared
        told = f"Both sides were last compared {_ago(last.at, at)}."
        if last.is_partial:
            told = (
                f"{counted(left, 'collection')} of {last.collections:,} {'was' if left == 1 else 'were'} not compared."
            )
        yield Notice(
            Severity.WARNING,
            "reconciliation",
            told,
            "The DAG mongo_pg_replicator compares them every night: see in Airflow why it did not.",
            "replicator reconcile",
        )


def _dead_letters(service: ServiceView) -> Iterator[Notice]:
    count = service.dead_letters
    if count:
        yield Notice(
            Severity.WARNING,
            "dead letters",
            f"{counted(count, 'document')} could not be written and {'waits' if count == 1 else 'wait'} as "
            f"{'a dead letter' if count == 1 else 'dead letters'}.",
            "Everything else continues. Remove the cause, then have them written again.",
            "replicator dead-letters list",
        )


def _misfits(service: ServiceView) -> Iterator[Notice]:
    paths = service.database.finding_paths(FindingKind.MISFIT) if service.database else 0
    if paths:
        yield Notice(
            Severity.WARNING,
            "schema",
            f"Some values of {counted(paths, 'field')} do not fit the column: it is null, and _extra has the value.",
            "Nothing is lost, but figures made of these columns miss them. See which, and what the mapping needs.",
            "replicator mapping drift",
        )


def _marts(service: ServiceView, at: datetime) -> Iterator[Notice]:
    for mart in service.database.marts if service.database else ():
        if _hours(mart.loaded_at, at) > STALE_HOURS:
            yield Notice(
                Severity.WARNING,
                "marts",
                f"The mart {mart.name} was last loaded {_ago(mart.loaded_at, at)}.",
                "The DAG pg_datamart_loader loads it every day: see in Airflow why it did not.",
            )


def _hours(since: datetime, at: datetime) -> float:
    return (at - since).total_seconds() / 3_600


def _ago(since: datetime, at: datetime) -> str:
    return f"{spelled(max(0.0, (at - since).total_seconds()))} ago"
