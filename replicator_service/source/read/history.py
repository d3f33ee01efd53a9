"""Whether a position belongs to this server's history at all.

The server refuses a position that has left its oplog, but it cannot tell that it was set up anew: its first entry
then looks like the beginning of everything, and a position of the time before is taken for one with nothing missed.
A position in its future (restored from a backup, a clock set back) is waited for in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import ConfigurationError, ResyncRequired
from replicator_service.core.position import seconds_of
from replicator_service.source.read.server_times import oldest_time, operation_time

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.core.position import Position
    from replicator_service.source.connect.connection import Client

_AHEAD_SECONDS = 60
"""A primary that was cut off and does not know it yet may be some seconds behind what others have told us."""


def require_history(client: Client, database: Database[dict[str, Any]], position: Position) -> None:
    """Check that the server's history holds the position.

    Raises :class:`ResyncRequired` when it is older than the oplog, or far in the future. Without the privilege to
    read the oplog only the latter is checked.
    """
    if seconds_of(position.cluster_time) - seconds_of(operation_time(database)) > _AHEAD_SECONDS:
        raise ResyncRequired(
            "the checkpoint is ahead of MongoDB, which was restored from a backup or set up anew",
            hint="A resync makes both sides equal again.",
        )
    try:
        oldest = oldest_time(client)
    except ConfigurationError:
        return
    if oldest is not None and oldest > position.cluster_time:
        raise ResyncRequired(
            "the checkpoint is older than MongoDB's oplog",
            hint="A resync makes both sides equal again. Keep a longer oplog (oplogMinRetentionHours of 24 or more).",
        )
