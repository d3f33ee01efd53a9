"""How long snapshots still take, judged by how far they came between two looks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from replicator_service.core.steps import CollectionState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.core.overview import CollectionView

WINDOW_SECONDS = 30.0


class SnapshotPace:
    """Remembers the progress of the last half minute. Not thread-safe: whoever holds it has a lock."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[str, tuple[int, int]]]] = deque()

    def seen(self, now: float, collections: Mapping[str, CollectionView]) -> None:
        """Remember how many documents each unfinished snapshot has written, of how many."""
        progress = {
            name: (each.documents, each.expected)
            for name, each in collections.items()
            if each.state is CollectionState.SNAPSHOTTING and each.documents is not None and each.expected
        }
        self._looks.append((now, progress))
        while self._looks[0][0] < now - WINDOW_SECONDS:
            self._looks.popleft()

    def seconds_left(self) -> dict[str, float]:
        """An estimate for each snapshot that advances; those that wait for their turn are absent."""
        if not self._looks:
            return {}
        now, progress = self._looks[-1]
        left = {}
        for name, (documents, expected) in progress.items():
            began = next(((at, seen[name][0]) for at, seen in self._looks if seen.get(name, (0, 0))[0] > 0), None)
            if began is None or not began[1] < documents:
                continue
            rate = (documents - began[1]) / (now - began[0])
            left[name] = max(0.0, expected - documents) / rate
        return left
