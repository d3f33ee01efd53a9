"""What tells the position's history from any other: now and then, the oplog's entry at the position.

Whatever is read may come from another server than what was read before it. So the new entry is read first, and then
the one before it once more: while that is what it was, both are of one history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.ports import HistoryMark, Source

_SECONDS = 1.0
"""How often the entry is read: a restored backup is recognised by it."""


class Marks:
    """The marks of one term, for the planner's thread. ``known`` is the one of the checkpoint."""

    def __init__(self, source: Source, known: HistoryMark | None, clock: Callable[[], float]) -> None:
        self._source = source
        self._known = known
        self._clock = clock
        self._is_first = False
        self._due_at: float | None = clock()
        """None when the user may not read the oplog."""

    def begin_anew(self) -> None:
        """The next position is the first of a new stream."""
        self._known = None
        self._is_first = True

    def at(self, cluster_time: int) -> HistoryMark | None:
        """The mark to store with a position, when the next is due.

        Raises :class:`Retryable` when the server is not the one of before: opening the stream tells what it is.
        """
        if self._due_at is None or self._clock() < self._due_at:
            return None
        self._due_at = self._clock() + _SECONDS
        try:
            mark = self._source.history_mark(cluster_time)
            # A stream begins at the latest entry.
            is_another = self._is_other_than_known() or (mark is None and self._is_first)
        except ConfigurationError:
            self._due_at = None
            return None
        if is_another:
            raise SourceUnavailable("MongoDB's history is not the one of a moment ago: the stream is opened again")
        self._known = mark or self._known
        self._is_first = False
        return mark

    def _is_other_than_known(self) -> bool:
        if self._known is None:
            return False
        at, oldest = self._source.history_mark(self._known.cluster_time), self._source.oldest_time()
        is_kept = oldest is not None and oldest <= self._known.cluster_time
        return is_kept and at != self._known
