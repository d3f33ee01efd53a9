"""Change events: the one place that knows MongoDB's operation names and the shape of an event.

A reply of the change stream is decoded as a whole by the C extension, so an event stays the decoded document. What
leaves this module is typed: :class:`Change` for data, :class:`SchemaChange` for drop and rename, :class:`Ignored` for
the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import bson

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.codec.document_id import ExactId, exact_id
from replicator_service.core.codec.key import encode_key
from replicator_service.core.masking.door import EXCLUDED
from replicator_service.core.position import ResumeToken, to_cluster_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.compiled import Scan

Document = dict[str, Any]


class Operation(StrEnum):
    """What happened to a document; ``READ`` is a document read by a snapshot, ``LOAD`` one that surely has no row."""

    INSERT = "insert"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    READ = "read"
    LOAD = "load"


class RawDocuments(Protocol):
    """Documents that were read together, each with the bytes it was decoded from; ``size`` is that of all of them."""

    size: int

    @property
    def count(self) -> int:
        """How many they are."""
        ...

    def document(self, ordinal: int) -> Document:
        """One decoded document."""
        ...

    def raw(self, ordinal: int) -> bytes:
        """The BSON of one document."""
        ...

    def key(self, ordinal: int) -> bytes:
        """The BSON of ``{_id: ...}`` of one document, as it is at the source."""
        ...

    @property
    def scan(self) -> Scan | None:
        """Where the documents are, for the compiled path; None when only Python can read them."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether decoding has lost nothing of any of them."""
        ...

    def needs_exact(self, ordinal: int) -> bool:
        """Whether decoding may have lost something of this document (deprecated types, invalid UTF-8)."""
        ...

    def release(self) -> None:
        """Forget what was decoded: only the bytes are kept."""
        ...


class Change(NamedTuple):
    """The last thing that happened to one key.

    ``source`` and ``ordinal`` lead to the document. ``source`` is None for a delete, and for an update until its state
    has been read. ``source_id`` is what a look-up asks for: None where the document came along.
    """

    collection: str
    key: str
    operation: Operation
    cluster_time: int
    source: RawDocuments | None
    ordinal: int
    source_id: Value | ExactId


@dataclass(frozen=True, slots=True)
class Drop:
    """A collection is gone, with all its documents.

    ``uuid`` is the identity of the one that is gone, where the server tells it (6.0 and later): a shard that hands a
    database over drops collections that live on elsewhere.
    """

    collection: str
    uuid: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rename:
    """A collection has another name now. ``target`` is None when it left the database.

    ``uuid`` is its identity, which stays, where the server tells it (6.0 and later).
    """

    collection: str
    target: str | None
    uuid: bytes | None = None


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """Every collection of the database is gone."""


@dataclass(frozen=True, slots=True)
class Invalidate:
    """The stream has ended; it is opened again after this event."""


SchemaChange = Drop | Rename | DropDatabase | Invalidate


