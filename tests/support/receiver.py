"""The other end of a webhook: a real HTTP server that takes messages, refuses them, is slow or says nothing."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from devstack.ports import LOOPBACK

if TYPE_CHECKING:
    from types import TracebackType

SECRET = "T000-B000-n0t-f0r-your-eyes"


class Manner(Enum):
    """How a receiver behaves."""

    TAKES = auto()
    FAILS = auto()
    REFUSES = auto()
    HANGS = auto()
    DRIPS = auto()
    REDIRECTS = auto()


class Receiver:
    """Listens on a free port; ``messages`` are those that it has taken, ``requests`` counts all that came."""

    def __init__(self, manner: Manner = Manner.TAKES) -> None:
        self.manner = manner
        self.messages: list[dict[str, Any]] = []
        self.requests = 0
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address, with a secret in it as chat programs have it."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/services/{SECRET}?token={SECRET}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Behave."""
        self.requests += 1
        body = request.rfile.read(int(request.headers["Content-Length"]))
        match self.manner:
            case Manner.HANGS:
                self.closing.wait(60)
            case Manner.DRIPS:
                with suppress(OSError):
                    while not self.closing.wait(0.2):
                        request.wfile.write(b"HTTP/1.0 200 OK\r\n"[:1])
                        request.wfile.flush()
            case Manner.FAILS | Manner.REFUSES | Manner.REDIRECTS:
                request.send_response({Manner.FAILS: 503, Manner.REFUSES: 404, Manner.REDIRECTS: 307}[self.manner])
                request.send_header("Location", "http://127.0.0.1:1/elsewhere")
                request.end_headers()
            case Manner.TAKES:
                self.messages.append(json.loads(body))
                request.send_response(200)
                request.end_headers()

    def causes(self) -> list[tuple[str, str]]:
        """Event and cause of every message."""
        return [(each["event"], each["cause"]) for each in self.messages]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
