"""Somebody else's program on a port: it answers 200 to everything, as an Airflow that lets everybody in would."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from devstack.airflow_api import COMPONENTS
from devstack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANSWER = json.dumps(
    {name: {"status": "healthy"} for name in COMPONENTS}
    | {"access_token": "anybody's", "dags": [], "dag_runs": [], "import_errors": [], "state": "streaming"}
).encode()


@contextmanager
def listening(port: int) -> Iterator[list[str]]:
    """Listen until the end of the block and return what it has been asked, as ``GET /path``."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", str(len(_ANSWER)))
            self.end_headers()
            self.wfile.write(_ANSWER)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names of the base class

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="foreign", daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
