"""What tells the position's history from any other: now and then, the oplog's entry at the position.

Whatever is read may come from another server than what was read before it. So the new entry is read first, and then
the one before it once more: while that is what it was, both are of one history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import ConfigurationError, SourceUnavailable
from replicator_service.core.history import is_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.core.ports import HistoryMark, Source
    from replicator_service.core.position import Position

_SECONDS = 1.0
"""How often the entry is read: a restored backup is recognised by it."""


class Marks:
    """The marks of one term, for the planner's thread. ``known`` is the one of the checkpoint."""

    def __init__(self, source: Source, known: HistoryMark | None, clock: Callable[[], float]) -> None:
        self._source = source
        self._known = known
        self._clock = clock
        self._due_at: float | None = clock()
        """None when the user may not read the oplog."""

    def begin_anew(self) -> None:
        """A new stream is about to be opened: it has to be of the history that the server has now."""
        try:
            self._known = self._source.history_mark(self._source.operation_time())
        except ConfigurationError:
            self._due_at = None

    def at(self, position: Position) -> HistoryMark | None:
        """The mark to store with a position, when the next is due: its own, or the latest one before it.

        Raises :class:`Retryable` when the server is not the one of before: opening the stream tells what it is.
        """
        if self._due_at is None or self._clock() < self._due_at:
            return None
        self._due_at = self._clock() + _SECONDS
        try:
            mark, known = self._source.history_mark(position.cluster_time), self._known
            again = None if known is None else self._source.history_mark(known.cluster_time)
            oldest = self._source.oldest_time()
        except ConfigurationError:
            self._due_at = None
            return None
        # What has left the oplog proves nothing.
        is_lost = mark is None and is_entry(position) and _is_kept(position.cluster_time, oldest)
        is_another = known is not None and again != known and _is_kept(known.cluster_time, oldest)
        if is_lost or is_another:
            raise SourceUnavailable(
                "MongoDB's history is not the one of a moment ago: the stream is opened again",
                hint="Nothing to do: the service looks by itself whether its position is still in that history.",
            )
        self._known = mark or known
        return self._known


def _is_kept(cluster_time: int, oldest: int | None) -> bool:
    return oldest is not None and oldest <= cluster_time
