"""Which history a position belongs to, decided from what the server says."""

from __future__ import annotations

import pytest

from replicator_service.core.errors import ResyncRequired, Retryable
from replicator_service.core.history import ServerHistory, require_same_collections, require_same_history
from replicator_service.core.ports import CollectionKind, HistoryMark, SourceCollection


def at(seconds: int) -> int:
    return (1_700_000_000 + seconds) << 32


MARK = HistoryMark(at(100), term=3, wall=1)


@pytest.mark.parametrize(
    ("mark", "server"),
    [
        (MARK, ServerHistory(at(200), at(0), MARK)),
        (MARK, ServerHistory(at(100), at(100), MARK)),
        (None, ServerHistory(at(200), at(0))),
        (HistoryMark(at(-9), 1, 1), ServerHistory(at(200), at(0))),
        (MARK, ServerHistory(at(200))),
        (MARK, ServerHistory(at(50))),
    ],
    ids=["the same entry", "the only entry", "no mark", "mark left the oplog", "may not read", "behind, may not read"],
)
def test_a_position_of_this_history_is_taken(mark: HistoryMark | None, server: ServerHistory) -> None:
    require_same_history(at(100), mark, server)


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (ServerHistory(at(200), at(0), HistoryMark(at(100), 4, 1)), "another replica set"),
        (ServerHistory(at(200), at(0), HistoryMark(at(100), 3, 2)), "another replica set"),
        (ServerHistory(at(200), at(0), None), "another replica set"),
        (ServerHistory(at(200), at(101), None), "older than MongoDB's oplog"),
        (ServerHistory(at(30), at(0), None), "ahead of MongoDB"),
        (ServerHistory(at(30)), "ahead of MongoDB"),
    ],
)
def test_a_position_of_another_history_is_lost_and_the_reason_is_told(server: ServerHistory, reason: str) -> None:
    with pytest.raises(ResyncRequired, match=reason) as lost:
        require_same_history(at(100), MARK, server)
    assert "replicator resync --all" in lost.value.hint


def test_a_server_that_is_seconds_behind_decides_nothing_yet() -> None:
    with pytest.raises(Retryable):
        require_same_history(at(100), MARK, ServerHistory(at(99), at(0), None))


def collections(**uuids: bytes) -> dict[str, SourceCollection]:
    return {name: SourceCollection(name, CollectionKind.ORDINARY, uuid) for name, uuid in uuids.items()}


def test_collections_of_the_same_names_and_no_common_identity_are_another_clusters() -> None:
    known = {"a": b"1", "b": b"2", "gone": b"3"}
    with pytest.raises(ResyncRequired):
        require_same_collections(known, collections(a=b"8", b=b"9"))
    require_same_collections(known, collections(a=b"1", b=b"9"))
    require_same_collections(known, collections(c=b"9"))
    require_same_collections({}, collections(a=b"9"))
