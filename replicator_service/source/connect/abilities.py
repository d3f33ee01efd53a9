"""What the server can do, found out by trying each thing once; :mod:`core.abilities` says what it means.

A refusal is an answer. A server that is away, and a privilege without which nothing works, are raised.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import bson
import pymongo
from bson.binary import Binary
from pymongo.errors import PyMongoError

from replicator_service.core.abilities import LEAST_HISTORY_SECONDS, Abilities, Ability, Found
from replicator_service.core.errors import ConfigurationError, Fatal, SnapshotUnavailable
from replicator_service.core.position import seconds_of, to_cluster_time, to_timestamp
from replicator_service.source.connect.deadline import ANSWER_SECONDS
from replicator_service.source.connect.member import Member, on_member
from replicator_service.source.connect.unreachable import uninitiated
from replicator_service.source.errors import code_told, translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

ABSENT = "replicator_preflight"
"""A collection that does not exist. Privileges are asked for before anybody looks whether it does."""

_TRIES = 3
_AGES = (300, 60, 10)
"""Seconds back at which a read is tried where the parameter cannot be asked for."""

_WINDOW = "minSnapshotHistoryWindowInSeconds"
_ORDINARY = {"type": "collection", "options.capped": {"$ne": True}, "name": {"$not": {"$regex": "^system\\."}}}

Command = dict[str, Any]


def probe_reads(database: Database[Command], member: Member | None = None) -> Abilities:
    """Try what reading documents needs, of the member that is read from, or of the primary.

    Raises :class:`Retryable` while the server is away, :class:`ConfigurationError` without the privilege to list
    collections or to read at all.
    """
    probe = _Probe(database, member)
    present = probe.now()
    named = {"nameOnly": True, "authorizedCollections": True}
    found = {
        Ability.FILTERED_LISTS: probe.tried(lambda: probe.list_one({"filter": {"name": ABSENT}})),
        Ability.NAME_LISTS: probe.tried(lambda: probe.list_one({"nameOnly": True})),
        Ability.AUTHORIZED_LISTS: probe.tried(lambda: probe.list_one(named)),
    }
    probe.list_one({})
    collection = probe.collection() if found[Ability.FILTERED_LISTS].works else ABSENT
    found[Ability.COLLECTION_UUID] = probe.takes_uuid(collection)
    found[Ability.SNAPSHOT_READS] = probe.reads_at_a_time(collection)
    history, found[Ability.SNAPSHOT_HISTORY] = probe.history(collection, reads=found[Ability.SNAPSHOT_READS])
    found[Ability.OPLOG_HISTORY] = probe.oplog(present)
    return Abilities(found, history)


def probe_streams(database: Database[Command], member: Member | None = None) -> dict[Ability, Found]:
    """Try what the change stream needs.

    Raises as :func:`probe_reads` does, for want of the privilege ``changeStream``.
    """
    probe = _Probe(database, member)
    try:
        token = probe.open_stream({})
    except ConfigurationError:
        raise
    except Fatal:
        # Whether that passes, or is final, the stream itself finds out, which has a position.
        return {}
    return {
        Ability.START_AFTER: probe.tried(lambda: probe.open_stream({"startAfter": token})),
        Ability.EXPANDED_EVENTS: probe.tried(lambda: probe.open_stream({"showExpandedEvents": True})),
        Ability.SPLIT_EVENTS: probe.tried(lambda: probe.open_stream({}, {"$changeStreamSplitLargeEvent": {}})),
    }


class _Probe:
    """Asks one member about one database."""

    def __init__(self, database: Database[Command], member: Member | None) -> None:
        self._database = database
        self._member = member

    def tried(self, attempt: Callable[[], object]) -> Found:
        """Whether this works. What a privilege hinders is not known; a refusal has to be repeated."""
        told = ""
        for _ in range(_TRIES):
            try:
                attempt()
            except (ConfigurationError, SnapshotUnavailable) as error:
                return Found(works=None, told=error.message)
            except Fatal as error:
                told = code_told(error)
            else:
                return Found(works=True)
        return Found(works=False, told=told)

    def now(self) -> int:
        """The cluster time of the latest operation that the majority has: a later one would have to be waited for."""
        reply = self._ask({"hello": 1}, self._database.client.admin)
        latest = reply.get("lastWrite", {}).get("majorityOpTime", {}).get("ts") or reply.get("operationTime")
        if latest is None:
            raise uninitiated()
        return to_cluster_time(latest)

    def list_one(self, options: Command) -> list[Command]:
        """List collections, as far as the first reply of at most one goes."""
        cursor = self._ask({"listCollections": 1, "cursor": {"batchSize": 1}, **options})["cursor"]
        self._free(cursor["id"], "$cmd.listCollections")
        listed: list[Command] = cursor["firstBatch"]
        return listed

    def collection(self) -> str:
        """An ordinary collection to read from, where there is one: a user may have privileges on single ones."""
        listed = self.list_one({"filter": _ORDINARY})
        return str(listed[0]["name"]) if listed else ABSENT

    def find(self, collection: str, **options: object) -> None:
        """Read at most one key."""
        self._ask({"find": collection, "limit": 1, "singleBatch": True, "projection": {"_id": 1}, **options})

    def takes_uuid(self, collection: str) -> Found:
        """A server that takes a UUID says that this is not the collection's."""

        def attempt() -> None:
            try:
                self.find(collection, collectionUUID=Binary(uuid.uuid4().bytes, 4))
            except SnapshotUnavailable:
                return
            raise Fatal("it is ignored", hint="Nothing to do: another way is taken.")

        found = self.tried(attempt)
        return self._unless_unreadable(collection, found) if found.works is False else found

    def _unless_unreadable(self, collection: str, found: Found) -> Found:
        """What a collection refuses that cannot be read at all says nothing of the server."""
        plain = self.tried(lambda: self.find(collection))
        return found if plain.works else Found(works=None, told=plain.told)

    def reads_at_a_time(self, collection: str) -> Found:
        """A server that cannot at one time (its catalog has changed just then) is asked again."""
        found = Found(works=None)
        for _ in range(_TRIES):
            found = self.tried(lambda: self.find(collection, **_at(self.now())))
            if found.works is not None:
                break
        return self._unless_unreadable(collection, found) if found.works is False else found

    def history(self, collection: str, *, reads: Found) -> tuple[int | None, Found]:
        """How far back the server reads: what it promises, or what it was seen to do.

        One that has just begun has no past yet: only its promise can show that it keeps too little.
        """
        if reads.works is False:
            return None, Found(works=None, told="nothing of it can be read")
        try:
            seconds = int(self._ask({"getParameter": 1, _WINDOW: 1}, self._database.client.admin)[_WINDOW])
        except (Fatal, KeyError):
            return self._seen(collection)
        if seconds < LEAST_HISTORY_SECONDS:
            return seconds, Found(works=False, told=f"{_WINDOW} is {seconds}")
        return seconds, Found(works=True, told=f"{seconds} s")

    def _seen(self, collection: str) -> tuple[int | None, Found]:
        present = self.now()
        for age in _AGES:
            if self.tried(lambda age=age: self.find(collection, **_at(present - (age << 32)))).works:  # type: ignore[misc]  # mypy infers no default of a lambda
                return age, Found(works=True, told=f"{age} s or more")
        return None, Found(works=None, told="this user may not ask for it")

    def oplog(self, present: int) -> Found:
        """How many seconds the oplog spans."""
        command = {
            "find": "oplog.rs",
            "sort": {"$natural": 1},
            "limit": 1,
            "singleBatch": True,
            "projection": {"ts": 1},
        }
        try:
            entries = self._ask(command, self._database.client.local)["cursor"]["firstBatch"]
        except Fatal as error:
            told = "" if isinstance(error, ConfigurationError) else code_told(error)
            return Found(works=False, told=told or error.message)
        if not entries:
            return Found(works=False, told="it is empty")
        seconds = seconds_of(present) - seconds_of(to_cluster_time(entries[0]["ts"]))
        return Found(works=True, told=f"it reaches back {seconds} s")

    def open_stream(self, options: Command, *stages: Command) -> Command:
        """Open a change stream, close it and return a token to continue from."""
        command = {
            "aggregate": 1,
            "pipeline": [{"$changeStream": options}, *stages],
            "cursor": {"batchSize": 0},
            "readConcern": {"level": "majority"},
        }
        cursor = self._ask(command)["cursor"]
        self._free(cursor["id"], "$cmd.aggregate")
        token: Command = cursor["postBatchResumeToken"]
        return token

    def _ask(self, command: Command, database: Database[Command] | None = None) -> Command:
        target = self._database if database is None else database
        with translated(next(iter(command))), pymongo.timeout(ANSWER_SECONDS), on_member(self._member) as preferred:
            return target.command(command, read_preference=preferred)

    def _free(self, cursor_id: int, collection: str) -> None:
        if not cursor_id:
            return
        command = {"killCursors": collection, "cursors": [bson.Int64(cursor_id)]}
        with suppress(PyMongoError), pymongo.timeout(ANSWER_SECONDS), on_member(self._member) as preferred:
            # The server ends it by itself.
            self._database.command(command, read_preference=preferred)


def _at(cluster_time: int) -> Command:
    return {"readConcern": {"level": "snapshot", "atClusterTime": to_timestamp(cluster_time)}}
