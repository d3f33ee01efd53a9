"""When refused documents stop being exceptions.

One bad document goes to the dead letters and the stream goes on. When nearly every document is refused, the fault is
in a table, a constraint or in us, and going on would empty the stream into the bin.
"""

from __future__ import annotations

from dataclasses import dataclass

from replicator_service.core.errors import Fatal


@dataclass(slots=True)
class DeadLetterLimit:
    """Counts what is refused. ``max_run`` in a row, or ``max_share`` of the last ``window``, is too many."""

    max_run: int = 1_000
    max_share: float = 0.5
    window: int = 10_000
    _run: int = 0
    _seen: float = 0.0
    _refused: float = 0.0

    def observe(self, written: int, refused: int) -> None:
        """Count one row group.

        Raises :class:`Fatal` when a limit is passed: the caller rolls back, so nothing of the group is kept.
        """
        total = written + refused
        if total == 0:
            return
        self._run = self._run + refused if written == 0 else 0
        fade = max(0.0, 1.0 - total / self.window)
        self._seen = self._seen * fade + total
        self._refused = self._refused * fade + refused
        too_long = self._run >= self.max_run
        too_many = self._seen >= self.window / 2 and self._refused / self._seen > self.max_share
        if too_long or too_many:
            raise Fatal(
                f"PostgreSQL refuses nearly every document ({refused} of the last {total}): stopped before more "
                "become dead letters",
                hint="'replicator dead-letters list' gives the reasons; remove what refuses the rows (a constraint, "
                "a trigger, a changed column) and start again. The limits: REPLICATOR_DEAD_LETTER_MAX_RUN, "
                "REPLICATOR_DEAD_LETTER_MAX_SHARE.",
            )
