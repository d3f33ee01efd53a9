"""What MongoDB holds: collections at every moment, and the oplog's entries that led there.

Nothing is ever changed in place: a catalog and the documents of a collection are replaced by new ones, so that every
moment of the past stays at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bson

from replicator_service.core.codec import CODEC_OPTIONS
from simulation.mongo.ordering import OrderKey, order_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.ports import CollectionKind


@dataclass(frozen=True, slots=True)
class Stored:
    """A document: its BSON, and where it is in the order."""

    key: OrderKey
    bson: bytes
    id_document: bytes
    """The BSON of ``{_id: ...}``."""


_STORED: dict[bytes, Stored] = {}


def stored(document: Mapping[str, Any]) -> Stored:
    """A document as the server keeps it."""
    raw = bson.encode(document, codec_options=CODEC_OPTIONS)
    found = _STORED.get(raw)
    if found is None:
        if len(_STORED) > 20_000:
            _STORED.clear()
        identity = {"_id": document["_id"]}
        found = _STORED[raw] = Stored(
            order_key(document["_id"]), raw, bson.encode(identity, codec_options=CODEC_OPTIONS)
        )
    return found


Documents = dict[OrderKey, Stored]


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection at one point in time.

    ``changed_at`` is the cluster time of the latest change of the catalog that concerns it (create, rename):
    before it, the server cannot read this collection.
    """

    uuid: bytes
    kind: CollectionKind
    changed_at: int
    documents: Documents = field(default_factory=dict)

    @property
    def in_order(self) -> list[Stored]:
        """The documents in the order of ``_id``."""
        return [self.documents[key] for key in sorted(self.documents)]


Catalog = dict[str, Collection]


@dataclass(frozen=True, slots=True)
class Event:
    """One change event as the server sends it; fragments of a split event are several."""

    token: str
    bson: bytes
    ends_stream: bool = False
    is_poison: bool = False
    """Nothing can bring the server to send it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the oplog: everything that has this cluster time, and what is there after it."""

    time: int
    term: int
    wall: int
    catalog: Catalog
    events: tuple[Event, ...] = ()
    told: str = ""
    """For people."""


def id_of(document: bytes) -> Value:
    """The decoded ``_id`` of a document."""
    return bson.decode(document, CODEC_OPTIONS)["_id"]
