"""Whether a position belongs to this server's history: the evidence, read; :mod:`core.history` judges it.

The server refuses a position that has left its oplog, but it cannot tell that it was set up anew: its first entry
then looks like the beginning of everything, and a position of the time before is taken for one with nothing missed.
A position in its future (restored from a backup, a clock set back) is waited for in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.history import ServerHistory, is_entry, require_same_history
from replicator_service.source.read.oplog import mark_at, oldest_time
from replicator_service.source.read.server_times import operation_time

if TYPE_CHECKING:
    from pymongo.database import Database

    from replicator_service.core.ports import HistoryMark
    from replicator_service.core.position import Position
    from replicator_service.source.connect.connection import Client


def require_history(
    client: Client, database: Database[dict[str, Any]], position: Position, mark: HistoryMark | None = None
) -> None:
    """Check that the server's history holds the position, and is the one that ``mark`` was read from.

    Raises what :func:`require_same_history` does. Without the privilege to read the oplog only a position in the
    future is recognised.
    """
    require_same_history(position.cluster_time, mark, _read(client, database, position, mark))


def _read(
    client: Client, database: Database[dict[str, Any]], position: Position, mark: HistoryMark | None
) -> ServerHistory:
    present = operation_time(database)
    try:
        at_mark = None if mark is None else mark_at(client, mark.cluster_time)
        has_position = mark_at(client, position.cluster_time) is not None if is_entry(position) else None
        return ServerHistory(present, oldest_time(client), at_mark, has_position)
    except ConfigurationError:
        return ServerHistory(present)
