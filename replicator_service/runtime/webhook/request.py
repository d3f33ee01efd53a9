"""One POST over HTTP, bounded in time whatever the other side does. Nothing here quotes the address: it is a secret."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_SECONDS = 5.0
"""For a connection, and for each piece of an answer."""

WHOLE_SECONDS = 10.0
"""For everything: an answer may also come drop by drop."""

_AGAIN = frozenset({408, 425, 429})
"""Refusals that pass by themselves; so do all of the 5xx."""


class NotDelivered(Exception):
    """Why a message has not arrived; ``is_final`` when another try would not change that."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """A message goes where it was meant to go."""


class _Kept:
    """Makes connections and keeps them, so that they can be ended from outside."""

    def __init__(self) -> None:
        self._connections: list[http.client.HTTPConnection] = []

    def making(self, kind: type[http.client.HTTPConnection]) -> Callable[..., http.client.HTTPConnection]:
        def make(*arguments: Any, **options: Any) -> http.client.HTTPConnection:  # noqa: ANN401 - urllib's own
            connection = kind(*arguments, **options)
            self._connections.append(connection)
            return connection

        return make

    def end(self) -> None:
        for connection in self._connections:
            sock = connection.sock
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, kept: _Kept) -> None:
        super().__init__()
        self._kept = kept

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Connect by a connection that is kept."""
        return self.do_open(self._kept.making(http.client.HTTPConnection), req)


class _Encrypted(urllib.request.HTTPSHandler):
    def __init__(self, kept: _Kept) -> None:
        super().__init__()
        self._kept = kept
        self._trusted = ssl.create_default_context()

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Connect by a connection that is kept."""
        return self.do_open(self._kept.making(http.client.HTTPSConnection), req, context=self._trusted)


def post(url: str, body: bytes, *, whole_seconds: float = WHOLE_SECONDS) -> None:
    """Send the body as JSON and wait for a status of 2xx; the environment's proxies are used.

    Raises :class:`NotDelivered` and nothing else.
    """
    kept = _Kept()
    opener = urllib.request.build_opener(_Plain(kept), _Encrypted(kept), _NoRedirect())
    headers = {"Content-Type": "application/json", "User-Agent": "mongo-pg-replicator"}
    timer = threading.Timer(whole_seconds, kept.end)
    timer.daemon = True
    timer.start()
    try:
        # The scheme is http or https: the settings take no other.
        request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - settings allow http and https alone
        opener.open(request, timeout=min(ANSWER_SECONDS, whole_seconds)).close()
    except HTTPError as error:
        error.close()
        is_passing = error.code in _AGAIN or error.code >= 500
        raise NotDelivered(f"the receiver answers with the status {error.code}", is_final=not is_passing) from None
    except URLError as error:
        raise NotDelivered(_told(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotDelivered(_told(error)) from None
    finally:
        timer.cancel()


def _told(reason: object) -> str:
    """In words of ours: an error's own may hold the address."""
    match reason:
        case ssl.SSLCertVerificationError():
            return "the receiver's certificate is not trusted here, or is of another host"
        case ssl.SSLError():
            return "the receiver does not speak TLS as it should"
        case TimeoutError():
            return f"the receiver does not answer within {ANSWER_SECONDS:.0f} s"
        case socket.gaierror():
            return "the receiver's name does not resolve"
        case ConnectionRefusedError():
            return "the receiver refuses the connection"
        case OSError(strerror=str(text)):
            return f"the receiver cannot be reached: {text}"
        case _:
            return f"the receiver cannot be reached ({type(reason).__name__})"
