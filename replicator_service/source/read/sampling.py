"""A fair and bounded sample of a collection, as BSON.

A small collection is read whole. Of a large one most documents are drawn by the server at random, and a tenth each
are the first and the last by ``_id``: where keys grow with time, both ends show how documents have changed. Bounds
hold in documents, bytes and time, whatever the collection is like. Secondaries are read where there are any, unless
the address or a setting says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymongo import ReadPreference
from pymongo.errors import ExecutionTimeout

from replicator_service.source.connect.connection import RAW
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bson.raw_bson import RawBSONDocument
    from pymongo.database import Database

    from replicator_service.source.connect.route import Preference
    from replicator_service.source.read.size import Size

_END_SHARE = 10
_CHEAP_SHARE = 20
"""Below a twentieth of a collection, ``$sample`` walks a random cursor; from there on it reads and sorts everything."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is read of one collection, at most. ``scan_bytes`` bounds what the server may read to draw at random."""

    documents: int
    size: int = 64 * 2**20
    seconds: float = 30.0
    scan_bytes: int = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Part:
    """One command, and how much of the bytes it may give."""

    command: dict[str, Any]
    share: float


def sample(
    database: Database[dict[str, Any]],
    collection: str,
    size: Size,
    bounds: Bounds,
    *,
    clock: Callable[[], float],
    preferred: Preference = ReadPreference.SECONDARY_PREFERRED,
) -> Iterator[bytes]:
    """Return documents as BSON. ``size`` is about that of the collection; ``clock`` gives seconds.

    Running out of time or bytes ends the sample early, without an error. A document may be given twice.
    """
    end = clock() + bounds.seconds
    raw = database.with_options(codec_options=RAW)
    for part in parts(collection, size, bounds):
        if clock() >= end:
            return
        yield from _read(raw, part, int(bounds.size * part.share), end=end, clock=clock, preferred=preferred)


def parts(collection: str, size: Size, bounds: Bounds) -> list[Part]:
    """The commands that draw a sample: one for a small collection, three for a large one."""
    wanted = bounds.documents
    if size.documents <= wanted:
        # The limit holds where the server's count is wrong.
        return [Part({"find": collection, "limit": wanted}, 1.0)]
    edge = wanted // _END_SHARE
    drawn = wanted - 2 * edge
    if size.size > bounds.scan_bytes:
        drawn = max(1, min(drawn, size.documents // _CHEAP_SHARE - 1))
    pipeline = [{"$sample": {"size": drawn}}]
    random = Part({"aggregate": collection, "pipeline": pipeline, "cursor": {}, "allowDiskUse": True}, 0.8)
    if not edge:
        return [random]
    ends = [Part({"find": collection, "sort": {"_id": way}, "limit": edge}, 0.1) for way in (1, -1)]
    return [*ends, random]


def _read(
    database: Database[RawBSONDocument],
    part: Part,
    size: int,
    *,
    end: float,
    clock: Callable[[], float],
    preferred: Preference,
) -> Iterator[bytes]:
    """Read until the cursor, the bytes or the time is at its end."""
    command = {**part.command, "maxTimeMS": max(1, int(1_000 * (end - clock())))}
    with translated():
        try:
            # As a command, since the driver refuses names that the server takes.
            with database.cursor_command(command, read_preference=preferred, codec_options=RAW) as cursor:
                for document in cursor:
                    yield bytes(document.raw)
                    size -= len(document.raw)
                    if size <= 0 or clock() > end:
                        return
        except ExecutionTimeout:
            return
