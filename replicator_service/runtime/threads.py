"""The machine's threads and clock, as deciding code asks for them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.ports import Condition, Event, Thread


class MachineThreads:
    """Threads of this process. They are daemons: whoever starts one joins it, and a process that ends does not wait."""

    def start(self, name: str, target: Callable[[], None]) -> Thread:
        """Run ``target`` beside the caller."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def condition(self) -> Condition:
        """A new condition."""
        condition: Condition = threading.Condition()
        return condition

    def event(self) -> Event:
        """A new event."""
        return threading.Event()

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()
