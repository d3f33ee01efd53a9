"""A position never goes back, with the tokens of real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.timestamp import Timestamp

from replicator_service.core.errors import Retryable
from replicator_service.core.position import Position, ResumeToken, to_cluster_time
from replicator_service.source.read.tokens import require_forward

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY = bson.encode({})
KEY = "296E5A1004A1ABD265E79443B29F7CE97656907888461E5F6964002B0204"


def at(seconds: int, inc: int = 1, *, version: str = "2B04", rest: str = "29296E1404") -> ResumeToken:
    return {"_data": f"82{seconds:08X}{inc:08X}{version}{rest}"}


def held(token: ResumeToken, seconds: int, inc: int = 1) -> Position:
    return Position(token, to_cluster_time(Timestamp(seconds, inc)))


def events(times: Sequence[Timestamp]) -> bytes:
    found: dict[str, Any] = {
        str(n): {"_id": {}, "operationType": "insert", "clusterTime": each} for n, each in enumerate(times)
    }
    return bson.encode(found)


@pytest.mark.parametrize(
    "token",
    [at(99), at(100, 1), at(100, 2, rest="29296E1404"), {"_data": ""}],
    ids=["an earlier second", "an earlier operation", "before the event that was seen", "nothing"],
)
def test_a_token_that_sorts_before_the_one_we_have_is_refused(token: ResumeToken) -> None:
    position = held(at(100, 2, rest=f"2C0100{KEY}"), 100, 2)
    with pytest.raises(Retryable, match="went back"):
        require_forward(position, token, EMPTY)


@pytest.mark.parametrize(
    "token",
    [
        at(100, 2, rest=f"2C0100{KEY}"),
        at(100, 2, rest=f"2C0101{KEY}"),
        at(100, 3),
        at(101),
        at(100, 2, version="2B02", rest="29296E1404"),
        at(101, version="2B02"),
    ],
    ids=["the same", "the next of a transaction", "later", "next second", "another version", "later in another"],
)
def test_a_token_that_does_not_is_taken(token: ResumeToken) -> None:
    require_forward(held(at(100, 2, rest=f"2C0100{KEY}"), 100, 2), token, EMPTY)


def test_an_event_of_before_the_position_is_refused_and_one_of_the_same_time_is_not() -> None:
    position = held(at(100, 2), 100, 2)
    require_forward(position, at(101), events([Timestamp(100, 2), Timestamp(100, 3)]))
    with pytest.raises(Retryable, match="went back"):
        require_forward(position, at(101), events([Timestamp(100, 1), Timestamp(100, 3)]))


def test_the_part_of_a_split_event_that_has_no_time_says_nothing() -> None:
    require_forward(held(at(100, 2), 100, 2), at(101), bson.encode({"0": {"_id": {}, "splitEvent": {}}}))
