"""The end of a snapshot where there were rows before: those whose documents do not exist are deleted.

In pieces, the keys of all rows and dead letters in PostgreSQL are looked at; MongoDB's index says which of them exist
at the position, and the others go. Nothing but that is evidence: not who wrote a row, not when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.sessions import OperatorSession
    from replicator_service.core.steps import Step
    from replicator_service.pipeline.collection import Collection
    from replicator_service.pipeline.reading import Reads

_KEYS = 5_000
_UNTELLING = 40
"""For keys that do not tell the original, the whole index is read: seldom, and for so many times as many at once."""


def sweep(
    operator: OperatorSession, reads: Reads, collection: Collection, place: str, at: int | None
) -> Iterator[Step]:
    """The steps for the next piece, behind ``place``; with the last one, the snapshot is finished.

    Raises :class:`SnapshotUnavailable` when the server does not show that time.
    """
    limit = _KEYS
    keys = operator.keys_after(collection.name, collection.tables, place, limit)
    if len(keys) == limit and reads.is_untelling(collection.name, keys[0]):
        limit = _KEYS * _UNTELLING
        keys = operator.keys_after(collection.name, collection.tables, place, limit)
    if keys:
        existing = reads.existing(collection.name, keys, at=at, uuid=collection.uuid)
        yield from collection.swept([key for key in keys if key not in existing], keys[-1])
    if len(keys) < limit:
        yield from collection.finish()
