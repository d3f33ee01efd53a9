"""Rows of the chunks of snapshots, in groups that are worth a write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.pipeline.planner import GROUP_CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.events import Change
    from replicator_service.core.replies import Reply
    from replicator_service.core.rows import Encoder, RowGroup

SMALL_DOCUMENTS = 100
"""A collection of so few is small."""

_SMALL_BYTES = 2**16
SMALL_TOGETHER = 16
"""A write costs as much as a hundred small rows: so many small collections share one, however many there are."""


class ChunkRows:
    """Encodes documents; what is few waits for more, at most until the end of the transaction (:meth:`rest`)."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._small: list[Change] = []

    def of(self, changes: list[Change], reply: Reply) -> Iterator[RowGroup]:
        """Rows of one reply."""
        if len(changes) <= SMALL_DOCUMENTS and reply.size <= _SMALL_BYTES:
            self._small += changes
            if len(self._small) >= SMALL_TOGETHER * SMALL_DOCUMENTS:
                yield from self.rest()
            return
        groups = [
            self._encoder.encode(changes[start : start + GROUP_CHANGES])
            for start in range(0, len(changes), GROUP_CHANGES)
        ]
        reply.release()
        yield from groups

    def rest(self) -> Iterator[RowGroup]:
        """Rows of what still waits."""
        changes, self._small = self._small, []
        if changes:
            yield self._encoder.encode(changes)
