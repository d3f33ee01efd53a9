"""What a primary says of its last write: its time and term, and how far the majority is. Needs no privilege."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pymongo

from replicator_service.core.position import to_cluster_time
from replicator_service.source.connect.deadline import ANSWER_SECONDS
from replicator_service.source.connect.unreachable import uninitiated
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from replicator_service.source.connect.connection import Client


class OpTime(NamedTuple):
    """An entry of the oplog: ``term`` is the election that its primary came from."""

    term: int
    cluster_time: int


class LastWrite(NamedTuple):
    """The latest entry of the primary, and the latest that the majority has."""

    latest: OpTime
    majority: OpTime


def last_write(client: Client) -> LastWrite:
    """Ask the primary.

    Raises :class:`Retryable` when there is none that answers.
    """
    with translated(), pymongo.timeout(ANSWER_SECONDS):
        found: dict[str, Any] = client.admin.command("hello").get("lastWrite", {})
    if "majorityOpTime" not in found:
        raise uninitiated()
    return LastWrite(_op_time(found["opTime"]), _op_time(found["majorityOpTime"]))


def _op_time(found: dict[str, Any]) -> OpTime:
    return OpTime(int(found["t"]), to_cluster_time(found["ts"]))
