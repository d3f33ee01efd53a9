"""What is told, and when: pure decisions over :class:`ServiceView`, with time as an argument.

A cause is told when it begins, when it becomes more severe, once an hour when its words have changed, and when it is
over; at most once a minute whatever happens. Several notices of one kind are one cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from replicator_service.core.words import spelled
from replicator_service.runtime.judgement.notices import Notice, Severity, notices
from replicator_service.runtime.state.health import RUNNING, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replicator_service.runtime.judgement.service_view import ServiceView

VERSION = 1
LEAST_SECONDS = 60.0
CHANGED_SECONDS = 3_600.0

_STATES = frozenset({State.WAITING, State.RESYNC_REQUIRED, State.FAILED})
_OF_STATES = frozenset({"waiting", "error"})
"""Notices that say why the state is what it is."""

_OWN = frozenset({"mongodb", "postgresql", "stuck", "no leader"})
"""What each instance sees for itself; of everything else the leader tells."""

_NEVER = frozenset({"webhook"})


class Event(StrEnum):
    """Whether something begins, has changed, or is over."""

    RAISED = "raised"
    UPDATED = "updated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``since`` and ``at`` are wall times; ``count``: so many notices are meant, the first is told."""

    event: Event
    cause: str
    notice: Notice
    count: int
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class _Open:
    notice: Notice
    since: datetime
    told_at: float


FIELDS = {
    "version": "Of this form: 1.",
    "id": "The same when a message is sent again: whoever has seen it has seen this one.",
    "event": "`raised`, `updated` (more severe, or other words after an hour) or `resolved`.",
    "severity": "`critical`: somebody must act; `warning`: somebody should look; `info`: it is over.",
    "cause": "What it is about; the limit of one message a minute holds for each.",
    "count": "How many notices of this cause there are; the most severe one is told.",
    "stream": "The MongoDB database.",
    "instance": "Host and process of whoever tells.",
    "state": "Its state at that time.",
    "message": "What happened, in a sentence or two. Never a value of a document.",
    "hint": "What to do.",
    "command": "The one command that helps, or null.",
    "since": "When it began, as far as this instance has seen.",
    "time": "When the message was made.",
    "text": "All of it in one line: what chat programs show.",
}
"""Every field of the JSON with its meaning, in order; made by :func:`document`."""


def document(message: Message, *, identity: str, stream: str, instance: str, state: str) -> dict[str, Any]:
    """The JSON of a message, see :data:`FIELDS`."""
    notice = message.notice
    is_over = message.event is Event.RESOLVED
    severity = Severity.INFO if is_over else notice.severity
    said = f"Over: {notice.message}" if is_over and message.cause != State.STREAMING else notice.message
    more = f" And {message.count - 1:,} more of this kind." if message.count > 1 else ""
    hint = "" if is_over else notice.hint
    command = None if is_over else notice.command
    told = " ".join(part for part in (f"{said}{more}", hint, f"Run: {command}" if command else "") if part)
    return {
        "version": VERSION,
        "id": identity,
        "event": message.event.value,
        "severity": severity.value,
        "cause": message.cause,
        "count": message.count,
        "stream": stream,
        "instance": instance,
        "state": state,
        "message": f"{said}{more}",
        "hint": hint,
        "command": command,
        "since": _utc(message.since),
        "time": _utc(message.at),
        "text": f"[{severity.value}] replicator of {stream}: {told}",
    }


class Announcer:
    """Compares each view of the service with the messages sent so far. Belongs to one thread."""

    def __init__(self, *, max_lag_seconds: float, wall_clock: Callable[[], datetime]) -> None:
        self._max_lag_seconds = max_lag_seconds
        self._wall_clock = wall_clock
        self._open: dict[str, _Open] = {}
        self._told_at: dict[str, float] = {}

    def messages(self, service: ServiceView) -> list[Message]:
        """What has to be told now."""
        at = self._wall_clock()
        causes = self._causes(service, at)
        new = [*self._begun(causes, service.now, at), *self._over(causes, service, at)]
        for message in new:
            self._told_at[message.cause] = service.now
        return new

    def _causes(self, service: ServiceView, at: datetime) -> dict[str, list[Notice]]:
        """Notices by cause, the most severe first. A bad state is a cause, and says why."""
        found: dict[str, list[Notice]] = {}
        for notice in notices(service, at=at, max_lag_seconds=self._max_lag_seconds):
            subject = notice.subject
            if subject in _OF_STATES:
                if service.state in _STATES:
                    found.setdefault(service.state.value, []).append(notice)
            elif notice.severity is not Severity.INFO and subject not in _NEVER and _may_tell(subject, service):
                found.setdefault(subject.replace(" ", "_"), []).append(notice)
        return found

    def _begun(self, causes: dict[str, list[Notice]], now: float, at: datetime) -> Iterator[Message]:
        for cause, found in causes.items():
            notice, before = found[0], self._open.get(cause)
            if not self._may_be_told(cause, now) or (before is not None and not _is_news(notice, before, now)):
                continue
            since = at if before is None else before.since
            self._open[cause] = _Open(notice, since, now)
            yield Message(Event.RAISED if before is None else Event.UPDATED, cause, notice, len(found), since, at)

    def _over(self, causes: dict[str, list[Notice]], service: ServiceView, at: datetime) -> Iterator[Message]:
        for cause, before in list(self._open.items()):
            if cause in causes:
                continue
            if cause in _STATES:
                if service.state in RUNNING | {State.STANDBY} and self._may_be_told(State.STREAMING, service.now):
                    del self._open[cause]
                    yield self._back(cause, before, service, at)
            elif _may_tell(cause.replace("_", " "), service) and self._may_be_told(cause, service.now):
                del self._open[cause]
                yield Message(Event.RESOLVED, cause, before.notice, 1, before.since, at)

    @staticmethod
    def _back(cause: str, before: _Open, service: ServiceView, at: datetime) -> Message:
        lasted = spelled((at - before.since).total_seconds())
        told = f"Back to {service.state.value} after {lasted} of {cause.replace('_', ' ')}."
        notice = Notice(Severity.INFO, State.STREAMING.value, told, "Nothing to do.")
        return Message(Event.RESOLVED, State.STREAMING.value, notice, 1, before.since, at)

    def _may_be_told(self, cause: str, now: float) -> bool:
        told_at = self._told_at.get(cause)
        return told_at is None or now - told_at >= LEAST_SECONDS


def _may_tell(subject: str, service: ServiceView) -> bool:
    return service.is_leader or subject in _OWN


def _is_news(notice: Notice, before: _Open, now: float) -> bool:
    order = list(Severity)
    if order.index(notice.severity) < order.index(before.notice.severity):
        return True
    return notice.message != before.notice.message and now - before.told_at >= CHANGED_SECONDS


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
