"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING, TypeVar

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOPBACK = "127.0.0.1"

# Below the range from which Linux and macOS take the local ports of outgoing connections: a server that is restarted
# must not find its port taken by somebody's client.
_LOWEST, _HIGHEST = 20_000, 32_000
_ATTEMPTS = 5
_END_OTHERS = "End programs that listen on this machine: `ss -ltnp` lists them."


class PortTakenError(DevstackError):
    """Somebody else listens on the port."""


def free_port() -> int:
    """Return a port that was free a moment ago. Somebody may take it before you do: try again with another then."""
    chance = random.SystemRandom()
    for _ in range(200):
        port = chance.randrange(_LOWEST, _HIGHEST)
        if not taken(port):
            return port
    raise DevstackError(f"No free TCP port between {_LOWEST} and {_HIGHEST}.", hint=_END_OTHERS)


def on_free_port(start: Callable[[int], T], *, wanted: int | None = None) -> tuple[int, T]:
    """Start something on the wanted port, or else a free one, and return both; on another when somebody was faster.

    ``start`` raises :class:`PortTakenError` when it finds its port taken.
    """
    for attempt in range(_ATTEMPTS):
        port = wanted if attempt == 0 and wanted is not None and not taken(wanted) else free_port()
        try:
            return port, start(port)
        except PortTakenError:
            continue
    raise DevstackError(f"Lost the race for a free TCP port {_ATTEMPTS} times.", hint=_END_OTHERS)


def taken(port: int) -> bool:
    """Tell whether a server could not listen on `port` now."""
    with socket.socket() as probe:
        # As servers do, so that connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
