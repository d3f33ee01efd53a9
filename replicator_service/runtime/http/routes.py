"""The routes: probes, metrics, status and the page. Each answers from memory and asks no database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from replicator_service.core.compiled import path_told
from replicator_service.runtime.http.page import SECURITY, Page
from replicator_service.runtime.http.status import About, status
from replicator_service.runtime.judgement.probes import Verdict, liveness, readiness, startup
from replicator_service.runtime.metrics.counters import CONTENT_TYPE, Metrics
from replicator_service.runtime.state.health import State
from replicator_service.runtime.state.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from replicator_service.runtime.judgement.service_view import ServiceView

_NO_STORE = {**SECURITY, "Cache-Control": "no-store"}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make_routes(
    service_view: Callable[[], ServiceView],
    metrics: Metrics,
    *,
    max_lag_seconds: float,
    version: str,
    history: History | None = None,
    about: About | None = None,
    clock: Callable[[], datetime] = _utc_now,
) -> Starlette:
    """The application over what ``service_view`` returns. ``clock`` tells the wall time."""
    remembered = history or History()
    page = Page()

    def livez(request: Request) -> Response:
        return _probe(request, liveness(service_view()))

    def readyz(request: Request) -> Response:
        return _probe(request, readiness(service_view(), max_lag_seconds=max_lag_seconds))

    def startupz(request: Request) -> Response:
        return _probe(request, startup(service_view()))

    def healthz(request: Request) -> Response:
        now = service_view()
        failed = Verdict("state", now.state is not State.FAILED, now.state.value)
        return _probe(request, [*liveness(now), failed])

    def metrics_text(_request: Request) -> Response:
        return Response(metrics.exposition(), headers={**_NO_STORE, "Content-Type": CONTENT_TYPE})

    def status_json(_request: Request) -> Response:
        known = status(
            service_view(),
            at=clock(),
            max_lag_seconds=max_lag_seconds,
            version=version,
            compiled=path_told(),
            events=metrics.events,
            rows=metrics.rows,
            about=about,
        )
        return JSONResponse(known, headers=_NO_STORE)

    def history_json(request: Request) -> Response:
        since = request.query_params.get("since", "0")
        number = int(since) if since.isdecimal() and len(since) < 16 else 0
        return JSONResponse(remembered.since(number), headers=_NO_STORE)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/startupz", startupz),
            Route("/healthz", healthz),
            Route("/metrics", metrics_text),
            Route("/status", status_json),
            Route("/history", history_json),
            Route("/web/{name}", page.asset),
            Route("/", page.front),
        ]
    )


def _probe(request: Request, verdicts: Sequence[Verdict]) -> Response:
    """200 when every condition holds, otherwise 503; ``?verbose`` lists them."""
    holds = all(verdict.holds for verdict in verdicts)
    text = "ok\n" if holds else "not ok\n"
    if "verbose" in request.query_params or not holds:
        lines = [f"[{'+' if each.holds else '-'}] {each.name}: {each.detail}\n" for each in verdicts]
        text = "".join(lines) + text
    return PlainTextResponse(text, status_code=200 if holds else 503, headers=_NO_STORE)
