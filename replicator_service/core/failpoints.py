"""Named places where a test may crash the service.

Each name is a crash window: a place where a fault leaves different things done and undone. In production a
failpoint is a method that does nothing.
"""

from __future__ import annotations

from enum import StrEnum


class Window(StrEnum):
    """The crash windows, in the order in which a batch meets them."""

    AFTER_POLL = "after_poll"
    BEFORE_LOOKUP = "before_lookup"
    AFTER_CHUNK_READ = "after_chunk_read"
    AFTER_BEGIN = "after_begin"
    AFTER_ROWS = "after_rows"
    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"
    """The work is done, and the service does not know."""


class Failpoints:
    """The production form: nothing happens. Tests override :meth:`reach`."""

    def reach(self, window: Window) -> None:
        """Called whenever the service passes this window."""
