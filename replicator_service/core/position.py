"""Cluster times and positions.

A cluster time is MongoDB's logical clock as one integer, ``seconds * 2**32 + increment``: it orders every operation of
a replica set. A position is a resume token with the cluster time up to which everything has been seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bson.timestamp import Timestamp

_TIME_END = 18
"""Where the hexadecimal digits of a token's time end."""

ResumeToken = Mapping[str, object]
"""Opaque. Only its cluster time is ever read, see :func:`token_time`."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to and including ``cluster_time`` has been seen; ``resume_token`` goes on from there."""

    resume_token: ResumeToken
    cluster_time: int

    @property
    def is_by_time(self) -> bool:
        """Whether the token says nothing but a time, see :meth:`by_time`."""
        return len(str(self.resume_token.get("_data", ""))) == _TIME_END

    def by_time(self) -> Position:
        """The same without what else the token says: a token names the document that its event is about.

        A stream goes on from there with the first event of a later time; right between two cluster times alone.
        """
        return Position({"_data": str(self.resume_token.get("_data", ""))[:_TIME_END]}, self.cluster_time)


def to_cluster_time(timestamp: Timestamp) -> int:
    """The integer of a BSON timestamp."""
    return (timestamp.time << 32) | timestamp.inc


def to_timestamp(cluster_time: int) -> Timestamp:
    """The BSON timestamp of a cluster time."""
    return Timestamp(cluster_time >> 32, cluster_time & 0xFFFFFFFF)


def seconds_of(cluster_time: int) -> int:
    """The wall-clock part, in seconds since 1970."""
    return cluster_time >> 32


def wall_time(cluster_time: int) -> datetime:
    """The wall-clock part as an aware datetime, with the resolution of a second."""
    return datetime.fromtimestamp(seconds_of(cluster_time), UTC)


def token_time(token: ResumeToken) -> int | None:
    """The cluster time at the front of a resume token, or None when it does not look like one.

    A token's ``_data`` is a hexadecimal key string that opens with the type byte of a timestamp (0x82) and its eight
    bytes, in every version since MongoDB 4.2. An idle stream reports its progress in no other way.
    """
    data = token.get("_data")
    if not isinstance(data, str) or len(data) < _TIME_END or not data.startswith("82"):
        return None
    try:
        return int(data[2:_TIME_END], 16)
    except ValueError:
        return None
