"""Asking a running service over HTTP; imports next to nothing, since every health check of a container does it."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

from replicator_service.core.errors import ConfigurationError

START_IT = "Start it with 'replicator run', or give its address with --url."
"""What to do when nobody answers."""

_TIMEOUT_SECONDS = 3.0


def ask_service(address: str, path: str) -> tuple[int, bytes]:
    """Return the status and the content of ``path`` at an address like ``http://127.0.0.1:8081``.

    Raises :class:`OSError` or :class:`http.client.HTTPException` when nobody answers within seconds, and
    :class:`ConfigurationError` for what is no address.
    """
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        raise ConfigurationError(f"{address!r} is no address", hint="It looks like http://127.0.0.1:8081/.") from None
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def connection_error_text(error: Exception) -> str:
    """Why there was no answer, in words."""
    match error:
        case socket.gaierror():
            return "the host is not known"
        case ConnectionRefusedError():
            return "nothing listens there"
        case TimeoutError():
            return f"nothing came within {_TIMEOUT_SECONDS:.0f} seconds"
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return "another program listens there"
