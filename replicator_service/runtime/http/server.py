"""The HTTP server: uvicorn in a thread of its own, on a socket that is bound before anything else starts."""

from __future__ import annotations

import errno
import socket
import threading
from typing import TYPE_CHECKING, Self

import uvicorn

from replicator_service.core.addresses import url_host
from replicator_service.core.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.applications import Starlette

_STOP_SECONDS = 1.5


class HttpServer:
    """Serves ``application``. Construction binds the address; use it in a ``with`` statement, or start and stop it.

    Raises :class:`ConfigurationError` when the address cannot be used. Port 0 takes a free one, see :attr:`port`.
    """

    def __init__(self, application: Starlette, *, host: str, port: int) -> None:
        self._host = host
        self._socket = _listen(host, port)
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=5,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where a person on this machine finds the page."""
        return f"http://{url_host(self._host)}:{self.port}/"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the answers under way, for a moment, and free the port. Idempotent."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        # Signals stay with the main thread: uvicorn leaves them alone everywhere else.
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise ConfigurationError(
            f"the host {host!r} of the health endpoints is not known",
            hint="Check REPLICATOR_HTTP_HOST; 127.0.0.1 is this machine alone, 0.0.0.0 every network.",
        ) from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise _explain(error, host, port) from None
    return listening


def _explain(error: OSError, host: str, port: int) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"port {port} on {host} is in use by another program",
            hint="Is another replicator running here? Otherwise set REPLICATOR_HTTP_PORT to a free port, or to 0.",
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"port {port} on {host} may not be used", hint="Set REPLICATOR_HTTP_PORT to a port over 1023."
        )
    return ConfigurationError(
        f"the address {host}:{port} cannot be listened on: {error.strerror}",
        hint="Check REPLICATOR_HTTP_HOST and REPLICATOR_HTTP_PORT.",
    )
