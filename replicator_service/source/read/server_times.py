"""What MongoDB says of itself while the service runs: cheap questions, each bounded in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymongo

from replicator_service.core.position import to_cluster_time
from replicator_service.source.connect.unreachable import uninitiated
from replicator_service.source.errors import translated
from replicator_service.source.read.catalog import list_collections

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.source.connect.connection import Client

ANSWER_SECONDS = 3.0
"""A server that does not answer within this time is away, whatever its connections say."""


def operation_time(database: Database[dict[str, Any]]) -> int:
    """The cluster time of the server's latest operation. Needs no privilege.

    Raises :class:`Retryable` when there is no primary that answers.
    """
    with translated(), pymongo.timeout(ANSWER_SECONDS):
        reply = database.command({"ping": 1})
    if "operationTime" not in reply:
        raise uninitiated()
    return to_cluster_time(reply["operationTime"])


def oldest_time(client: Client) -> int | None:
    """The cluster time of the oldest entry of the oplog, or None when it is empty.

    Needs ``find`` on ``local.oplog.rs``; raises :class:`ConfigurationError` without it.
    """
    return oplog_start(client)[0]


def oplog_start(client: Client) -> tuple[int | None, bool]:
    """The same, and whether it is the entry that a new replica set begins with: then nothing was ever discarded."""
    fields = {"_id": 0, "ts": 1, "op": 1, "o.msg": 1}
    with translated(), pymongo.timeout(ANSWER_SECONDS):
        entry = client.local["oplog.rs"].find_one({}, fields, sort=[("$natural", 1)])
    if entry is None:
        return None, False
    is_first = entry.get("op") == "n" and (entry.get("o") or {}).get("msg") == "initiating set"
    return to_cluster_time(entry["ts"]), is_first


def unsupported_collections(database: Database[dict[str, Any]]) -> dict[str, str]:
    """The collections that have no change events, with their kind."""
    with pymongo.timeout(ANSWER_SECONDS):
        listed = list_collections(database)
    return {name: each.kind.value for name, each in sorted(listed.items()) if not each.is_streamed}