@dataclass(frozen=True, slots=True)
class Created:
    """A collection exists now, perhaps without documents.

    ``is_hidden``: its first documents may have no events. ``convertToCapped`` and ``cloneCollectionAsCapped`` insert
    as migrations do.
    """

    collection: str
    is_hidden: bool = False
    uuid: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that changes no document: an index was built, or a type that this version does not know."""

    operation: str
    known: bool


Event = Change | SchemaChange | Created | Ignored


class ScannedEvent(Protocol):
    """A change event that was read without decoding it: an operation on one document."""

    @property
    def change(self) -> Change:
        """What :func:`interpret` gives of the decoded event."""
        ...

    @property
    def shares_time(self) -> bool:
        """Whether it is of a transaction."""
        ...

    @property
    def token(self) -> bytes:
        """The BSON of its resume token."""
        ...


StreamEvent = Document | ScannedEvent
"""An event, decoded where that was needed."""

DATA_OPERATIONS = (Operation.INSERT, Operation.UPDATE, Operation.REPLACE, Operation.DELETE)
"""In the order that the compiled path numbers them."""
_DATA = {o.value: o for o in DATA_OPERATIONS}
_SCHEMA_CHANGES = frozenset({"drop", "rename", "dropDatabase", "invalidate"})
_WITHOUT_DATA = frozenset(
    {
        "createIndexes",
        "dropIndexes",
        "modify",
        "shardCollection",
        "reshardCollection",
        "refineCollectionShardKey",
        # Of a transaction, with expanded events (8.1 and later): its changes are together by their cluster time.
        "endOfTransaction",
        EXCLUDED,
    },
)


def event_time(event: StreamEvent) -> int:
    """The cluster time of an event."""
    if not isinstance(event, dict):
        return event.change.cluster_time
    return to_cluster_time(event["clusterTime"])


def event_token(event: StreamEvent) -> ResumeToken:
    """The resume token of an event."""
    if not isinstance(event, dict):
        return bson.decode(event.token, CODEC_OPTIONS)
    token: ResumeToken = event["_id"]
    return token


def may_share_time(event: StreamEvent, *, groups_inserts: bool) -> bool:
    """Whether the next event may have the same cluster time.

    Before MongoDB 6.1 only the events of a transaction do, and they name it; from then on ordinary writes may
    (``groups_inserts``).
    """
    return groups_inserts or (("txnNumber" in event) if isinstance(event, dict) else event.shares_time)


def interpret(event: StreamEvent, source: RawDocuments, index: int) -> Event:
    """Turn one event into what it means for PostgreSQL."""
    if not isinstance(event, dict):
        return event.change
    name = event["operationType"]
    operation = _DATA.get(name)
    if operation is not None:
        source_id = event["documentKey"]["_id"]
        # Without its document (the parts of a split event bring none where rules hold) it is looked up like an update.
        is_new = operation is Operation.INSERT or operation is Operation.REPLACE
        is_whole = is_new and "fullDocument" in event
        if is_new and not is_whole:
            operation = Operation.UPDATE
        return Change(
            event["ns"]["coll"],
            encode_key(source_id),
            operation,
            event_time(event),
            source if is_whole else None,
            index,
            None if is_whole else _source_id(event["documentKey"], source, index),
        )
    return _without_document(event, name)


def _source_id(key: Document, source: RawDocuments, index: int) -> Value | ExactId:
    """The ``_id`` for a look-up; a masked one cannot be told from its decoded form."""
    document = partial(source.key, index)
    return ExactId(document()) if "" in key else exact_id(key["_id"], document)


def _without_document(event: Document, name: str) -> Event:
    match name:
        case "drop":
            return Drop(event["ns"]["coll"], _uuid(event))
        case "rename":
            target = event["to"]
            inside = target["db"] == event["ns"]["db"]
            return Rename(event["ns"]["coll"], target["coll"] if inside else None, _uuid(event))
        case "dropDatabase":
            return DropDatabase()
        case "invalidate":
            return Invalidate()
        case "create":
            details = event.get("operationDescription", {})
            # nsType: 8.0.5 and later (manual, "create Event").
            has_no_events = event.get("nsType") in ("view", "timeseries")
            if has_no_events or "viewOn" in details or "timeseries" in details:
                return Ignored(name, known=True)
            return Created(event["ns"]["coll"], is_hidden=bool(details.get("capped")), uuid=_uuid(event))
        case _:
            return Ignored(name, known=name in _WITHOUT_DATA)


def _uuid(event: Document) -> bytes | None:
    found = event.get("collectionUUID")
    return None if found is None else bytes(found)


def is_schema_change(event: Mapping[str, Any]) -> bool:
    """Whether this event changes collections as a whole: it is committed by itself."""
    return event["operationType"] in _SCHEMA_CHANGES


def is_fragment(event: Mapping[str, Any]) -> bool:
    """Whether this is one part of an event over 16 MB (``$changeStreamSplitLargeEvent``)."""
    return "splitEvent" in event


def join_fragments(fragments: Sequence[Document]) -> Document:
    """Put the parts of a split event together: each field is whole in exactly one of them.

    The last part's resume token is the event's: resuming after an earlier one would repeat the rest.
    """
    whole: Document = {}
    for fragment in fragments:
        whole.update(fragment)
    del whole["splitEvent"]
    return whole
