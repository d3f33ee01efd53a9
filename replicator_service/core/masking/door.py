"""The door: what MongoDB's replies hold, as the rules leave it, before anything else sees a byte of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bson.errors import InvalidBSON

from replicator_service.core.bson.declaration import int32
from replicator_service.core.codec.document_id import ExactId, id_bson
from replicator_service.core.codec.elements import DOCUMENT, elements, id_document, value_end
from replicator_service.core.errors import ResyncRequired
from replicator_service.core.masking.documents import masked_document, masked_part
from replicator_service.core.masking.hidden_id import HiddenIds
from replicator_service.core.masking.key import missing_key
from replicator_service.core.masking.rules import ANY_FIELD, Rules, Selection
from replicator_service.core.masking.tree import Node, tree_of
from replicator_service.core.masking.values import key_replacement, masked_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.compiled import Masks, Native
    from replicator_service.core.masking.key import MaskKey

EXCLUDED = "excluded"
"""What the operation of an event is called that is about a document that does not cross: only its position is left."""

_STRING = 0x02
_REMEMBERED = 10_000
_FULL_DOCUMENT = b"\x03fullDocument\0"
_HEAD = re.compile(
    rb"\x03_id\0.{4}\x02_data\0.{4}[0-9A-Fa-f]+\0\0"
    rb"\x02operationType\0.{4}(?:insert|update|replace|delete)\0"
    rb"\x11clusterTime\0.{8}(?:\x12txnNumber\0.{8})?",
    re.DOTALL,
)
_TAIL = re.compile(rb"\x03ns\0.{4}\x02db\0.{4}[^\0]*\0\x02coll\0.{4}([^\0]*)\0\0\x03documentKey\0", re.DOTALL)
_POSITION = frozenset({b"_id", b"clusterTime", b"txnNumber", b"lsid", b"splitEvent"})


class FoundAgain:
    """The hidden ids of documents that were read together. Another process gets none: it only makes rows."""

    __slots__ = ("_array", "_hidden", "_parts")

    def __init__(self, hidden: HiddenIds | None, array: bytes) -> None:
        self._hidden = hidden
        self._array = array
        self._parts: list[tuple[int, int]] | None = None

    def __reduce__(self) -> tuple[type[FoundAgain], tuple[None, bytes]]:
        return FoundAgain, (None, b"")

    @property
    def size(self) -> int:
        """How many bytes are held for that."""
        return len(self._array)

    def key(self, ordinal: int) -> bytes:
        """The hidden id of one document."""
        if self._hidden is None:
            raise AssertionError("a helper looks nothing up")
        if self._parts is None:
            self._parts = _parts(self._array)
        start, after = self._parts[ordinal]
        return self._hidden.hidden(self._array[start:after])


class Door:
    """Lets through what may cross. Belongs to no thread: nothing changes after it was made."""

    __slots__ = ("_compiled", "_has_rules", "_hidden", "_key", "_masks", "_rules", "_selection", "_trees", "_verdicts")

    def __init__(
        self,
        selection: Selection | None = None,
        rules: Mapping[str, Rules] | None = None,
        key: MaskKey | None = None,
        *,
        compiled: Native | None = None,
    ) -> None:
        """Compile the rules of each collection; ``compiled`` does the same sooner.

        Raises :class:`ConfigurationError` when one of them needs a key and there is none.
        """
        self._selection = selection or Selection()
        self._rules = {name: each for name, each in (rules or {}).items() if each}
        for name, each in self._rules.items():
            if each.needs_key and key is None:
                raise missing_key(name)
        self._trees: dict[bytes, Node] = {name.encode(): tree_of(each, key) for name, each in self._rules.items()}
        self._key = key
        self._hidden = {
            name.encode(): HiddenIds(key, key_replacement(key))
            for name, each in self._rules.items()
            if key is not None and each.hides_keys
        }
        self._compiled = compiled
        self._masks: dict[bytes, Masks] = {}
        if compiled is not None:
            self._masks = {
                name: compiled.masks(tree, masked_document, self._hidden[name].hidden if name in self._hidden else None)
                for name, tree in self._trees.items()
            }
        self._verdicts: dict[bytes, Node | bool] = {}
        """What becomes of events of a collection: True when they stay, False when they do not cross, or the rules."""
        self._has_rules = bool(self._trees) or self._selection != Selection()

    def crosses(self, collection: str) -> bool:
        """Whether this collection is replicated."""
        return self._selection.crosses(collection)

    def hides_ids(self, collection: str) -> bool:
        """Whether rows of this collection have other keys than documents: no ``_id`` can be told from one."""
        return collection.encode() in self._hidden

    @property
    def hides_positions(self) -> bool:
        """Whether resume tokens may name a document that is nobody's business: positions are kept by time then."""
        return bool(self._hidden or self._selection.include or self._selection.exclude)

    def key_of(self, collection: str, text: str) -> str:
        """The key of a row, from the text that its ``_id`` would have if nothing were masked."""
        if self._key is None or not self.hides_ids(collection):
            return text
        return masked_key(self._key.secret, text)

    def masked_texts(self, texts: Sequence[str]) -> list[str]:
        """What ``hmac`` makes of these texts, if there is a key."""
        return [] if self._key is None else [masked_key(self._key.secret, each) for each in texts]

    def found_again(self, collection: str, array: bytes) -> FoundAgain | None:
        """What gives the hidden ids of documents as they came from MongoDB; None where none is hidden."""
        hidden = self._hidden.get(collection.encode())
        return None if hidden is None else FoundAgain(hidden, array)

    def hidden(self, collection: str, document: bytes) -> bytes:
        """What stands for the BSON of ``{_id: ...}`` on this side of the door."""
        hidden = self._hidden.get(collection.encode())
        return document if hidden is None else hidden.hidden(document)

    def opened(self, collection: str, document: bytes) -> bytes:
        """The BSON of ``{_id: ...}`` for MongoDB, of what :meth:`hidden` gave."""
        hidden = self._hidden.get(collection.encode())
        return document if hidden is None else hidden.opened(document)

    def sought(self, collection: str, ids: Sequence[Any]) -> Sequence[Any]:
        """The same for decoded or exact ids. Raises :class:`Fatal` for one that was not hidden, and should be."""
        hidden = self._hidden.get(collection.encode())
        if hidden is None:
            return ids
        return [ExactId(hidden.opened(id_bson(each))) for each in ids]

    def documents(self, collection: str, array: bytes) -> bytes:
        """A BSON array of documents of one collection."""
        tree = self._trees.get(collection.encode())
        if tree is None:
            return array
        masks = self._masks.get(collection.encode())
        masked = None if masks is None else masks.documents(array)
        if masked is not None:
            return masked
        pieces: list[bytes] = []
        copied = 4
        for start, after in _parts(array):
            changed = masked_part(array, start, tree)
            if changed is not None:
                pieces += (array[copied:start], changed)
                copied = after
        return _joined(array, pieces, copied)

    def events(self, array: bytes) -> bytes:
        """A BSON array of change events: of any collection, each with the rules of its own."""
        if not self._has_rules:
            return array
        masked = None
        if self._compiled is not None:
            masked = self._compiled.events(array, self._compiled_verdict, self._taken_apart)
        if masked is not None:
            return masked
        pieces: list[bytes] = []
        copied = 4
        for start, after in _parts(array):
            changed = self._event(array, start, after)
            if changed is not None:
                pieces += (array[copied:start], changed)
                copied = after
        return _joined(array, pieces, copied)

    def projection(self, collection: str) -> dict[str, int] | None:
        """Excluded fields that the server can leave out, so that they do not leave MongoDB; the door decides all."""
        rules = self._rules.get(collection)
        paths = [path for path in rules.exclude if _is_projectable(path)] if rules else []
        return {".".join(path): 0 for path in paths} or None

    def _event(self, array: bytes, start: int, after: int) -> bytes | None:
        """One event; None when it stays as it is.

        The usual form of an event is known by two expressions, each bound to the end of the element before.
        """
        head = _HEAD.match(array, start + 4)
        if head is None:
            return self._taken_apart(array[start:after])
        position, whole = head.end(), None
        if array.startswith(_FULL_DOCUMENT, position):
            whole = position + len(_FULL_DOCUMENT)
            position = whole + int32(array, whole)
        tail = _TAIL.match(array, position, after)
        if tail is None:
            return self._taken_apart(array[start:after])
        verdict = self._verdict(tail[1])
        # What follows the key may say that this is a part of an event.
        if verdict is False or tail[1] in self._hidden or not _is_plain_key(array, tail.end(), after - 1):
            return self._taken_apart(array[start:after])
        if verdict is True:
            return None
        changed = None if whole is None else masked_part(array, whole, verdict)
        if whole is None or changed is None:
            return None
        event = array[start + 4 : whole] + changed + array[position:after]
        return (len(event) + 4).to_bytes(4, "little") + event

    def _verdict(self, collection: bytes) -> Node | bool:
        verdict = self._verdicts.get(collection)
        if verdict is None:
            crosses = self._selection.crosses(collection.decode())
            verdict = self._trees.get(collection, True) if crosses else False
            if len(self._verdicts) < _REMEMBERED:
                self._verdicts[collection] = verdict
        return verdict

    def _compiled_verdict(self, collection: bytes) -> Masks | bool:
        verdict = self._verdict(collection)
        return verdict if isinstance(verdict, bool) else self._masks[collection]

    def _taken_apart(self, event: bytes) -> bytes | None:
        """The same for an event of any form."""
        parts = {name: (kind, value) for kind, name, value in elements(event)}
        namespace = parts.get(b"ns")
        collection = _text_of(namespace[1], b"coll") if namespace is not None else None
        is_of_a_document = b"documentKey" in parts or b"fullDocument" in parts
        if b"documentKey" in parts and collection is None and self._hidden:
            raise ResyncRequired(
                "a part of a change event of more than 16 MB does not say whose key it has",
                hint="It is one of an _id of megabytes. The service can only continue behind it and read everything "
                "again: 'replicator resync --all'.",
            )
        if b"splitEvent" in parts and b"fullDocument" in parts:
            # The part that says whose document this is may be another one: the document is looked up.
            del parts[b"fullDocument"]
            if collection is None:
                return _document(parts)
        elif not is_of_a_document or collection is None:
            return None
        if is_of_a_document and not self._selection.crosses(collection.decode()):
            left = {name: part for name, part in parts.items() if name in _POSITION}
            left[b"operationType"] = (_STRING, _bson_text(EXCLUDED))
            return _document(left)
        tree = self._trees.get(collection)
        if tree is None:
            return _document(parts) if b"splitEvent" in parts else None
        whole = parts.get(b"fullDocument")
        changed = masked_part(whole[1], 0, tree) if whole is not None and whole[0] == DOCUMENT else None
        if changed is not None:
            parts[b"fullDocument"] = (DOCUMENT, changed)
        key = parts.get(b"documentKey")
        if key is not None:
            # Of a sharded collection, it holds the fields of the shard key as well.
            hidden = self._hidden.get(collection)
            parts[b"documentKey"] = (DOCUMENT, id_document(key[1]) if hidden is None else hidden.hidden(key[1]))
        return _document(parts)


