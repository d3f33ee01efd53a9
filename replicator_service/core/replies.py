"""Server replies as bytes: decoded in one call of the C extension, with each document's own bytes at hand.

A reply of ``find`` or ``getMore`` holds its documents in an array. Decoding the whole array at once costs a third of
decoding document by document; the bytes of a single document are cut out only for the few that need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import bson
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

from replicator_service.core.codec import CODEC_OPTIONS, TOLERANT_OPTIONS, may_hold_lossy_types
from replicator_service.core.codec.elements import elements, id_document

if TYPE_CHECKING:
    from replicator_service.core.events import Document


def split_array(array: bytes) -> list[bytes]:
    """Cut a BSON array of documents into the bytes of its documents.

    Raises :class:`bson.errors.InvalidBSON` when an element is not a document.
    """
    documents = []
    position, end = 4, len(array) - 1
    while position < end:
        if array[position] != 0x03:
            raise InvalidBSON("a reply's batch holds something that is not a document")
        start = array.index(b"\x00", position + 1) + 1
        position = start + int.from_bytes(array[start : start + 4], "little")
        documents.append(array[start:position])
    return documents


class Reply:
    """The documents of one reply, decoded when they are asked for.

    With ``field``, each document of the reply is an event and ``document(i)`` and ``raw(i)`` give that field of it
    (``fullDocument``); without, the document itself. Decoded documents take ten times the room of their bytes:
    :meth:`release` forgets them, and asking again decodes again.
    """

    __slots__ = ("_array", "_decoded", "_field", "_inexact", "_lossy", "_parts", "size")

    def __init__(self, array: bytes, *, field: str | None = None) -> None:
        self._array = array
        self._field = field
        self._parts: list[bytes] | None = None
        self._decoded: list[Document] | None = None
        self._inexact: frozenset[int] = frozenset()
        self._lossy: bool | None = None
        self.size = len(array)

    @property
    def documents(self) -> list[Document]:
        """All documents of the reply (events are whole), decoded with :data:`CODEC_OPTIONS`."""
        # Kept in a variable: another thread may release the reply meanwhile.
        decoded = self._decoded
        if decoded is None:
            try:
                decoded = list(bson.decode(self._array, CODEC_OPTIONS).values())
            except (InvalidBSON, UnicodeDecodeError):
                decoded = self._decode_one_by_one()
            self._decoded = decoded
        return decoded

    @property
    def count(self) -> int:
        """How many documents there are."""
        return len(self._split())

    def release(self) -> None:
        """Forget what was decoded: only the bytes are kept."""
        self._decoded = None
        self._parts = None

    def document(self, ordinal: int) -> Document:
        """One document, or the field of it that this reply is about."""
        document = self.documents[ordinal]
        if self._field is None:
            return document
        inner: Document = document[self._field]
        return inner

    def raw(self, ordinal: int) -> bytes:
        """The BSON of what :meth:`document` gives."""
        part = self._split()[ordinal]
        if self._field is None:
            return part
        return bytes(RawBSONDocument(part)[self._field].raw)

    def key(self, ordinal: int) -> bytes:
        """The BSON of ``{_id: ...}`` of one document (of the document that an event is about)."""
        part = self._split()[ordinal]
        if self._field is not None:
            part = bytes(RawBSONDocument(part)["documentKey"].raw)
        return id_document(part)

    @property
    def is_exact(self) -> bool:
        """Whether the decoded form of every document has all that its bytes have."""
        if self._lossy is None:
            self._lossy = may_hold_lossy_types(self._array)
        return not (self._lossy or self._inexact)

    def needs_exact(self, ordinal: int) -> bool:
        """Whether the decoded form of this document may lack something that its bytes have."""
        return not self.is_exact and (ordinal in self._inexact or may_hold_lossy_types(self._split()[ordinal]))

    def _decode_one_by_one(self) -> list[Document]:
        """Decode a reply that holds invalid UTF-8: only the documents concerned are read tolerantly."""
        documents = []
        inexact = set()
        for ordinal, part in enumerate(self._split()):
            try:
                documents.append(bson.decode(part, CODEC_OPTIONS))
            except (InvalidBSON, UnicodeDecodeError):
                documents.append(bson.decode(part, TOLERANT_OPTIONS))
                inexact.add(ordinal)
        self._inexact = frozenset(inexact)
        return documents

    def _split(self) -> list[bytes]:
        parts = self._parts
        if parts is None:
            parts = self._parts = split_array(self._array)
        return parts


@dataclass(frozen=True, slots=True)
class CursorReply:
    """The ``cursor`` document of a reply, with its batch cut out.

    ``array`` is the BSON of the batch, ``has_documents`` whether there is anything in it, ``fields`` the few others
    (``id``, ``postBatchResumeToken``), decoded.
    """

    array: bytes
    fields: Document

    @property
    def cursor_id(self) -> int:
        """The server's cursor, or 0 when it is exhausted."""
        return int(self.fields["id"])

    @property
    def has_documents(self) -> bool:
        """Whether the batch holds anything: an empty array is its length and its end."""
        return len(self.array) > 5


def read_cursor(cursor: RawBSONDocument) -> CursorReply:
    """Take a reply's ``cursor`` apart without touching its documents.

    Asking the driver's raw document for one field would make an object of each document in the batch.
    """
    array, others = b"", b""
    for kind, name, value in elements(bytes(cursor.raw)):
        if name in _BATCHES:
            array = value
        else:
            others += bytes([kind]) + name + b"\0" + value
    if not array:
        raise InvalidBSON("a reply's cursor has no batch")
    return CursorReply(array, bson.decode((len(others) + 5).to_bytes(4, "little") + others + b"\0"))


_BATCHES = frozenset({b"firstBatch", b"nextBatch"})
