"""The oplog, as far as it tells which history this is. Needs ``find`` on ``local.oplog.rs``."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import pymongo
from bson.codec_options import CodecOptions

from replicator_service.core.ports import HistoryMark
from replicator_service.core.position import to_cluster_time, to_timestamp
from replicator_service.source.connect.deadline import ANSWER_SECONDS
from replicator_service.source.connect.member import Member, on_member
from replicator_service.source.errors import translated

if TYPE_CHECKING:
    from replicator_service.source.connect.connection import Client

_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)


def mark_at(client: Client, cluster_time: int, member: Member | None = None) -> HistoryMark | None:
    """The entry at exactly this time, or None, by a member that has this time, or by the primary.

    The server seeks an equality of ``ts``: the oplog is stored in its order. Raises :class:`ConfigurationError`
    without the privilege.
    """
    entry = _first(client, {"ts": to_timestamp(cluster_time)}, {"_id": 0, "t": 1, "wall": 1}, member=member)
    if entry is None:
        return None
    return HistoryMark(cluster_time, int(entry.get("t", -1)), round(entry["wall"].timestamp() * 1_000))


def oldest_time(client: Client, member: Member | None = None) -> int | None:
    """The cluster time of the oldest entry of this member, or of the primary; None when there is none.

    Raises :class:`ConfigurationError` without the privilege.
    """
    return oplog_start(client, member)[0]


def oplog_start(client: Client, member: Member | None = None) -> tuple[int | None, bool]:
    """The same, and whether it is the entry that a new replica set begins with: then nothing was ever discarded.

    Each member has an oplog of its own length: the one that is read from counts.
    """
    entry = _first(client, {}, {"_id": 0, "ts": 1, "op": 1, "o.msg": 1}, sort={"$natural": 1}, member=member)
    if entry is None:
        return None, False
    is_first = entry.get("op") == "n" and (entry.get("o") or {}).get("msg") == "initiating set"
    return to_cluster_time(entry["ts"]), is_first


def _first(
    client: Client,
    query: dict[str, Any],
    fields: dict[str, int],
    *,
    sort: dict[str, int] | None = None,
    member: Member | None = None,
) -> dict[str, Any] | None:
    command = {"find": "oplog.rs", "filter": query, "projection": fields, "limit": 1, "singleBatch": True}
    if sort is not None:
        command["sort"] = sort
    with translated(), pymongo.timeout(ANSWER_SECONDS), on_member(member) as preferred:
        reply = client.local.command(command, read_preference=preferred, codec_options=_AWARE)
    found: list[dict[str, Any]] = reply["cursor"]["firstBatch"]
    return found[0] if found else None