def _is_plain_key(array: bytes, start: int, end: int) -> bool:
    """Whether a document key is the ``_id`` alone, and the last thing in its event."""
    key_end = start + int32(array, start) - 1
    if key_end + 1 != end or array[start + 5 : start + 9] != b"_id\0":
        return False
    return value_end(array, array[start + 4], start + 9) == key_end


def _parts(array: bytes) -> list[tuple[int, int]]:
    """Where each document of an array begins and ends."""
    parts = []
    position, end = 4, len(array) - 1
    while position < end:
        if array[position] != DOCUMENT:
            raise InvalidBSON("a reply's batch holds something that is not a document")
        start = array.index(b"\0", position + 1) + 1
        position = start + int32(array, start)
        if not start < position <= end:
            raise InvalidBSON("a document reaches beyond its array")
        parts.append((start, position))
    return parts


def _joined(array: bytes, pieces: list[bytes], copied: int) -> bytes:
    if not pieces:
        return array
    pieces.append(array[copied:])
    size = sum(map(len, pieces)) + 4
    return b"".join([size.to_bytes(4, "little"), *pieces])


def _document(parts: Mapping[bytes, tuple[int, bytes]]) -> bytes:
    body = b"".join([b"%c%b\0%b" % (kind, name, value) for name, (kind, value) in parts.items()])
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _text_of(document: bytes, wanted: bytes) -> bytes | None:
    return next((value[4:-1] for kind, name, value in elements(document) if name == wanted and kind == _STRING), None)


def _bson_text(text: str) -> bytes:
    return (len(text) + 1).to_bytes(4, "little") + text.encode() + b"\0"


def _is_projectable(path: tuple[str, ...]) -> bool:
    """Whether the server takes this path, and means the same by it."""
    return all(part and part != ANY_FIELD and not part.startswith("$") and not part.isdigit() for part in path)
