"""The checkpoint: where a stream is, and which leader may move it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bson import json_util
from psycopg.types.json import Jsonb

from replicator_service.core.errors import LeaseLost
from replicator_service.core.position import Position
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What ``replicator.checkpoint`` holds. ``position`` is None before the first start."""

    position: Position | None
    epoch: int
    converging_until: int | None


def read_checkpoint(connection: Connection, stream: str, *, lock: bool = False) -> Checkpoint | None:
    """The checkpoint of a stream; with ``lock``, its row is held against every commit until the transaction ends."""
    query = (
        "select resume_token::text, cluster_time, epoch, converging_until from replicator.checkpoint where stream = %s"
    )
    with translated():
        row = connection.execute(query + (" for update" if lock else ""), (stream,)).fetchone()
    if row is None:
        return None
    token, cluster_time, epoch, converging_until = row
    position = None
    if token is not None and cluster_time is not None:
        position = Position(json_util.loads(token), cluster_time)
    return Checkpoint(position, epoch, converging_until)


def raise_epoch(connection: Connection, stream: str) -> Checkpoint:
    """Become the leader: from this statement on, no earlier leader can commit."""
    statement = (
        "insert into replicator.checkpoint as c (stream, epoch) values (%s, 1) "
        "on conflict (stream) do update set epoch = c.epoch + 1"
    )
    with translated():
        connection.execute(statement, (stream,))
    checkpoint = read_checkpoint(connection, stream)
    if checkpoint is None:
        raise LeaseLost("the checkpoint row vanished while taking the lease")
    return checkpoint


def move_checkpoint(
    connection: Connection, stream: str, epoch: int, position: Position, converging_until: int | None
) -> None:
    """Move the checkpoint inside the open transaction.

    Raises :class:`LeaseLost` when another leader has taken over: the transaction must be rolled back.
    """
    statement = (
        "update replicator.checkpoint set resume_token = %s, cluster_time = %s, converging_until = %s, "
        "updated_at = now() where stream = %s and epoch = %s"
    )
    token = Jsonb(dict(position.resume_token), dumps=json_util.dumps)
    parameters = (token, position.cluster_time, converging_until, stream, epoch)
    with translated():
        moved = connection.execute(statement, parameters).rowcount
    if moved != 1:
        raise LeaseLost("another instance has taken the lease", hint="This instance stands by.")
