"""How long snapshots still take, judged by how far they came between two samples."""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING

from replicator_service.core.steps import CollectionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from replicator_service.core.overview import CollectionView

WINDOW_SECONDS = 30.0


class SnapshotPace:
    """Remembers the progress of the last half minute. Not thread-safe: whoever holds it has a lock."""

    def __init__(self) -> None:
        self._progress: deque[tuple[float, dict[str, tuple[int, int]]]] = deque()
        self._sizes: deque[tuple[float, Mapping[str, int]]] = deque()

    def seen(
        self, now: float, collections: Mapping[str, CollectionView], sizes: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Remember how many documents each unfinished snapshot has written, of how many, and their bytes."""
        progress = {
            name: (each.documents, each.expected)
            for name, each in collections.items()
            if each.state is CollectionState.SNAPSHOTTING and each.documents is not None and each.expected
        }
        self._progress.append((now, progress))
        self._sizes.append((now, sizes))
        while self._progress[0][0] < now - WINDOW_SECONDS:
            self._progress.popleft()
            self._sizes.popleft()

    def seconds_left(self) -> dict[str, float]:
        """An estimate for each snapshot that advances; those that wait for their turn are absent."""
        if not self._progress:
            return {}
        _, progress = self._progress[-1]
        rates = self.documents_per_second()
        return {
            name: max(0.0, expected - documents) / rates[name]
            for name, (documents, expected) in progress.items()
            if name in rates
        }

    def documents_per_second(self) -> dict[str, float]:
        """How fast each snapshot advances that does."""
        return _rates((now, {name: each[0] for name, each in seen.items()}) for now, seen in self._progress)

    def bytes_per_second(self) -> dict[str, float]:
        """The same of its bytes."""
        return _rates(self._sizes)


def _rates(samples: Iterable[tuple[float, Mapping[str, int]]]) -> dict[str, float]:
    """What has grown since the first sample in which there was something of it."""
    seen = list(samples)
    now, latest = seen[-1] if seen else (0.0, {})
    rates = {}
    for name, count in latest.items():
        began = next(((at, each[name]) for at, each in seen if each.get(name, 0) > 0), None)
        if began is not None and began[1] < count:
            rates[name] = (count - began[1]) / (now - began[0])
    return rates
