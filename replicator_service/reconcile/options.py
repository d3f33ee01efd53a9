"""How a reconciliation is to be done."""

from __future__ import annotations

from dataclasses import dataclass

ALWAYS_ALLOWED_DELETES = 100
"""So many rows of a table may be deleted whatever share of it they are."""


@dataclass(frozen=True, slots=True)
class Options:
    """``allow_deletes`` is the share of a table's rows (0 to 1) that a repair may delete.

    ``timeout_seconds`` is how long a part waits until it can be compared exactly: until a snapshot is complete, until
    the stream has converged, until a lock is free.
    """

    repair: bool = False
    deep: bool = False
    allow_deletes: float = 0.05
    timeout_seconds: float = 60.0
