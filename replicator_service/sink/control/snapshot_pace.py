"""How fast an operator lets snapshots be read: kept in PostgreSQL, so that it goes for whoever leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.sessions import Pace
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_READ = "select workers, max_mb_s from replicator.snapshot_pace where stream = %s"
_WRITE = """
insert into replicator.snapshot_pace (stream, workers, max_mb_s) values (%s, %s, %s)
on conflict (stream) do update set
    workers = excluded.workers, max_mb_s = excluded.max_mb_s, changed_at = now()
"""


def read_pace(connection: Connection, stream: str) -> Pace:
    """What goes now."""
    with translated():
        row = connection.execute(_READ, (stream,)).fetchone()
    return Pace(*row) if row else Pace()


def write_pace(connection: Connection, stream: str, pace: Pace) -> None:
    """Change it; None is what the settings say."""
    with translated():
        connection.execute(_WRITE, (stream, pace.workers, pace.max_mb_s))
