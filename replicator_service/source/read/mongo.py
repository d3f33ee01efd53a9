"""The one door to a replicated MongoDB database: see :class:`replicator_service.core.ports.Source`.

Documents come in the order of BSON, across all types of ``_id``, whatever the collection's collation: the server's own
index decides. Nothing here falls back to another time than the one that was asked for.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from bson.max_key import MaxKey
from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from replicator_service.core.codec.document_id import ExactId
from replicator_service.core.history import require_same_collections
from replicator_service.core.masking.door import Door
from replicator_service.source.connect.abilities import ABSENT
from replicator_service.source.connect.connection import (
    Client,
    ServerInfo,
    disconnect,
)
from replicator_service.source.connect.deadline import Deadline
from replicator_service.source.connect.route import Route
from replicator_service.source.read import catalog, oplog, server_times
from replicator_service.source.read.change_stream import ChangeStream
from replicator_service.source.read.cursor import Line, ReadCursor
from replicator_service.source.read.history import require_history
from replicator_service.source.read.ids import id_filter, is_max_key, unlike
from replicator_service.source.read.size import Size, collection_size
from replicator_service.source.read.sizes import collection_sizes
from replicator_service.source.read.together import Lookup, Together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymongo.database import Database

    from replicator_service.core.errors import SnapshotUnavailable
    from replicator_service.core.ports import HistoryMark, SourceCollection
    from replicator_service.core.position import Position

_READ_SECONDS = 15.0
"""Within this a reply of documents comes: a disk that finds each of 5,000 at another place may need some."""

_IN_ORDER: dict[str, Any] = {"hint": {"_id": 1}, "sort": {"_id": 1}}
_KEYS_A_REPLY = 50_000
_MANY_SAMPLES = 50_000
_FEWEST_SAMPLES_A_RANGE = 5
_SAMPLES_A_RANGE = 50


@dataclass(frozen=True, slots=True)
class Range:
    """The documents from ``start`` on and before ``end``; each is the BSON of ``{_id: ...}``, None is open."""

    start: bytes | None = None
    end: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole collection."""
        return self.start is None and self.end is None


