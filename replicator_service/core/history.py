"""Whether a position belongs to the history that a server has now.

A position is a time and a token, and another history may well have the same times: another replica set of the same name
behind the address, or the same one set back to a backup. What tells them apart is the oplog's entry at a time that we
have seen, by its election term and wall clock, and for users who may not read the oplog the UUIDs of collections.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.errors import ResyncRequired, SourceUnavailable
from replicator_service.core.position import seconds_of, token_time, wall_time
from replicator_service.core.times import time_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from replicator_service.core.ports import HistoryMark, SourceCollection
    from replicator_service.core.position import Position

_AHEAD_SECONDS = 60
"""A primary that was cut off and does not know it yet may be some seconds behind what others have told us."""

_RESYNC = "A resync makes both sides equal again: 'replicator resync --all'."
_KEEP_LONGER = f"{_RESYNC} Keep a longer oplog (oplogMinRetentionHours of 24 or more)."


@dataclass(frozen=True, slots=True)
class ServerHistory:
    """What a server says of its history: its latest time, its oldest (None: unknown), its entry at the mark's time.

    ``has_position`` tells whether there is an entry at exactly the position's time; None where none has to be.
    """

    present: int
    oldest: int | None = None
    at_mark: HistoryMark | None = None
    has_position: bool | None = None


def is_entry(position: Position) -> bool:
    """Whether the oplog has an entry at exactly this position's time.

    The stream's positions are those of events and of the latest entry that the majority has. Only the first one of a
    new stream is before an entry that is still to come: its token names a later time.
    """
    return token_time(position.resume_token) == position.cluster_time


def require_same_history(position: int, mark: HistoryMark | None, server: ServerHistory) -> None:
    """Judge a position and the mark that was stored with it (or before it, or never).

    Raises :class:`ResyncRequired` with the reason when this history does not hold them, and :class:`Retryable` while
    the server is a few seconds behind them, which passes by itself or becomes a reason.
    """
    behind = seconds_of(position) - seconds_of(server.present)
    if behind > _AHEAD_SECONDS:
        raise ResyncRequired(
            f"the checkpoint ({time_text(wall_time(position))}) is ahead of MongoDB "
            f"({time_text(wall_time(server.present))}), which was restored from a backup or set up anew",
            hint=_RESYNC,
        )
    if server.oldest is None:
        return
    if server.oldest > position:
        raise ResyncRequired("the checkpoint is older than MongoDB's oplog", hint=_KEEP_LONGER)
    known = position if server.has_position is not None else 0
    if mark is not None:
        known = max(known, mark.cluster_time)
    if known > server.present:
        raise SourceUnavailable(
            "MongoDB is behind what it has told us before",
            hint="A primary that was cut off from its replica set is replaced within seconds. If this lasts, MongoDB "
            "was restored from a backup: the service notices once it has passed the checkpoint.",
        )
    is_another = mark is not None and mark.cluster_time >= server.oldest and server.at_mark != mark
    if is_another or server.has_position is False:
        raise ResyncRequired(
            f"MongoDB's history is another one than at {time_text(wall_time(known))}: another replica set answers at "
            "this address, or it was restored from a backup",
            hint=_RESYNC,
        )


def require_same_collections(known: Mapping[str, bytes], existing: Mapping[str, SourceCollection]) -> None:
    """Judge by UUIDs, where the oplog may not be read: another cluster has the same names and no UUID in common.

    Raises :class:`ResyncRequired` then. Without a collection of a known name nothing is proved either way.
    """
    now = {name: existing[name].uuid for name in known if name in existing}
    if now and all(now[name] != known[name] for name in now):
        raise ResyncRequired(
            "none of the collections that were replicated is the same one in MongoDB now, though names match: another "
            "replica set answers at this address, or everything was made anew",
            hint=_RESYNC,
        )
