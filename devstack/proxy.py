"""A TCP proxy between a client and a server, to cut the line, to let it go silent, or to put distance in between.

Point clients at it by a direct connection: a driver that discovers a replica set goes to the members themselves.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from devstack.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

_CHUNK_BYTES = 65_536
_JOIN_SECONDS = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Passes bytes between clients and `target_port` on 127.0.0.1 until told otherwise.

    `round_trip` is how many seconds away the server is: half of them each way, whatever the number of bytes.
    All methods may be called from any thread, take effect before they return, and are idempotent.
    """

    def __init__(self, target_port: int, *, port: int | None = None, round_trip: float = 0.0) -> None:
        self.port = port or free_port()
        self._target_port = target_port
        self._passing = threading.Event()
        self._passing.set()
        self._lock = threading.Lock()
        self._lines: set[_Line] = set()
        self._turns_of_ended = 0
        self._delay = round_trip / 2
        self._listener: _Listener | None = _Listener(self.port, self._accepted)

    @property
    def connections(self) -> int:
        """How many connections stand now."""
        with self._lock:
            return len(self._lines)

    @property
    def round_trips(self) -> int:
        """How often a client has sent something after it had heard from the server, of all connections so far."""
        with self._lock:
            return self._turns_of_ended + sum(line.turns for line in self._lines)

    def reset(self) -> None:
        """Reset all connections; new ones are welcome."""
        with self._lock:
            lines, self._lines = self._lines, set()
            self._turns_of_ended += sum(line.turns for line in lines)
        for line in lines:
            line.reset()

    def deaf(self) -> None:
        """Keep and accept connections but pass nothing on, as a network that drops packets does."""
        self._passing.clear()

    def swallow(self, marker: bytes) -> None:
        """Pass nothing more on each connection of now from the moment that it carries `marker`; others live on."""
        with self._lock:
            for line in self._lines:
                line.marker = marker

    def refuse(self) -> None:
        """Reset all connections and refuse new ones, as a machine without the server does."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.reset()

    def restore(self) -> None:
        """Pass everything on again, what was held back included, and accept connections on the same port."""
        self._passing.set()
        if self._listener is None:
            self._listener = _Listener(self.port, self._accepted)

    def close(self) -> None:
        """Reset all connections and stop listening, for good."""
        self.refuse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accepted(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((LOOPBACK, self._target_port), timeout=5)
        except OSError:
            _reset(client)
            client.close()
            return
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = _Line(client, server, self._passing, self._ended, self._delay)
        with self._lock:
            self._lines.add(line)
        line.start()

    def _ended(self, line: _Line) -> None:
        with self._lock:
            if line in self._lines:
                self._turns_of_ended += line.turns
                self._lines.discard(line)


class _Listener:
    """Accepts connections in a thread of its own."""

    def __init__(self, port: int, accepted: Callable[[socket.socket], None]) -> None:
        self._accepted = accepted
        self._socket = socket.create_server((LOOPBACK, port), backlog=64)
        # Where a shutdown does not wake the thread (macOS), this does.
        self._socket.settimeout(0.5)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"proxy-{port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; connections accepted so far are the owner's."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(_JOIN_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            client.settimeout(None)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted(client)


class _Line:
    """One client's connection and the one to the server, with a thread for each direction."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        passing: threading.Event,
        ended: Callable[[_Line], None],
        delay: float,
    ) -> None:
        self._delay = delay
        self.turns = 0
        self._speaker = server
        self._ends = (client, server)
        self._passing = passing
        self._ended = ended
        self._is_reset = False
        self.marker: bytes | None = None
        self._swallows = False
        self._threads = [
            threading.Thread(target=self._pump, args=ends, name="proxy-line", daemon=True)
            for ends in ((client, server), (server, client))
        ]
        self._open_directions = len(self._threads)
        self._lock = threading.Lock()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def reset(self) -> None:
        """Reset both connections and wait for the threads to end."""
        self._is_reset = True
        for end in self._ends:
            _reset(end)
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError), self._way_to(target) as send:
            while data := source.recv(_CHUNK_BYTES):
                if source is not self._speaker:
                    self._speaker = source
                    self.turns += source is self._ends[0]
                while not self._passing.wait(0.05):
                    if self._is_reset:
                        break
                if self.marker is not None and self.marker in data:
                    self._swallows = True
                if self._swallows:
                    continue
                if self._is_reset:
                    break
                send(data)
        # The end of one direction ends the other: database protocols know no half-open connection.
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open_directions -= 1
            last = self._open_directions == 0
        if last:
            for end in self._ends:
                end.close()
            self._ended(self)

    @contextlib.contextmanager
    def _way_to(self, target: socket.socket) -> Iterator[Callable[[bytes], object]]:
        """What sends, at once or after the delay; what is under way arrives before the way ends."""
        if not self._delay:
            yield target.sendall
            return
        way = _Way(target, self._delay)
        try:
            yield way.send
        finally:
            way.close()


class _Way:
    """Bytes under way: each arrives `delay` seconds after it was sent, with a thread that waits for that."""

    def __init__(self, target: socket.socket, delay: float) -> None:
        self._target = target
        self._delay = delay
        self._under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        self._thread = threading.Thread(target=self._arrive, name="proxy-way", daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> None:
        self._under_way.put((time.monotonic() + self._delay, data))

    def close(self) -> None:
        self._under_way.put((0.0, b""))
        self._thread.join(_JOIN_SECONDS)

    def _arrive(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = self._under_way.get()
                if not data:
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                self._target.sendall(data)


def _reset(end: socket.socket) -> None:
    """Make the peer see a reset rather than an orderly end, and wake whoever reads here."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.shutdown(socket.SHUT_RD)
