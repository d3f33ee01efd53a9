"""What updated documents are at the end of a batch, read from MongoDB at the batch's cluster time.

Events are read without a lookup of their own (``updateLookup`` shows a later state). One ``find`` a collection gives
all updated keys at exactly the cluster time that the batch ends with. An update whose document is not there proves
that its collection was dropped or renamed since: nothing is written for it, the event that says so is on its way, and
until then the state is not exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.codec.document_id import PLAIN_SIZE, ExactId
from replicator_service.core.codec.key import encode_key
from replicator_service.core.errors import SnapshotUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.core.events import Change
    from replicator_service.source.read.reader import ReadCursor, Reader

_MAX_KEYS = 5_000
_MAX_KEY_BYTES = 4 * 2**20


class Lookup:
    """Resolves the updates of one batch. Iterate over :meth:`resolve`, then read the rest.

    ``unresolved`` are changes whose document is absent. ``read_time`` is None when every read was exact, otherwise
    the cluster time up to which the rows may be ahead.
    """

    def __init__(self, reader: Reader, at: int) -> None:
        self._reader = reader
        self._at = at
        self.unresolved: list[Change] = []
        self.read_time: int | None = None

    def resolve(self, collection: str, updates: Sequence[Change]) -> Iterator[tuple[list[Change], int]]:
        """Give the updates with their documents, reply by reply, with the bytes that each reply holds."""
        for part in _parts(updates):
            waiting = {change.key: change for change in part}
            try:
                yield from self._read(collection, waiting, at=self._at)
            except SnapshotUnavailable:
                yield from self._read(collection, waiting, at=None)
            self.unresolved.extend(waiting.values())

    def _read(
        self, collection: str, waiting: dict[str, Change], *, at: int | None
    ) -> Iterator[tuple[list[Change], int]]:
        cursor = self._reader.by_ids(collection, [change.source_id for change in waiting.values()], at=at)
        for reply in cursor:
            found = []
            for ordinal, document in enumerate(reply.documents):
                change = waiting.pop(encode_key(document["_id"]), None)
                if change is not None:
                    found.append(change._replace(source=reply, ordinal=ordinal))
            yield found, reply.size
        self._note(cursor)

    def _note(self, cursor: ReadCursor) -> None:
        if not cursor.exact:
            self.read_time = max(self.read_time or 0, cursor.read_time)


def _parts(updates: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Cut into parts whose keys fit into one command."""
    start, size = 0, 0
    for index, change in enumerate(updates):
        size += len(change.source_id.document) if isinstance(change.source_id, ExactId) else PLAIN_SIZE
        if size > _MAX_KEY_BYTES or index - start >= _MAX_KEYS:
            if index > start:
                yield updates[start:index]
            start, size = index, 0
    if start < len(updates):
        yield updates[start:]
