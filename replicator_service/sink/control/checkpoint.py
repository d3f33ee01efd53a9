"""The checkpoint: where a stream is, and which leader may move it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from bson import json_util
from psycopg.types.json import Jsonb

from replicator_service.core.errors import LeaseLost
from replicator_service.core.ports import HistoryMark
from replicator_service.core.position import Position
from replicator_service.core.sessions import Checkpoint
from replicator_service.sink.errors import translated
from replicator_service.sink.write.round_trip import Query

if TYPE_CHECKING:
    from replicator_service.core.steps import Commit
    from replicator_service.sink.connect.connection import Connection


_READ = """
select c.resume_token::text, c.cluster_time, c.epoch, c.converging_until, m.cluster_time, m.term, m.wall
from replicator.checkpoint as c
left join replicator.history_mark as m on m.stream = c.stream
where c.stream = %s
"""

_MOVE = b"""
with moved as (
    update replicator.checkpoint
    set resume_token = %s, cluster_time = %s, converging_until = %s, updated_at = now()
    where stream = %s and epoch = %s
    returning epoch
)

select 1 / count(*) from moved
"""
"""Fails (22012, division by zero) when no row has our epoch, so that what follows it in the same round trip fails, too:
a commit may be sent along."""

_REMEMBER = b"""
insert into replicator.history_mark as m (stream, cluster_time, term, wall) values (%s, %s, %s, %s)
on conflict (stream) do update set cluster_time = excluded.cluster_time, term = excluded.term, wall = excluded.wall
"""


def read_checkpoint(connection: Connection, stream: str, *, lock: bool = False) -> Checkpoint | None:
    """The checkpoint of a stream; with ``lock``, its row is held against every commit until the transaction ends."""
    with translated():
        row = connection.execute(_READ + (" for update of c" if lock else ""), (stream,)).fetchone()
    if row is None:
        return None
    token, cluster_time, epoch, converging_until, *mark = row
    position = None
    if token is not None and cluster_time is not None:
        position = Position(json_util.loads(token), cluster_time)
    return Checkpoint(position, epoch, converging_until, HistoryMark(*mark) if mark[0] is not None else None)


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


def moves(stream: str, epoch: int, step: Commit) -> list[Query]:
    """What moves the checkpoint inside the open transaction; the first is fenced, see :func:`is_fenced`."""
    position = step.position
    token = Jsonb(dict(position.resume_token), dumps=json_util.dumps)
    found = [Query(_MOVE, (token, position.cluster_time, step.converging_until, stream, epoch))]
    if step.mark is not None:
        found.append(Query(_REMEMBER, (stream, step.mark.cluster_time, step.mark.term, step.mark.wall)))
    return found


def is_fenced(error: psycopg.Error) -> bool:
    """Whether the move failed because another leader has taken over: the transaction must be rolled back."""
    return isinstance(error, psycopg.errors.DivisionByZero)