class MongoSource:
    """One database. Belongs to one thread at a time; ``stream`` and reads may be used by two."""

    def __init__(
        self,
        client: Client,
        database: Database[dict[str, Any]],
        info: ServerInfo,
        *,
        door: Door | None = None,
        owns_client: bool = False,
        batch_size: int = 5_000,
        poll_events: int = 4_000,
        route: Route | None = None,
    ) -> None:
        self._owns_client = owns_client
        self._route = route or Route(client)
        self._client = client
        self._database = database
        self._info = info
        self._batch_size = batch_size
        self._poll_events = poll_events
        self._door = door or Door()
        self._session = client.start_session(causal_consistency=False)
        self._together = Together(self.beside)
        self._line = Line(
            database, self._session, Deadline(_READ_SECONDS), info, self._route, self._uuid_of, self._door
        )

    @property
    def name(self) -> str:
        """The database's name."""
        return self._database.name

    @property
    def info(self) -> ServerInfo:
        """What the server is."""
        return self._info

    def close(self) -> None:
        """End the session. Never raises: a server that is away ends it by itself."""
        self._together.close()
        with suppress(PyMongoError):
            self._session.end_session()
        if self._owns_client:
            disconnect(self._client)

    @property
    def groups_inserts(self) -> bool:
        """Whether ordinary events may share a cluster time."""
        return self._info.groups_inserts

    def beside(self) -> MongoSource:
        """Another session with the same database, through the same client, for another thread."""
        return MongoSource(
            self._client,
            self._database,
            self._info,
            door=self._door,
            batch_size=self._batch_size,
            poll_events=self._poll_events,
            route=self._route,
        )

    def operation_time(self) -> int:
        """The cluster time of the server's latest operation."""
        return server_times.operation_time(self._database)

    def settled(self) -> int:
        """The same, once the majority has it: nothing that was read before is taken back by a failover."""
        return server_times.settled_time(self._client, self._info.election)

    def collections(self) -> dict[str, SourceCollection]:
        """All collections by name, without the server's own (``system.*``) and those that do not cross."""
        listed = catalog.list_collections(self._database)
        return {name: each for name, each in listed.items() if self.crosses(name)}

    def crosses(self, name: str) -> bool:
        """Whether a collection of this name is replicated."""
        return self._door.crosses(name)

    def hides_ids(self, name: str) -> bool:
        """Whether no ``_id`` of this collection can be told from the key of its row."""
        return self._door.hides_ids(name)

    @property
    def hides_positions(self) -> bool:
        """Whether a position may say nothing but its time."""
        return self._door.hides_positions

    def collection(self, name: str) -> SourceCollection | None:
        """One collection that may cross: the server looks the name up, however many there are."""
        if not self.crosses(name):
            return None
        return catalog.find_collection(self._database, name, looks_up=self._info.looks_up_collections)

    def estimate(self, name: str) -> int:
        """About how many documents a collection has, from its metadata."""
        # The driver refuses names that the server takes, as "a$b", except in commands.
        return int(self._line.run_patiently({"count": name}, self._route.member())["n"])

    def oldest_time(self) -> int | None:
        """The cluster time of the oldest entry of the oplog, or None when it is empty.

        Raises :class:`ConfigurationError` when the user may not read the oplog.
        """
        return oplog.oldest_time(self._client, self._route.member())

    def history_mark(self, cluster_time: int) -> HistoryMark | None:
        """The oplog's entry at exactly this cluster time, or None; raises as :meth:`oldest_time` does."""
        member = self._route.member()
        # A member that has not got there would have no such entry yet, and that would look like another history.
        if member is not None and not self._route.reaches(member, self._database, ABSENT, cluster_time):
            member = None
        return oplog.mark_at(self._client, cluster_time, member)

    def by_ids(
        self, name: str, ids: Sequence[Any], *, at: int | None, uuid: bytes | None = None, only_ids: bool = False
    ) -> ReadCursor:
        """The documents with these ``_id``s, decoded or exact, in any order."""
        command: dict[str, Any] = {"find": name, "filter": id_filter(self._door.sought(name, ids))}
        if only_ids:
            command["projection"] = {"_id": 1}
        return self._read(command, at, uuid)

    def by_ids_in(self, wanted: Sequence[Lookup], *, at: int | None) -> list[ReadCursor | SnapshotUnavailable]:
        """The same in several collections at a time; one whose time is not shown has the error in its place."""
        return self._together.by_ids(wanted, at)

    def in_order(
        self,
        name: str,
        after: bytes | None,
        *,
        upto: bytes | None = None,
        limit: int,
        at: int | None,
        uuid: bytes | None = None,
    ) -> ReadCursor:
        """At most ``limit`` documents behind ``after`` and up to ``upto`` in the order of ``_id``, of every type.

        ``min`` and ``max`` on the index cross type brackets, where a comparison would not. ``min`` includes the
        document at ``after`` (so that one is filtered out at the server, by the server's own equality); ``max`` leaves
        out the one at ``upto``, and ``min`` alone leaves out MaxKey: they are looked up behind the others.
        """
        after, upto = (None if each is None else self._door.opened(name, each) for each in (after, upto))
        command: dict[str, Any] = {"find": name, **_IN_ORDER, "limit": limit}
        last = None
        if after is not None:
            if is_max_key(after):
                return self._read(command | {"filter": id_filter([])}, at, uuid)
            command |= {"filter": unlike(after), "min": RawBSONDocument(after)}
            last = _MAX_KEY
        if upto is not None:
            command |= {"max": RawBSONDocument(upto)}
            last = upto
        behind = None if last is None else {"find": name, "filter": id_filter([ExactId(last)])}
        return self._read(command, at, uuid, behind=behind)

    def ids_in_order(self, name: str, *, at: int | None, uuid: bytes | None = None) -> ReadCursor:
        """Every ``{_id: ...}`` in the order of ``_id``, from the index alone."""
        command = {"find": name, **_IN_ORDER, "projection": {"_id": 1}}
        return self._read(command, at, uuid, batch_size=_KEYS_A_REPLY)

    def last_id(self, name: str, *, at: int | None, uuid: bytes | None = None) -> bytes | None:
        """The BSON of ``{_id: ...}`` of the document with the largest ``_id``, or None when there is no document."""
        command = {"find": name, "hint": {"_id": 1}, "sort": {"_id": -1}, "projection": {"_id": 1}, "limit": 1}
        keys = [reply.key(0) for reply in self._read(command, at, uuid)]
        return keys[0] if keys else None

    def open_stream(
        self, start: Position | None, *, mark: HistoryMark | None = None, known: Mapping[str, bytes] | None = None
    ) -> ChangeStream:
        """Open the change stream after ``start``, or from now on.

        Raises :class:`ResyncRequired` when ``start`` is not in the server's history, or not any more.
        """
        stream = ChangeStream(
            self._client,
            self._database,
            self._info,
            start=start,
            batch_size=self._poll_events,
            door=self._door,
            route=self._route,
        )
        try:
            # Looked at after that: a server that takes this one's place from now on ends the stream.
            if start is not None:
                require_history(self._client, self._database, start, mark)
                if mark is None and known:
                    require_same_collections(known, self.collections())
        except BaseException:
            stream.close()
            raise
        return stream

    def documents(self, name: str, part: Range, *, at: int, uuid: bytes | None = None) -> ReadCursor:
        """The documents of a range, each once; those of a whole collection in the order of storage."""
        start, end = (None if each is None else self._door.opened(name, each) for each in (part.start, part.end))
        if start is not None and is_max_key(start):
            return self._read(_max_key_of(name), at, uuid)
        command: dict[str, Any] = {"find": name}
        if not part.is_whole:
            command |= _IN_ORDER
        if start is not None:
            command["min"] = RawBSONDocument(start)
        if end is not None:
            command["max"] = RawBSONDocument(end)
        is_open = start is not None and end is None
        return self._read(command, at, uuid, behind=_max_key_of(name) if is_open else None)

    def size(self, name: str) -> Size:
        """About how many documents a collection has, and their bytes; none when it does not exist."""
        return collection_size(self._database, name, self._route.preferred)

    def sizes(self, names: Sequence[str], *, small: int) -> dict[str, Size]:
        """About how large these collections are; bytes only where they could be more than ``small``."""
        return collection_sizes(self._database, names, small=small, preferred=self._route.preferred)

    def boundaries(self, name: str, ranges: int) -> list[bytes]:
        """Where to cut a collection into about equal ranges: at most ``ranges - 1`` distinct places, in order."""
        samples = min(ranges * _SAMPLES_A_RANGE, max(_MANY_SAMPLES, ranges * _FEWEST_SAMPLES_A_RANGE))
        pipeline = [{"$sample": {"size": samples}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}]
        command = {"aggregate": name, "pipeline": pipeline, "cursor": {"batchSize": 100_000}, "allowDiskUse": True}
        reply, member = self._line.begin(command, name, after=0)
        cursor = reply["cursor"]
        sampled = [bytes(each.raw) for each in cursor["firstBatch"]]
        while cursor["id"]:
            cursor = self._line.run_patiently({"getMore": cursor["id"], "collection": name}, member)["cursor"]
            sampled += [bytes(each.raw) for each in cursor["nextBatch"]]
        places = [sampled[number * len(sampled) // ranges] for number in range(1, ranges)] if sampled else []
        return [self._door.hidden(name, each) for each in dict.fromkeys(places)]

    def history_seconds(self) -> int | None:
        """For how long the server can read the past, or None when the user may not ask."""
        return server_times.history_seconds(self._client)

    def _uuid_of(self, name: str) -> bytes | None:
        found = self.collection(name)
        return None if found is None else found.uuid

    def _read(
        self,
        command: dict[str, Any],
        at: int | None,
        uuid: bytes | None,
        *,
        batch_size: int | None = None,
        behind: dict[str, Any] | None = None,
    ) -> ReadCursor:
        size = batch_size or self._batch_size
        projection = self._door.projection(command["find"])
        if projection is not None and "projection" not in command:
            command = {**command, "projection": projection}
        return ReadCursor(self._line, command, at=at, uuid=uuid, batch_size=size, behind=behind)


_MAX_KEY = bson.encode({"_id": MaxKey()})


def _max_key_of(name: str) -> dict[str, Any]:
    return {"find": name, "filter": id_filter([MaxKey()])}
