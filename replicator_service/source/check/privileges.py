"""What the user may do, found out by doing it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from replicator_service.core.abilities import Abilities
from replicator_service.source.connect.abilities import ABSENT, probe_reads, probe_streams
from replicator_service.source.connect.connection import ServerInfo
from replicator_service.source.errors import translated
from replicator_service.source.read.change_stream import ChangeStream

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.core.abilities import Ability, Found
    from replicator_service.core.findings import Checklist
    from replicator_service.source.connect.connection import Client
    from replicator_service.source.connect.member import Member

LIST = "privilege listCollections"
FIND = "privilege find"
STREAM = "privilege changeStream"
MAJORITY = "majority reads"
NAMES = (LIST, FIND, STREAM, MAJORITY)


def check_privileges(
    client: Client, database: Database[dict[str, Any]], checks: Checklist, member: Member | None
) -> Abilities | None:
    """Try each thing that replicating needs and return what the server can do, or None where that cannot be tried.

    What it can do is asked of the ``member`` that would be read from.
    """
    collection = ABSENT
    with checks.failing(LIST):
        with translated():
            every = list(database.list_collections())
        listed = [each["name"] for each in every if each.get("type", "collection") == "collection"]
        collection = next((name for name in sorted(listed) if not name.startswith("system.")), ABSENT)
        checks.ok(LIST, f"collections in {database.name}: {len(listed)}")
    _try_find(database, collection, checks, FIND, {}, "documents can be read")
    streams: dict[Ability, Found] = {}
    with checks.failing(STREAM):
        streams = probe_streams(database, member)
        ChangeStream(client, database, ServerInfo((), Abilities(streams)), start=None, batch_size=1).close()
        checks.ok(STREAM, "a change stream was opened and closed")
    if checks.failed(FIND) or checks.failed(LIST):
        checks.skip(MAJORITY)
        return None
    _try_find(database, collection, checks, MAJORITY, {"level": "majority"}, "read concern majority works")
    reads = probe_reads(database, member)
    return replace(reads, found={**reads.found, **streams})


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
