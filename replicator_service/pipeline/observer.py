"""What the pipeline tells the outside. Nothing here may block, fail, or look at a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicator_service.core.errors import ReplicatorError
    from replicator_service.core.steps import Commit


@dataclass(frozen=True, slots=True)
class Committed:
    """One commit: counts of what it made durable, and what it cost."""

    commit: Commit
    rows: int
    rejected: int
    settled: int
    swept: int
    altered: int
    """Values that did not fit their column or that PostgreSQL cannot hold as they are."""
    dead_letters: int
    """How many there are now."""
    seconds: float
    """From the first row to the end of the commit."""


class Observer:
    """Told of everything worth showing. This form ignores it all."""

    def committed(self, what: Committed) -> None:
        """A transaction is durable; counters advance only here."""

    def ticked(self, part: str) -> None:
        """A thread's loop has turned: ``stream-reader``, ``planner`` or ``writer``."""

    def paused(self, *, is_paused: bool) -> None:
        """The whole stream is held, or goes on."""

    def delayed(self, error: ReplicatorError) -> None:
        """The stream's server lives and does not answer; the stream's next answer ends it."""

    def answered(self, cluster_time: int, *, has_events: bool) -> None:
        """The stream has answered: it has brought everything up to here, and without events all that there is."""

    def streaming_from(self, cluster_time: int) -> None:
        """The leader's pipeline runs from this position."""

    def collection_failed(self, name: str, error: ReplicatorError | None) -> None:
        """This collection cannot be read; the others go on. None: it can be read again."""
