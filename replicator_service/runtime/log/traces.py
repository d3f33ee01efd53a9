"""Where an error came from, without anything that it says."""

from __future__ import annotations

import traceback


def trace_of(error: BaseException) -> list[str]:
    """Where an exception came by, the innermost place last."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
