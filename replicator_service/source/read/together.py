"""Look-ups in several collections at a time: however many they are, a server that is far away is waited for once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import SnapshotUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from replicator_service.source.read.cursor import ReadCursor
    from replicator_service.source.read.mongo import MongoSource

Lookup = tuple[str, "Sequence[Any]"]


class Together:
    """Sources beside another one, made when they are needed. What they give may be read on by one thread."""

    def __init__(self, beside: Callable[[], MongoSource]) -> None:
        self._beside = beside
        self._sources: list[MongoSource] = []
        self._pool: ThreadPoolExecutor | None = None

    def by_ids(self, wanted: Sequence[Lookup], at: int | None) -> list[ReadCursor | SnapshotUnavailable]:
        """The first replies of each, in order; a collection that cannot be read at that time spoils no other's."""
        while len(self._sources) < len(wanted):
            self._sources.append(self._beside())
        if self._pool is None:
            self._pool = ThreadPoolExecutor(thread_name_prefix="look-up")
        return list(self._pool.map(lambda source, lookup: _opened(source, lookup, at), self._sources, wanted))

    def close(self) -> None:
        """End the sessions and the threads, without waiting for one that hangs in the driver."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for source in self._sources:
            source.close()


def _opened(source: MongoSource, lookup: Lookup, at: int | None) -> ReadCursor | SnapshotUnavailable:
    name, ids = lookup
    try:
        return source.by_ids(name, ids, at=at)
    except SnapshotUnavailable as error:
        return error
