"""How many events of each kind each collection had, with a bounded number of names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from replicator_service.core.steps import CollectionState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replicator_service.runtime.judgement.service_view import ServiceView

GONE = "(gone)"
OTHER = "(other)"
MOST = 1_000
"""So many collections have series of their own."""


class CollectionEvents:
    """Counts; those of a collection that is gone move to :data:`GONE`, so that no sum ever shrinks."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._names: set[str] = set()
        self._known: set[str] = set()
        """Collections that PostgreSQL had at an earlier look: one that has just come is not gone."""

    @property
    def total(self) -> int:
        """All of them."""
        return self._counts.total()

    def add(self, collection: str, operation: str, count: int) -> None:
        """So many more."""
        if collection not in self._names:
            if len(self._names) >= MOST:
                collection = OTHER
            else:
                self._names.add(collection)
        self._counts[collection, operation] += count

    def seen(self, service: ServiceView) -> None:
        """PostgreSQL has told which collections there are."""
        if service.database is None or not service.database_seen.is_fresh(service.now):
            return
        views = service.database.collections
        existing = {name for name, view in views.items() if view.state is not CollectionState.DROPPED}
        gone = (self._known | views.keys()) - existing
        self._known = existing
        for collection, operation in [pair for pair in self._counts if pair[0] in gone]:
            self._counts[GONE, operation] += self._counts.pop((collection, operation))
        self._names -= gone

    def items(self) -> Iterable[tuple[tuple[str, str], int]]:
        """Each count by collection and operation, in order."""
        return sorted(self._counts.items())
