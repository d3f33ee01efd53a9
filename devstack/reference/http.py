"""The page of HTTP: the routes of the service, its states, and an answer of ``/status`` as the code gives it."""

from __future__ import annotations

import json

from deploy.release import version
from devstack.reference.markdown import code, filled, table
from devstack.reference.sample import AT, SERVICE
from replicator_service.configuration.settings import Settings
from replicator_service.runtime.http.routes import make_routes
from replicator_service.runtime.http.status import FIELDS, status
from replicator_service.runtime.judgement.guarantee import MEANINGS
from replicator_service.runtime.judgement.probes import readiness
from replicator_service.runtime.judgement.service_view import FRESH_SECONDS
from replicator_service.runtime.metrics.counters import Metrics
from replicator_service.runtime.state.health import State
from replicator_service.runtime.state.history import SAMPLE_SECONDS, SAMPLES, SERIES

_MAX_LAG = Settings.model_fields["ready_max_lag_seconds"].default

_ROUTES = {
    "/": "always; the page for people. It asks `/status` and `/history` by itself.",
    "/livez": "its threads turn. A standby, a paused service and one that waits for a server are alive: do not restart "
    "them. Looks at no database.",
    "/readyz": "it leads or stands by, knows of no error, and lags less than `REPLICATOR_READY_MAX_LAG_SECONDS`.",
    "/startupz": "it has led or stood by since it began.",
    "/healthz": "it is alive and has not failed.",
    "/status": "always; JSON, see below.",
    "/history": f"always; JSON: the last {SAMPLES * SAMPLE_SECONDS / 60:.0f} minutes, a sample a second. "
    "`?since=NUMBER` leaves out what the asker has already.",
    "/metrics": "always; [metrics](metrics.md) for Prometheus.",
    "/web/{name}": "there is such a file of the page.",
}

_ACTIONS = {
    State.STARTING: "Nothing.",
    State.WAITING: "Nothing if the server is coming back; otherwise what `waiting` and the first notice name.",
    State.SNAPSHOTTING: "Nothing; `snapshot_progress` shows how far.",
    State.STREAMING: "Nothing.",
    State.CONVERGING: "Nothing; it ends by itself.",
    State.PAUSED: "`replicator resume`, before the oplog headroom is used up.",
    State.STANDBY: "Nothing.",
    State.RESYNC_REQUIRED: "By default nothing: everything is read again. With `REPLICATOR_ON_HISTORY_LOST=stop`: "
    "`replicator resync --all`.",
    State.FAILED: "The last line of the log has cause and hint; the process ends with an exit code.",
}


def page() -> str:
    """The whole page."""
    return filled(
        "http",
        {
            "routes": table(("path", "200 when"), [(code(path), _ROUTES[path]) for path in _paths()]),
            "probe": _probe(),
            "states": table(("state", "meaning", "what to do"), [(code(s), MEANINGS[s], _ACTIONS[s]) for s in State]),
            "fresh": f"{FRESH_SECONDS:.0f}",
            "fields": table(("key", "meaning"), [(code(field.name), field.meaning) for field in FIELDS]),
            "answer": json.dumps(_answer(), indent=2, ensure_ascii=False),
            "series": ", ".join(map(code, SERIES)),
        },
    )


def _paths() -> list[str]:
    routes = make_routes(lambda: SERVICE, Metrics(), max_lag_seconds=_MAX_LAG, version="")
    paths = [getattr(route, "path", "") for route in routes.routes]
    if unknown := set(paths) ^ _ROUTES.keys():
        raise LookupError(f"{', '.join(sorted(unknown))}: the service and devstack/reference/http.py differ")
    return [path for path in _ROUTES if path in paths]


def _probe() -> str:
    verdicts = readiness(SERVICE, max_lag_seconds=_MAX_LAG)
    return "".join(f"[{'+' if each.holds else '-'}] {each.name}: {each.detail}\n" for each in verdicts) + "ok\n"


def _answer() -> dict[str, object]:
    return status(
        SERVICE,
        at=AT,
        max_lag_seconds=_MAX_LAG,
        version=version(),
        compiled="compiled: made from these sources",
        events=1_204_512,
        rows=2_310_087,
    )
