"""Server replies as bytes: decoded in one call of the C extension, with each document's own bytes at hand.

A reply of ``find`` or ``getMore`` holds its documents in an array. Decoding many at once costs a third of decoding
document by document; the bytes of a single document are cut out only for the few that need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import bson
from bson.errors import InvalidBSON
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

from replicator_service.core.codec import CODEC_OPTIONS, TOLERANT_OPTIONS, may_hold_lossy_types
from replicator_service.core.codec.document_id import ExactId, exact_id
from replicator_service.core.codec.elements import elements, field_of, id_document, without
from replicator_service.core.codec.key import encode_key
from replicator_service.core.compiled import native
from replicator_service.core.events import DATA_OPERATIONS, Change
from replicator_service.core.masking.hidden_id import is_hidden

if TYPE_CHECKING:
    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.compiled import Scan
    from replicator_service.core.events import Document, StreamEvent
    from replicator_service.core.masking.door import FoundAgain


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


WHOLE_BYTES = 4 * 2**20
"""Up to this size a reply is decoded in one call and kept so."""

_WINDOW_BYTES = 2**20
"""Of a larger one, documents of about this size are decoded together, and the last of these windows is kept."""

_FEW_OF = 8
"""One document in so many is decoded alone before all of them are decoded at once."""


class Reply:
    """The documents of one reply, decoded when they are asked for.

    With ``hidden``, ``_id``s are masked, and it gives those by which documents are found again.
    With ``field``, each document of the reply is an event and ``document(i)`` and ``raw(i)`` give that field of it
    (``fullDocument``); without, the document itself. Decoded documents take ten to twenty times the room of their
    bytes: of a large reply only a few are held at a time (events are held without that field), and :meth:`release`
    forgets all. What was forgotten is decoded again when it is asked for, so a large reply is best read in order.
    """

    __slots__ = (
        "_alone",
        "_array",
        "_decoded",
        "_field",
        "_hidden",
        "_inexact",
        "_is_large",
        "_lossy",
        "_parts",
        "_scan",
        "_window",
        "size",
    )

    def __init__(self, array: bytes, *, field: str | None = None, hidden: FoundAgain | None = None) -> None:
        self._array = array
        self._hidden = hidden
        self._field = field
        self._parts: list[bytes] | None = None
        self._decoded: list[Document] | None = None
        self._window: tuple[int, list[Document]] = (0, [])
        """The ordinal of its first document, and its documents."""
        self._inexact: set[int] = set()
        self._lossy: bool | None = None
        self._scan: Scan | bool | None = False
        """False: not looked for yet."""
        self._alone = 0
        """So many documents were decoded alone: a few that are not for the compiled path."""
        self.size = len(array) + (0 if hidden is None else hidden.size)
        self._is_large = len(array) > WHOLE_BYTES

    @property
    def scan(self) -> Scan | None:
        """Where the documents are in the bytes, for the compiled path; None when only Python can read them."""
        found = self._scan
        if isinstance(found, bool):
            compiled = native()
            found = None if compiled is None else compiled.scan(self._array, of_events=self._field is not None)
            if found is not None and found.count < 0:
                found = None
            self._scan = found
        return found

    @property
    def events(self) -> Sequence[StreamEvent]:
        """All documents of a reply of the change stream, decoded only where that is needed to know what they mean."""
        scan = self.scan
        if scan is None:
            return self.documents
        scanned = scan.events(self, Change, DATA_OPERATIONS, ObjectId, ExactId)
        return [self.documents[index] if event is None else event for index, event in enumerate(scanned)]

    @property
    def keys(self) -> list[str]:
        """The key of every document (of that which an event is about)."""
        scan = self.scan
        if scan is None or self._field is not None:
            return [encode_key(each) for each in self.ids]
        return [self._key(ordinal) if key is None else key for ordinal, key in enumerate(scan.keys())]

    def _key(self, ordinal: int) -> str:
        if self._is_large:
            return encode_key(self._decode([self.key(ordinal)], first=None)[0]["_id"])
        return encode_key(self.document(ordinal)["_id"])

    @property
    def documents(self) -> Sequence[Document]:
        """All documents of the reply, decoded with :data:`CODEC_OPTIONS`; events of a large one lack the field."""
        # Kept in a variable: another thread may release the reply meanwhile.
        decoded = self._decoded
        if decoded is not None:
            return decoded
        if self._is_large:
            if self._field is None:
                return _Documents(self)
            name = self._field.encode()
            decoded = self._decode([without(part, name) for part in self._split()], first=0)
        else:
            try:
                decoded = list(bson.decode(self._array, CODEC_OPTIONS).values())
            except (InvalidBSON, UnicodeDecodeError):
                decoded = self._one_by_one(self._split(), first=0)
        self._decoded = decoded
        return decoded

    @property
    def ids(self) -> list[Any]:
        """The decoded ``_id`` of every document (of that which an event is about), without decoding the rest."""
        if self._field is None and not self._is_large:
            return [document["_id"] for document in self.documents]
        keys = [self.key(ordinal) for ordinal in range(self.count)]
        return [document["_id"] for document in self._decode(keys, first=None)]

    @property
    def count(self) -> int:
        """How many documents there are."""
        decoded, scan = self._decoded, self.scan
        if scan is not None:
            return scan.count
        return len(self._split() if decoded is None else decoded)

    def release(self) -> None:
        """Forget what was decoded: only the bytes are kept."""
        self._decoded = None
        self._parts = None
        self._window = (0, [])

    def document(self, ordinal: int) -> Document:
        """One document, or the field of it that this reply is about."""
        if self._is_large:
            return self._windowed(ordinal)
        scan = self.scan
        if self._decoded is None and scan is not None and self._alone < scan.count // _FEW_OF:
            self._alone += 1
            raw = scan.document(ordinal)
            if raw is not None:
                return self._decode([raw], first=ordinal)[0]
        document = self.documents[ordinal]
        if self._field is None:
            return document
        inner: Document = document[self._field]
        return inner

    def raw(self, ordinal: int) -> bytes:
        """The BSON of what :meth:`document` gives."""
        part = self._part(ordinal)
        if self._field is None:
            return part
        return field_of(part, self._field.encode())

    def key(self, ordinal: int) -> bytes:
        """The BSON of ``{_id: ...}`` of one document (of that which an event is about), or its hidden id."""
        if self._hidden is not None:
            return self._hidden.key(ordinal)
        part = self._part(ordinal)
        if self._field is not None:
            part = field_of(part, b"documentKey")
            if is_hidden(part):
                return part
        return id_document(part)

    def source_id(self, ordinal: int) -> Value | ExactId:
        """The ``_id`` by which one document is found again."""
        if self._hidden is not None:
            return ExactId(self._hidden.key(ordinal))
        return exact_id(self.document(ordinal)["_id"], partial(self.key, ordinal))

    @property
    def is_exact(self) -> bool:
        """Whether the decoded form of every document has all that its bytes have, as far as they were decoded."""
        if self._lossy is None:
            self._lossy = may_hold_lossy_types(self._array)
        return not (self._is_large or self._lossy or self._inexact)

    def needs_exact(self, ordinal: int) -> bool:
        """Whether the decoded form of this document may lack something that its bytes have."""
        if self.is_exact:
            return False
        if self._is_large and self._holds(ordinal):
            self._windowed(ordinal)
        return ordinal in self._inexact or (bool(self._lossy) and may_hold_lossy_types(self._part(ordinal)))

    def _holds(self, ordinal: int) -> bool:
        """Whether there is a document: an event may be without."""
        return self._field is None or self._field in RawBSONDocument(self._part(ordinal))

    def _windowed(self, ordinal: int) -> Document:
        first, window = self._window
        if not first <= ordinal < first + len(window):
            # Before the new one: never two at a time.
            self._window = (0, [])
            del window
            parts: list[bytes] = []
            size, end, count = 0, ordinal, self.count
            while end < count and (not parts or size < _WINDOW_BYTES) and (end == ordinal or self._holds(end)):
                parts.append(self.raw(end))
                size += len(parts[-1])
                end += 1
            first, window = ordinal, self._decode(parts, first=ordinal)
            self._window = (first, window)
        return window[ordinal - first]

    def _decode(self, parts: Sequence[bytes], *, first: int | None) -> list[Document]:
        """Decode documents in one call; ``first`` is the ordinal of the first one, None when they are none of ours."""
        array = b"".join([b"\3%d\0%b" % (index, part) for index, part in enumerate(parts)])
        try:
            return list(bson.decode((len(array) + 5).to_bytes(4, "little") + array + b"\0", CODEC_OPTIONS).values())
        except (InvalidBSON, UnicodeDecodeError):
            return self._one_by_one(parts, first=first)

    def _one_by_one(self, parts: Sequence[bytes], *, first: int | None) -> list[Document]:
        """Decode documents of which one holds invalid UTF-8: only those concerned are read tolerantly."""
        documents = []
        for index, part in enumerate(parts):
            try:
                documents.append(bson.decode(part, CODEC_OPTIONS))
            except (InvalidBSON, UnicodeDecodeError):
                documents.append(bson.decode(part, TOLERANT_OPTIONS))
                if first is not None:
                    self._inexact.add(first + index)
        return documents

    def _part(self, ordinal: int) -> bytes:
        scan = self.scan
        return self._split()[ordinal] if scan is None else scan.part(ordinal)

    def _split(self) -> list[bytes]:
        parts = self._parts
        if parts is None:
            parts = self._parts = split_array(self._array)
        return parts


class _Documents(Sequence[dict[str, Any]]):
    """The documents of a large reply, a few of them decoded at a time."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __len__(self) -> int:
        return self._reply.count

    @overload
    def __getitem__(self, index: int) -> Document: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Document]: ...

    def __getitem__(self, index: int | slice) -> Document | Sequence[Document]:
        if isinstance(index, slice):
            return [self._reply.document(each) for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._reply.document(index % len(self))


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
