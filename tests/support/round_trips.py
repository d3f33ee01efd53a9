"""How often a client waits for a server: a proxy that counts when the answers begin."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from devstack.ports import LOOPBACK

if TYPE_CHECKING:
    from types import TracebackType


class CountingProxy:
    """Passes one connection on to `target_port`. `count` is how many requests were followed by an answer."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._is_answering = True
        self._sockets: list[socket.socket] = [self._listener]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection((LOOPBACK, self._target_port))
        self._sockets += [client, server]
        for source, target, is_answer in ((client, server, False), (server, client, True)):
            threading.Thread(target=self._pass, args=(source, target, is_answer), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:  # noqa: FBT001 - a thread's
        with contextlib.suppress(OSError):
            while data := source.recv(2**20):
                with self._lock:
                    if is_answer and not self._is_answering:
                        self.count += 1
                    self._is_answering = is_answer
                target.sendall(data)
