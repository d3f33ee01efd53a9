"""What MongoDB says of itself while the service runs: cheap questions, each bounded in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo.errors import PyMongoError

from replicator_service.core.errors import SourceUnavailable
from replicator_service.core.position import to_cluster_time
from replicator_service.source.connect.deadline import ANSWER_SECONDS
from replicator_service.source.connect.last_write import last_write
from replicator_service.source.connect.unreachable import uninitiated
from replicator_service.source.errors import translated
from replicator_service.source.read.catalog import list_collections

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.source.connect.connection import Client

_SETTLE_SECONDS = 5.0
_SETTLE_PAUSE_SECONDS = 0.02


def operation_time(database: Database[dict[str, Any]]) -> int:
    """The cluster time of the server's latest operation. Needs no privilege.

    Raises :class:`Retryable` when there is no primary that answers.
    """
    with translated(), pymongo.timeout(ANSWER_SECONDS):
        reply = database.command({"ping": 1})
    if "operationTime" not in reply:
        raise uninitiated()
    return to_cluster_time(reply["operationTime"])


def settled_time(client: Client, election: int | None) -> int:
    """The cluster time of the primary's latest operation, once the majority has it. Needs no privilege.

    Within one term, the majority has everything up to its last entry: nothing that was read since ``election``, its
    term, is taken back.

    Raises :class:`Retryable` when it takes too long, or when another primary was elected since.
    """
    latest = last_write(client).latest
    end = time.monotonic() + _SETTLE_SECONDS
    while True:
        found = last_write(client)
        if found.latest.term != latest.term or election not in (None, latest.term):
            raise SourceUnavailable(
                "another primary was elected since this was read: it is read again",
                hint="Nothing to do. When it happens again and again, rs.status() names the members that come and go.",
            )
        if found.majority >= latest:
            return latest.cluster_time
        if time.monotonic() >= end:
            raise SourceUnavailable(
                f"the majority of MongoDB's replica set has not got the latest write within {_SETTLE_SECONDS:.0f} s",
                hint="Bring back the members that are down or far behind: rs.status() names them.",
            )
        time.sleep(_SETTLE_PAUSE_SECONDS)


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
