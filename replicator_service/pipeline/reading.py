"""Reads that say when they do not show the cluster time that they should.

Every read that decides something is made at the position of the stream. Where the server cannot show that time, the
current majority state is read instead; whoever does that passes the replies through :meth:`Reads.noted`, and the
checkpoint says until when rows may be ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import bson
from bson.errors import InvalidBSON

from replicator_service.core.codec import CODEC_OPTIONS, TOLERANT_OPTIONS
from replicator_service.core.codec.document_id import PLAIN_SIZE, ExactId
from replicator_service.core.codec.exact import source_id
from replicator_service.core.codec.key import decode_key, encode_key
from replicator_service.core.errors import SnapshotUnavailable
from replicator_service.core.events import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.events import Change
    from replicator_service.core.ports import Cursor, Source
    from replicator_service.core.replies import Reply

_TOGETHER = 4
"""Look-ups in so many collections wait for each other: their first replies, of up to 16 MB, are held at a time."""

_MAX_KEYS = 5_000
_MAX_KEY_BYTES = 4 * 2**20


class Reads:
    """Reads of one source. ``converge`` is told the cluster time up to which rows may be ahead."""

    def __init__(self, source: Source, converge: Callable[[int], None]) -> None:
        self.source = source
        self._converge = converge

    def noted(self, cursor: Cursor) -> Iterator[Reply]:
        """The replies of a cursor; with each it is told how far they may be ahead."""
        if not cursor.exact:
            self._converge(cursor.read_time)
        for reply in cursor:
            if not cursor.exact:
                self._converge(cursor.read_time)
            yield reply

    def updated_in(self, updates: Mapping[str, Sequence[Change]], *, at: int) -> Iterator[tuple[list[Change], int]]:
        """Updates of several collections, of a few at a time: see :meth:`updated`.

        Their first replies are asked for together, since each may come from far away.
        """
        names = list(updates)
        for first in range(0, len(names), _TOGETHER):
            some = names[first : first + _TOGETHER]
            parts = {name: list(_parts(updates[name])) for name in some}
            cursors: Sequence[Cursor | SnapshotUnavailable | None] = [None]
            if len(some) > 1:
                wanted = [(name, [change.source_id for change in parts[name][0]]) for name in some]
                cursors = self.source.by_ids_in(wanted, at=at)
            for name, cursor in zip(some, cursors, strict=True):
                yield from self._updated_parts(name, parts[name], cursor, at)

    def updated(self, collection: str, updates: Sequence[Change], *, at: int) -> Iterator[tuple[list[Change], int]]:
        """Updates with their documents as they are at ``at``, reply by reply, with the bytes that each reply holds.

        Those whose documents are absent are given last, as deletes: what cannot be found is gone by now, by itself or
        with its collection, which reads as empty at ``at`` once it was dropped or renamed.
        """
        return self.updated_in({collection: updates}, at=at)

    def _updated_parts(
        self,
        collection: str,
        parts: Iterable[Sequence[Change]],
        opened: Cursor | SnapshotUnavailable | None,
        at: int,
    ) -> Iterator[tuple[list[Change], int]]:
        for part in parts:
            waiting = {change.key: change for change in part}
            try:
                if isinstance(opened, SnapshotUnavailable):
                    raise opened
                yield from self._updated(waiting, opened or self._looked_up(collection, waiting, at))
            except SnapshotUnavailable:
                yield from self._updated(waiting, self._looked_up(collection, waiting, None))
            opened = None
            if waiting:
                yield [change._replace(operation=Operation.DELETE) for change in waiting.values()], 0

    def existing(self, collection: str, keys: Sequence[str], *, at: int | None, uuid: bytes | None) -> set[str]:
        """Those of these keys whose documents exist, from the index of ``_id``."""
        ids = {key: None if self.is_untelling(collection, key) else decode_key(key) for key in keys}
        asked = [each for each in ids.values() if each is not None]
        found: set[str] = set()
        if asked:
            found |= self._keys(self.source.by_ids(collection, asked, at=at, uuid=uuid, only_ids=True))
        hidden = {key for key, each in ids.items() if each is None}
        if hidden:
            # The original cannot be told from these keys (digests, masks): only the index itself knows.
            found |= self._keys(self.source.ids_in_order(collection, at=at, uuid=uuid), hidden)
        return found

    def is_untelling(self, collection: str, key: str) -> bool:
        """Whether no ``_id`` can be told from the key of a row."""
        return self.source.hides_ids(collection) or decode_key(key) is None

    def found_again(self, collection: str, keys: Collection[str]) -> dict[str, ExactId]:
        """The ``_id``s of those of these keys whose documents exist now, from the whole index."""
        found: dict[str, ExactId] = {}
        for reply in self.noted(self.source.ids_in_order(collection, at=None)):
            found |= {key: ExactId(reply.key(ordinal)) for ordinal, key in enumerate(reply.keys) if key in keys}
            reply.release()
        return found

    def existing_ids(self, collection: str, ids: Sequence[bytes], *, at: int | None, uuid: bytes | None) -> set[str]:
        """The keys of those of these (the BSON of ``{_id: ...}``) whose documents exist."""
        asked = [ExactId(each) for each in ids]
        return self._keys(self.source.by_ids(collection, asked, at=at, uuid=uuid, only_ids=True))

    def _keys(self, cursor: Cursor, among: set[str] | None = None) -> set[str]:
        found = set()
        for reply in self.noted(cursor):
            keys = {key_of(reply, ordinal) for ordinal in range(len(reply.documents))}
            found |= keys if among is None else keys & among
            reply.release()
        return found

    def _looked_up(self, collection: str, waiting: Mapping[str, Change], at: int | None) -> Cursor:
        return self.source.by_ids(collection, [change.source_id for change in waiting.values()], at=at)

    def _updated(self, waiting: dict[str, Change], cursor: Cursor) -> Iterator[tuple[list[Change], int]]:
        for reply in self.noted(cursor):
            found = []
            for ordinal, key in enumerate(reply.keys):
                change = waiting.pop(key, None)
                if change is not None:
                    found.append(change._replace(source=reply, ordinal=ordinal))
            yield found, reply.size


def key_of(reply: Reply, ordinal: int) -> str:
    """The key of a document of a reply."""
    if reply.needs_exact(ordinal):
        return encode_key(source_id(reply.raw(ordinal)))
    return encode_key(reply.documents[ordinal]["_id"])


def decoded_id(id_document: bytes) -> Value:
    """The ``_id`` in the BSON of ``{_id: ...}``, decoded as a reply's documents are."""
    try:
        document = bson.decode(id_document, CODEC_OPTIONS)
    except (InvalidBSON, UnicodeDecodeError):
        document = bson.decode(id_document, TOLERANT_OPTIONS)
    value: Value = document["_id"]
    return value


def exact_key(id_document: bytes) -> str:
    """The key of the ``_id`` in the BSON of ``{_id: ...}``."""
    return encode_key(source_id(id_document))


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
