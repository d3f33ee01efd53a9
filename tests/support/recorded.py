"""A server that answers as versions of MongoDB do which cannot be had here: events and lists from a recorded file.

It speaks the wire protocol, so the real driver and everything behind it run. Documents are what the events make of them
at the time that is asked for.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bson import Int64, Timestamp, json_util

from tests.support.wire import WireServer, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.wire import Command

Document = dict[str, Any]

_CURSOR = Int64(4711)
_BEGINS = 1_700_000_000
_IDLE_TAIL = "2B0429296E1404"
"""How the token of a time ends at which nothing happened (a high water mark)."""


def read_recording(path: Path) -> Document:
    """The parsed file, with BSON's types."""
    options = json_util.JSONOptions(tz_aware=True, tzinfo=UTC, uuid_representation=0)
    found: Document = json_util.loads(path.read_text(encoding="utf-8"), json_options=options)
    return found


class RecordedServer(WireServer):
    """Plays one recording to whoever connects."""

    def __init__(self, recording: Document) -> None:
        self._recording = recording
        self._turn = threading.RLock()
        self._delivered = 0
        self._next = 0
        self._after = ""
        self.commands: list[Command] = []
        super().__init__(self._answered)

    @property
    def is_over(self) -> bool:
        """Whether every reply has been given."""
        return self._delivered >= len(self._recording["batches"])

    @property
    def now(self) -> Timestamp:
        """Its latest operation: that of the events that were given."""
        events = [event for batch in self._recording["batches"][: self._delivered] for event in _events(batch)]
        if self.is_over:
            return Timestamp(_BEGINS + 20, 1)
        return max((event["clusterTime"] for event in events), default=Timestamp(_BEGINS + 5, 1))

    def skip(self) -> None:
        """Be where the recording ends."""
        self._delivered = len(self._recording["batches"])

    def _answered(self, command: Command) -> Command:
        with self._turn:
            self.commands.append(command)
            name = next(iter(command))
            answer = getattr(self, f"_{name.lower()}", None)
            reply: Command = answer(command) if answer else refusal(59, "CommandNotFound")
            reply.setdefault("ok", 1.0)
            return {
                **reply,
                "operationTime": self.now,
                "$clusterTime": {"clusterTime": self.now, "signature": {"hash": b"\0" * 20, "keyId": Int64(0)}},
            }

    def _hello(self, _: Command) -> Command:
        last = {"ts": self.now, "t": Int64(1)}
        return {
            "helloOk": True,
            "isWritablePrimary": True,
            "ismaster": True,
            "setName": "rs0",
            "hosts": [f"127.0.0.1:{self.port}"],
            "primary": f"127.0.0.1:{self.port}",
            "me": f"127.0.0.1:{self.port}",
            "maxBsonObjectSize": 16 * 2**20,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "logicalSessionTimeoutMinutes": 30,
            "minWireVersion": 0,
            "maxWireVersion": self._recording["wire"],
            "lastWrite": {"opTime": last, "majorityOpTime": last},
        }

    _ismaster = _hello

    def _buildinfo(self, _: Command) -> Command:
        version = self._recording["version"]
        return {"version": ".".join(map(str, version[:3])), "versionArray": version}

    def _ping(self, _: Command) -> Command:
        return {}

    _killcursors = _endsessions = _ping

    def _getparameter(self, _: Command) -> Command:
        return {"minSnapshotHistoryWindowInSeconds": 300}

    def _listcollections(self, command: Command) -> Command:
        wanted = (command.get("filter") or {}).get("name")
        listed = self._recording["collections"] if self._delivered else []
        found = [each for each in listed if not isinstance(wanted, str) or each["name"] == wanted]
        return _batch(found)

    def _find(self, command: Command) -> Command:
        if self._lacks_limit(command):
            return refusal(50, "MaxTimeMSExpired")
        if command["find"] == "oplog.rs":
            at = command.get("filter", {}).get("ts", Timestamp(_BEGINS, 1))
            wall = datetime.fromtimestamp(at.time, UTC)
            return _batch([{"ts": at, "t": Int64(1), "wall": wall, "op": "n", "o": {"msg": "initiating set"}}])
        if "collectionUUID" in command and command["collectionUUID"] not in self._uuids(command["find"]):
            return refusal(361, "CollectionUUIDMismatch")
        at = command.get("readConcern", {}).get("atClusterTime", self.now)
        found = sorted(self._state(command["find"], at).values(), key=lambda each: each["_id"])
        ids = command.get("filter", {}).get("_id", {})
        found = [each for each in found if "$in" not in ids or each["_id"] in ids["$in"]]
        found = [each for each in found if each["_id"] > command.get("min", {}).get("_id", -1)]
        if command.get("sort", {}).get("_id") == -1:
            found.reverse()
        return _batch(found[: command.get("limit") or None])

    def _count(self, command: Command) -> Command:
        if self._lacks_limit(command):
            return refusal(50, "MaxTimeMSExpired")
        return {"n": len(self._state(command["count"], self.now))}

    def _aggregate(self, command: Command) -> Command:
        if self._lacks_limit(command):
            return refusal(50, "MaxTimeMSExpired")
        options = command["pipeline"][0]["$changeStream"]
        token = options.get("startAfter")
        if token is not None:
            self._after, self._next = token["_data"], 0
        return _batch([], cursor_id=_CURSOR, postBatchResumeToken=token or _mark(self.now))

    def _getmore(self, command: Command) -> Command:
        batches = self._recording["batches"]
        while self._next < len(batches):
            batch = batches[self._next]
            self._next += 1
            is_new = self._next > self._delivered
            self._delivered = max(self._delivered, self._next)
            if isinstance(batch, dict):
                if is_new:
                    return _batch([], "nextBatch", cursor_id=_CURSOR, postBatchResumeToken=batch["goes_back_to"])
                continue
            events = [event for event in batch if event["_id"]["_data"] > self._after]
            if events:
                token = events[-1]["_id"]
                return _batch(events, "nextBatch", cursor_id=_CURSOR, postBatchResumeToken=token)
        threading.Event().wait(min(command.get("maxTimeMS", 0), 20) / 1_000)
        return _batch([], "nextBatch", cursor_id=_CURSOR, postBatchResumeToken=_mark(self.now))

    def _lacks_limit(self, command: Command) -> bool:
        return bool(self._recording.get("default_max_time")) and not command.get("maxTimeMS")

    def _uuids(self, name: str) -> list[Any]:
        return [each["info"].get("uuid") for each in self._recording["collections"] if each["name"] == name]

    def _state(self, name: str, at: Timestamp) -> dict[Any, Document]:
        found: dict[Any, Document] = {}
        for batch in self._recording["batches"][: self._delivered]:
            for event in _events(batch):
                if event["clusterTime"] > at or event.get("ns", {}).get("coll") != name or "documentKey" not in event:
                    continue
                key = event["documentKey"]["_id"]
                if event["operationType"] == "delete":
                    del found[key]
                elif event["operationType"] == "update":
                    found[key] = _updated(found[key], event["updateDescription"]["updatedFields"])
                else:
                    found[key] = event["fullDocument"]
        return found


def _events(batch: Any) -> list[Document]:
    return batch if isinstance(batch, list) else []


def _updated(document: Document, fields: Document) -> Document:
    whole: Document = json_util.loads(json_util.dumps(document))
    for path, value in fields.items():
        *outer, last = path.split(".")
        target = whole
        for name in outer:
            target = target[name]
        target[last] = value
    return whole


def _mark(at: Timestamp) -> Document:
    return {"_data": f"82{at.time:08X}{at.inc:08X}{_IDLE_TAIL}"}


def _batch(
    found: list[Document], name: str = "firstBatch", *, cursor_id: Int64 | None = None, **fields: Any
) -> Command:
    return {"cursor": {name: found, "id": cursor_id or Int64(0), "ns": "shop.$cmd.aggregate", **fields}}
