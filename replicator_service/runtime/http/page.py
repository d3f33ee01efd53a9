"""The page for people: static files that ask `/status` and `/history` themselves. Nothing is put into them here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

FRONT = "index.html"
_TYPES = {
    FRONT: "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The page runs nothing but its own files. It may be shown in a frame, as Airflow does: nothing on it can be done."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    kind: str
    tag: str


class Page:
    """The files, read once. Browsers keep them, and ask each time whether they have changed."""

    def __init__(self) -> None:
        folder = files("replicator_service.runtime.http") / "web"
        self._files = {name: _read((folder / name).read_bytes(), kind) for name, kind in _TYPES.items()}

    def front(self, _request: Request) -> Response:
        """The page itself: never kept, so that it always fits the service that answers."""
        file = self._files[FRONT]
        return Response(file.body, headers={**SECURITY, "Content-Type": file.kind, "Cache-Control": "no-store"})

    def asset(self, request: Request) -> Response:
        """A file that the page asks for; only those known by name exist."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return Response(status_code=404)
        headers = {**SECURITY, "Content-Type": file.kind, "Cache-Control": "no-cache", "ETag": file.tag}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers)


def _read(body: bytes, kind: str) -> _File:
    return _File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
