"""What PostgreSQL knows of a stream whose service does not answer, in the form of ``/status``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replicator_service.cli.status_source import STOPPED
from replicator_service.configuration.settings import load_settings
from replicator_service.core.errors import ConfigurationError, ReplicatorError, Retryable
from replicator_service.core.naming import schema_name
from replicator_service.core.steps import CollectionState
from replicator_service.core.words import spelled
from replicator_service.runtime.http.status import status
from replicator_service.runtime.judgement.guarantee import MEANINGS
from replicator_service.runtime.judgement.service_view import ServiceView, Sighting
from replicator_service.runtime.state.health import Report, State
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.overview.stream import read_overview

if TYPE_CHECKING:
    from replicator_service.core.overview import DatabaseView

Json = dict[str, Any]

_STOPPED_MEANS = "No instance leads, so nothing is replicated. PostgreSQL stands still at the checkpoint."
_WAITING_MEANS = "An instance leads, and nothing was committed for {}: it waits for a server, or for a lock."
_STILL_SECONDS = 60.0
"""MongoDB's time moves every ten seconds, also when nothing happens, and the checkpoint follows it."""


def from_postgresql(reason: str, hint: str) -> Json:
    """The status as PostgreSQL knows it; ``reason`` says why the service was not asked, ``hint`` what to do.

    Raises :class:`Retryable` when it cannot be asked either, :class:`ConfigurationError` for settings that do not lead
    to it.
    """
    try:
        settings = load_settings()
        with connect(settings.postgres_dsn.get_secret_value(), application_name="replicator command") as connection:
            stream = settings.mongo_database
            view = read_overview(connection, stream, schema_name(stream))
    except ConfigurationError as error:
        # Settings do not come by waiting; a server may.
        unasked = ConfigurationError(f"{reason}, and PostgreSQL cannot be asked instead", hint=hint)
        raise ConfigurationError.together([unasked, *error.parts]) from None
    except ReplicatorError as error:
        raise Retryable(
            f"{reason}, and PostgreSQL cannot be asked instead: {error.message}", hint=f"{hint} {error.hint}"
        ) from None
    return from_database(stream, view, reason, hint, at=datetime.now(UTC))


def from_database(stream: str, view: DatabaseView, reason: str, hint: str, *, at: datetime) -> Json:
    """The status as far as the control tables know it; lag, headroom and counters are unknown from there."""
    state = _state(view)
    # To this process, the one that leads is another one.
    seen = ServiceView(
        0.0,
        Report(stream=stream, state=State.FAILED if state == STOPPED else State.STANDBY),
        database=view,
        database_seen=Sighting(0.0),
    )
    known = status(seen, at=at, max_lag_seconds=0.0)
    error = {"class": "Unreachable", "message": f"{reason}; this is what PostgreSQL knows", "hint": hint}
    severity = "critical" if state in (STOPPED, State.WAITING) else "warning"
    sentence = error["message"][:1].upper() + error["message"][1:] + "."
    notice = {"severity": severity, "subject": "service", "message": sentence, "hint": hint, "command": None}
    for each in known["collections"].values():
        if each["state"] == State.FAILED.value:
            each["state"] = state
    return known | {
        "state": state,
        "meaning": _meaning(state, view),
        "role": None,
        "converging": view.converging_until is not None,
        "error": error,
        "notices": [notice, *known["notices"]],
        "servers": {},
        "events_total": None,
        "rows_applied_total": None,
        "version": None,
        "compiled": None,
    }


def _meaning(state: str, view: DatabaseView) -> str:
    if state == STOPPED:
        return _STOPPED_MEANS
    if state == State.WAITING:
        return _WAITING_MEANS.format(spelled(view.checkpoint_age or 0.0))
    return MEANINGS[State(state)]


def _state(view: DatabaseView) -> str:
    """What the service is doing, judged from outside."""
    if view.leader is None:
        return STOPPED
    if view.is_paused:
        return State.PAUSED
    if view.checkpoint_age is not None and view.checkpoint_age > _STILL_SECONDS and not view.is_writing:
        return State.WAITING
    if any(each.state is CollectionState.SNAPSHOTTING for each in view.collections.values()):
        return State.SNAPSHOTTING
    return State.STREAMING if view.converging_until is None else State.CONVERGING
