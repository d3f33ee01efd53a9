"""What the user may do, found out by doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.position import to_timestamp
from replicator_service.source.errors import translated
from replicator_service.source.read.change_stream import ChangeStream
from replicator_service.source.read.server_times import operation_time

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.core.findings import Checklist
    from replicator_service.source.connect.connection import Client, ServerFacts

LIST = "privilege listCollections"
FIND = "privilege find"
STREAM = "privilege changeStream"
MAJORITY = "majority reads"
SNAPSHOT = "reads at a cluster time"
NAMES = (LIST, FIND, STREAM, MAJORITY, SNAPSHOT)

_ABSENT = "replicator_preflight"
"""Privileges are asked for before anybody looks whether the collection exists."""


def check_privileges(client: Client, database: Database[dict[str, Any]], facts: ServerFacts, checks: Checklist) -> None:
    """Try each thing that replicating needs."""
    collection = _ABSENT
    with checks.failing(LIST):
        with translated():
            listed = [each["name"] for each in database.list_collections(filter={"type": "collection"})]
        collection = next((name for name in sorted(listed) if not name.startswith("system.")), _ABSENT)
        checks.ok(LIST, f"collections in {database.name}: {len(listed)}")
    _try_find(database, collection, checks, FIND, {}, "documents can be read")
    with checks.failing(STREAM):
        stream = ChangeStream(client, database, facts, start=None, batch_size=1)
        stream.close()
        checks.ok(STREAM, "a change stream was opened and closed")
    if checks.failed(FIND):
        checks.skip(MAJORITY, SNAPSHOT)
        return
    _try_find(database, collection, checks, MAJORITY, {"level": "majority"}, "read concern majority works")
    with checks.failing(SNAPSHOT):
        concern = {"level": "snapshot", "atClusterTime": to_timestamp(operation_time(database))}
        _try_find(database, collection, checks, SNAPSHOT, concern, "the past can be read as it was")


def _try_find(
    database: Database[dict[str, Any]],
    collection: str,
    checks: Checklist,
    name: str,
    concern: dict[str, Any],
    cause: str,
) -> None:
    command: dict[str, Any] = {
        "find": collection,
        "limit": 1,
        "singleBatch": True,
        "projection": {"_id": 1},
        "maxTimeMS": 5_000,
    }
    with checks.failing(name):
        with translated():
            database.command({**command, "readConcern": concern} if concern else command)
        checks.ok(name, cause)
