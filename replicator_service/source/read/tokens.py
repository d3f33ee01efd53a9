"""Resume tokens, as far as anybody may look into them: their time, and that they never go back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.codec.elements import elements
from replicator_service.core.errors import Fatal, SourceUnavailable
from replicator_service.core.position import token_time, wall_time
from replicator_service.core.times import time_text

if TYPE_CHECKING:
    from replicator_service.core.position import Position, ResumeToken

_TIME_END, _VERSION_END = 18, 22
"""Where the hexadecimal digits of a token's time and of its version end."""

_EMPTY_ARRAY = 5
_TIMESTAMP = 0x11


def require_forward(position: Position, token: ResumeToken, events: bytes) -> None:
    """Refuse an answer that lies before the position: its token, or its first event (``events``: a BSON array).

    A token's ``_data`` is a key string in hexadecimal digits: it sorts as positions do, within one version of tokens.

    Raises :class:`Retryable`.
    """
    if _sorts_before(token, position.resume_token) or _begins_before(events, position.cluster_time):
        raise SourceUnavailable(
            f"MongoDB went back in its history, to before {time_text(wall_time(position.cluster_time))}: the position "
            "is kept, and the stream is opened again",
            hint="If it lasts: MongoDB was restored from a backup ('replicator resync --all' reads everything again), "
            "or this version has a bug (sharded streams of 9.0.0 and 9.0.1): upgrade MongoDB.",
        )


def _sorts_before(one: ResumeToken, other: ResumeToken) -> bool:
    first, second = str(one.get("_data", "")), str(other.get("_data", ""))
    if first[:_VERSION_END] == second[:_VERSION_END]:
        return first < second
    # Of another time, or of the same and another version of tokens, which says nothing.
    return first[:_TIME_END] < second[:_TIME_END]


def _begins_before(events: bytes, cluster_time: int) -> bool:
    if len(events) <= _EMPTY_ARRAY:
        return False
    _, _, event = next(elements(events))
    for kind, name, value in elements(event):
        if name == b"clusterTime" and kind == _TIMESTAMP:
            return int.from_bytes(value, "little") < cluster_time
    return False


def token_time_of(token: ResumeToken) -> int:
    """The cluster time at the front of a token.

    Raises :class:`Fatal` for one that looks like none.
    """
    time = token_time(token)
    if time is None:
        raise Fatal(
            "MongoDB sent a resume token of an unknown form",
            hint="This server version is not supported; run 'replicator check'.",
        )
    return time
