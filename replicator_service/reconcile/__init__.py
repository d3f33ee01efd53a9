"""Reconciliation: proves that PostgreSQL is MongoDB at the checkpoint, under live writes, and repairs what is not.

A part is compared inside one ``repeatable read`` snapshot of PostgreSQL, with MongoDB read at exactly that snapshot's
checkpoint: whatever differs is a difference, never a delay. Differences are repaired under a lock of the checkpoint
with the code that the service writes with.

One call does it all (:func:`reconcile`), or a scheduler calls :func:`plan_parts`, :func:`start_run`,
:func:`reconcile_part` for each part, in any order and at the same time, and :func:`finish_run`. What they hand to each
other is JSON.
"""

from __future__ import annotations

from replicator_service.core.reconciliation import Difference, DifferenceKind, PartResult, RunResult, RunState
from replicator_service.reconcile.options import Options
from replicator_service.reconcile.parts import Part, Scope, plan_parts
from replicator_service.reconcile.run import (
    Progress,
    differences_of,
    finish_run,
    reconcile,
    reconcile_part,
    start_run,
)

__all__ = [
    "Difference",
    "DifferenceKind",
    "Options",
    "Part",
    "PartResult",
    "Progress",
    "RunResult",
    "RunState",
    "Scope",
    "differences_of",
    "finish_run",
    "plan_parts",
    "reconcile",
    "reconcile_part",
    "start_run",
]
