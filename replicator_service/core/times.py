"""Times as everybody reads them: ``2026-11-26T16:19:38Z``, in messages, tables, JSON and logs alike."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(time: datetime) -> str:
    """Return an aware time in UTC, to the second."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
