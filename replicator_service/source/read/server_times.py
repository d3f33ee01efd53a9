"""What MongoDB says of itself while the service runs: cheap questions, each bounded in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import PyMongoError

from replicator_service.core.position import to_cluster_time
from replicator_service.source.connect.deadline import ANSWER_SECONDS
from replicator_service.source.connect.unreachable import uninitiated
from replicator_service.source.errors import translated
from replicator_service.source.read.catalog import list_collections

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.source.connect.connection import Client


def operation_time(database: Database[dict[str, Any]]) -> int:
    """The cluster time of the server's latest operation. Needs no privilege.

    Raises :class:`Retryable` when there is no primary that answers.
    """
    with translated(), pymongo.timeout(ANSWER_SECONDS):
        reply = database.command({"ping": 1})
    if "operationTime" not in reply:
        raise uninitiated()
    return to_cluster_time(reply["operationTime"])


def history_seconds(client: Client) -> int | None:
    """For how long the server can read the past, or None when the user may not ask."""
    name = "minSnapshotHistoryWindowInSeconds"
    try:
        with pymongo.timeout(ANSWER_SECONDS):
            return int(client.admin.command({"getParameter": 1, name: 1})[name])
    except (PyMongoError, KeyError):
        return None


def unsupported_collections(database: Database[dict[str, Any]]) -> dict[str, str]:
    """The collections that have no change events, with their kind."""
    with pymongo.timeout(ANSWER_SECONDS):
        listed = list_collections(database)
    return {name: each.kind.value for name, each in sorted(listed.items()) if not each.is_streamed}
