"""What a reconciliation finds, as values that can be stored and handed from one task to another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class DifferenceKind(StrEnum):
    """A document without its row, a row without its document, or both with other contents."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One key whose rows are not what its document becomes. ``detail`` names columns and tables, never values."""

    key: str
    kind: DifferenceKind
    detail: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class PartResult:
    """What the comparison of one part has found. JSON can hold it: every field is a number or a text.

    ``collection`` is None when several share the part; then ``skipped`` and ``error`` name theirs. ``skipped`` says why
    nothing was compared. ``cluster_time`` is the point that both sides were compared at, the earliest one.
    """

    label: str
    collection: str | None
    cluster_time: int | None = None
    documents: int = 0
    differences: int = 0
    repaired: int = 0
    seconds: float = 0.0
    skipped: str | None = None
    error: str | None = None

    @property
    def remaining(self) -> int:
        """Differences that were found and not repaired."""
        return self.differences - self.repaired


class RunState(StrEnum):
    """Where a run is. A failed one proves nothing of the parts that failed."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunResult:
    """A reconciliation with its parts. ``collection`` is None when all were compared."""

    id: int
    stream: str
    collection: str | None
    state: RunState
    repair: bool
    error: str | None
    started_at: datetime
    finished_at: datetime | None
    parts: tuple[PartResult, ...]

    @property
    def documents(self) -> int:
        """How many documents were compared."""
        return sum(part.documents for part in self.parts)

    @property
    def differences(self) -> int:
        """How many keys differed."""
        return sum(part.differences for part in self.parts)

    @property
    def repaired(self) -> int:
        """How many of them do not differ any more."""
        return sum(part.repaired for part in self.parts)

    @property
    def remaining(self) -> int:
        """How many of them still differ."""
        return self.differences - self.repaired

    @property
    def cluster_time(self) -> int | None:
        """The earliest point that a part was compared at."""
        return min((part.cluster_time for part in self.parts if part.cluster_time is not None), default=None)

    @property
    def not_proved(self) -> tuple[str, ...]:
        """What was not compared, each with its reason."""
        skipped = ((part, part.skipped) for part in self.parts if part.skipped is not None)
        return tuple(reason if part.collection is None else f"{part.collection}: {reason}" for part, reason in skipped)

    @property
    def is_whole_proof(self) -> bool:
        """Whether this proves that everything is equal: all collections compared, and nothing differs any more."""
        is_equal = self.state is RunState.FINISHED and not self.remaining
        return is_equal and self.collection is None and not self.not_proved
