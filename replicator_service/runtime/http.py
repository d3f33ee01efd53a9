"""The routes: probes, metrics, status and the page. Each answers from memory and asks no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from replicator_service.runtime.health import State
from replicator_service.runtime.metrics import CONTENT_TYPE, Metrics, Name
from replicator_service.runtime.page import page
from replicator_service.runtime.probes import Verdict, liveness, readiness, startup
from replicator_service.runtime.status import Json, status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from replicator_service.runtime.present import Present

_NO_STORE = {"Cache-Control": "no-store"}


def make_routes(present: Callable[[], Present], metrics: Metrics, *, max_lag_seconds: float, version: str) -> Starlette:
    """The application over what ``present`` returns."""

    def livez(request: Request) -> Response:
        return _probe(request, liveness(present()))

    def readyz(request: Request) -> Response:
        return _probe(request, readiness(present(), max_lag_seconds=max_lag_seconds))

    def startupz(request: Request) -> Response:
        return _probe(request, startup(present()))

    def healthz(request: Request) -> Response:
        now = present()
        failed = Verdict("state", now.state is not State.FAILED, now.state.value)
        return _probe(request, [*liveness(now), failed])

    def metrics_text(_request: Request) -> Response:
        return Response(metrics.exposition(), headers={**_NO_STORE, "Content-Type": CONTENT_TYPE})

    def status_json(_request: Request) -> Response:
        return JSONResponse(_status(), headers=_NO_STORE)

    def front_page(_request: Request) -> Response:
        return HTMLResponse(page(_status()), headers=_NO_STORE)

    def _status() -> Json:
        return status(
            present(), version=version, events=metrics.total(Name.EVENTS), rows=metrics.total(Name.ROWS_APPLIED)
        )

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/startupz", startupz),
            Route("/healthz", healthz),
            Route("/metrics", metrics_text),
            Route("/status", status_json),
            Route("/", front_page),
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
