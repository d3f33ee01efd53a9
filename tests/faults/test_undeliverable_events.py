"""Events that MongoDB can never deliver: what precedes them arrives, then the service says what was lost."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from replicator_service.core.errors import Fatal, ResyncRequired
from replicator_service.source.connect.connection import ServerInfo, server_info
from replicator_service.source.read.change_stream import ChangeStream
from tests.support.databases import fresh_source
from tests.support.servers import start_mongo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Source

POISON = {
    "a key of 2.9 MB": {"_id": "x" * 2_900_000},
    "a key of 5 MB": {"_id": "x" * 5_000_000},
    "a key beside a large document": {"_id": "x" * 500_000, "text": "y" * 14_000_000},
}


@pytest.fixture(scope="module")
def own_mongo() -> Iterator[MongoReplicaSet]:
    """Fail points hold for a whole server."""
    with start_mongo() as server:
        yield server


def stream_of(source: Source, paused: list[float], info: ServerInfo | None = None) -> ChangeStream:
    info = info or server_info(source.client, source.db)
    return ChangeStream(source.client, source.db, info, start=None, batch_size=100, pause=paused.append)


def read(stream: ChangeStream, into: list[Any]) -> None:
    """Until nothing more comes."""
    while (answer := stream.poll(wait_ms=50)).reply is not None:
        into += [event["documentKey"]["_id"] for event in answer.reply.documents if "documentKey" in event]


@pytest.mark.needs_mongodb("6.0")
@pytest.mark.parametrize("document", POISON.values(), ids=POISON)
def test_what_precedes_a_poison_event_is_delivered_and_it_is_a_lost_piece_of_history(
    source: Source, document: dict[str, Any]
) -> None:
    paused: list[float] = []
    with stream_of(source, paused) as stream:
        source.db.things.insert_many([{"_id": 1}, {"_id": 2}])
        source.db.things.insert_one(document)
        source.db.things.insert_one({"_id": 3})
        seen: list[Any] = []
        with pytest.raises(ResyncRequired) as lost:
            read(stream, seen)
        assert seen == [1, 2]
        assert "cannot deliver the change event after 20" in lost.value.message
        assert "code" in lost.value.message
        assert "replicator resync --all" in lost.value.hint
        assert len(lost.value.message) < 300
        start = stream.position
    with pytest.raises(ResyncRequired), closing(_at(source, start)) as again:
        read(again, seen)
    assert sum(paused) == 0, "no try can change it"


def _at(source: Source, start: Any) -> ChangeStream:
    return ChangeStream(source.client, source.db, server_info(source.client, source.db), start=start, batch_size=100)


def fail(source: Source, command: str, code: int, times: int) -> None:
    data = {"failCommands": [command], "errorCode": code}
    source.client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)


@pytest.mark.parametrize("code", [8, 1, 7_654_321])
def test_an_unknown_refusal_is_overcome_or_found_final_at_the_third_try(own_mongo: MongoReplicaSet, code: int) -> None:
    with fresh_source(own_mongo) as source:
        paused: list[float] = []
        with stream_of(source, paused) as stream:
            source.db.things.insert_many([{"_id": 1}, {"_id": 2}])
            fail(source, "getMore", code, 2)
            seen: list[Any] = []
            read(stream, seen)
            assert seen == [1, 2]
            assert len(paused) == 2
            source.db.things.insert_one({"_id": 3})
            fail(source, "getMore", code, 3)
            with pytest.raises(ResyncRequired, match=f"code {code}"):
                read(stream, seen)
            assert seen == [1, 2]


def test_an_unknown_refusal_to_open_is_fatal_without_a_position_and_a_lost_one_with_it(
    own_mongo: MongoReplicaSet,
) -> None:
    with fresh_source(own_mongo) as source:
        info = server_info(source.client, source.db)
        with stream_of(source, []) as stream:
            start = stream.position
        fail(source, "aggregate", 8, 1)
        with pytest.raises(Fatal, match=r"refused aggregate \(code 8"):
            stream_of(source, [], info)
        fail(source, "aggregate", 8, 3)
        with pytest.raises(ResyncRequired):
            ChangeStream(source.client, source.db, info, start=start, batch_size=1, pause=lambda _: None)
