"""The lease: one leader a stream, by a session advisory lock on the writer's own connection.

When the connection is gone, so is the lease; the epoch in the checkpoint fences off a leader that does not know yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connection import Connection

NAMESPACE = "replicator:"


def try_lease(connection: Connection, stream: str) -> bool:
    """Take the lease if nobody holds it. It lasts as long as the connection."""
    with translated():
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended(%s, 0))", (NAMESPACE + stream,)
        ).fetchone()
    return bool(row and row[0])
