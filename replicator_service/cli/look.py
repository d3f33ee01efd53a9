"""One look at a stream: what its service says, and where none answers, what PostgreSQL knows."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from replicator_service.configuration.settings import load_settings
from replicator_service.core.errors import ConfigurationError, ReplicatorError, Retryable
from replicator_service.core.naming import schema_name
from replicator_service.core.steps import CollectionState
from replicator_service.runtime.http.status import status
from replicator_service.runtime.judgement.guarantee import MEANINGS
from replicator_service.runtime.judgement.service_view import Present, Sighting
from replicator_service.runtime.judgement.words import spelled
from replicator_service.runtime.state.health import Report, State
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.overview.stream import read_overview

if TYPE_CHECKING:
    from replicator_service.core.overview import DatabaseView

Json = dict[str, Any]

STOPPED = "stopped"
"""The state that no service can tell of itself: nobody holds the lease."""

_TIMEOUT_SECONDS = 3.0
_HINT = "Start it with 'replicator run', or give its address with --url."
_STOPPED_MEANS = "No instance leads, so nothing is replicated. PostgreSQL stands still at the checkpoint."
_WAITING_MEANS = "An instance leads, and nothing was committed for {}: it waits for a server, or for a lock."
_STILL_SECONDS = 60.0
"""MongoDB's time moves every ten seconds, also when nothing happens, and the checkpoint follows it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where to look. Without ``may_fall_back`` only a service will do."""

    address: str
    may_fall_back: bool = True

    def status(self) -> Json:
        """The JSON of ``/status``, or one of the same form from PostgreSQL.

        Raises :class:`Retryable` when neither can be asked, :class:`ConfigurationError` for what is no address and for
        settings that do not lead to PostgreSQL.
        """
        try:
            found = _get(self.address, "/status")
        except (OSError, http.client.HTTPException, ValueError) as error:
            silence = f"no service answers at {self.address} ({type(error).__name__})"
        else:
            if "state" in found:
                return found
            silence = f"what answers at {self.address} is no replicator"
        if not self.may_fall_back:
            raise Retryable(silence, hint=_HINT)
        return self._from_postgresql(silence)

    def history(self, since: int) -> Json:
        """The service's samples from number ``since`` on; nothing where there is no service, or an older one."""
        try:
            found = _get(self.address, f"/history?since={since}")
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        return found if isinstance(found.get("series"), dict) else {}

    @staticmethod
    def _from_postgresql(silence: str) -> Json:
        try:
            settings = load_settings()
            with connect(settings.postgres_dsn.get_secret_value(), application_name="replicator command") as connection:
                stream = settings.mongo_database
                view = read_overview(connection, stream, schema_name(stream))
        except ReplicatorError as error:
            # Settings do not come by waiting; a server may.
            kind = ConfigurationError if isinstance(error, ConfigurationError) else Retryable
            raise kind(
                f"{silence}, and PostgreSQL cannot be asked instead: {error.message}", hint=f"{_HINT} {error.hint}"
            ) from None
        return from_database(stream, view, silence, at=datetime.now(UTC))


@dataclass(slots=True)
class Recent:
    """The samples of the last minutes, kept up to date by asking for those that are new."""

    source: Source
    series: dict[str, list[float | None]] = field(default_factory=dict)
    next: int = 0
    began: object = None

    def update(self) -> None:
        """Ask for what is new. Another process begins anew."""
        found = self.source.history(self.next)
        if not found:
            return
        if found["began"] != self.began or found["first"] != self.next:
            if self.next and found["first"]:
                found = self.source.history(0) or found
            self.series, self.began = {}, found["began"]
        for name, values in found["series"].items():
            kept = self.series.setdefault(name, [])
            kept.extend(values)
            del kept[: -int(found["seconds"])]
        self.next = found["next"]


def from_database(stream: str, view: DatabaseView, silence: str, *, at: datetime) -> Json:
    """The status as far as the control tables know it; lag, headroom and counters are unknown from there."""
    state = _state(view)
    # To this process, the one that leads is another one.
    seen = Present(
        0.0,
        Report(stream=stream, state=State.FAILED if state == STOPPED else State.STANDBY),
        database=view,
        database_seen=Sighting(0.0),
    )
    known = status(seen, at=at, max_lag_seconds=0.0)
    error = {"class": "Unreachable", "message": f"{silence}: this is what PostgreSQL knows", "hint": _HINT}
    severity = "critical" if state in (STOPPED, State.WAITING) else "warning"
    sentence = error["message"][:1].upper() + error["message"][1:] + "."
    notice = {"severity": severity, "subject": "service", "message": sentence, "hint": _HINT, "command": None}
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


def _get(address: str, path: str) -> Json:
    """The JSON object at ``path``."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        raise ConfigurationError(f"{address!r} is no address", hint="It looks like http://127.0.0.1:8081/.") from None
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK or not isinstance(found, dict):
        raise ValueError("the answer is no JSON object")
    return found
