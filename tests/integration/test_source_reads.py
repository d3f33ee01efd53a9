"""Reads of the one door to MongoDB: the whole order of ``_id``, and never another collection than the one named."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bson
import pytest
from bson.binary import Binary
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from pymongo import MongoClient

from devstack.proxy import TcpProxy
from replicator_service.core.abilities import Ability, lacking
from replicator_service.core.errors import SnapshotUnavailable
from replicator_service.core.ports import CollectionKind
from replicator_service.core.position import Position, to_cluster_time
from replicator_service.source.connect.connection import ServerInfo, server_info
from replicator_service.source.read.mongo import MongoSource, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from replicator_service.core.ports import Cursor
    from tests.support.databases import Source

IDS: list[Any] = [
    MinKey(), None, 1, 2.5, Int64(2**60), Decimal128("1.1"), float("nan"), float("inf"), "a", "b", {}, {"a": 1},
    {"a": [1, 2]}, Binary(b"abc", 0), Binary(bytes(16), 4), ObjectId(), False, True, Timestamp(1, 1), Code("f"),
    Code("f", {"a": 1}), MaxKey(),
]  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clustered": {"clusteredIndex": {"key": {"_id": 1}, "unique": True}},
    "collated": {"collation": {"locale": "en", "strength": 1}},
}


@pytest.fixture
def door(source: Source) -> Iterator[MongoSource]:
    with closing(MongoSource(source.client, source.db, server_info(source.client, source.db), batch_size=7)) as opened:
        yield opened


@pytest.fixture(params=[True, False], ids=["by the server", "by the catalog"])
def proving(request: pytest.FixtureRequest, source: Source) -> Iterator[MongoSource]:
    """Both ways to prove which collection was read."""
    info = (
        server_info(source.client, source.db)
        if request.param
        else ServerInfo((5, 0, 0), lacking(Ability.COLLECTION_UUID))
    )
    with closing(MongoSource(source.client, source.db, info, batch_size=10)) as opened:
        yield opened


def keys(cursor: Cursor) -> list[bytes]:
    with closing(cursor):
        return [reply.key(ordinal) for reply in cursor for ordinal in range(reply.count)]


def uuid_of(door: MongoSource, name: str) -> bytes:
    found = door.collection(name)
    assert found is not None
    assert found.uuid is not None
    return found.uuid


@pytest.mark.parametrize(
    "kind",
    ["plain", "collated", pytest.param("clustered", marks=pytest.mark.needs_mongodb("6.0"))],
)
@pytest.mark.parametrize("is_at", [True, False], ids=["at a time", "now"])
def test_chunks_of_any_size_cover_every_type_of_key_once(
    source: Source, door: MongoSource, kind: str, *, is_at: bool
) -> None:
    source.db.create_collection("things", **KINDS[kind])
    source.db.things.insert_many([{"_id": each} for each in IDS])
    at = door.operation_time() if is_at else None
    whole = keys(door.ids_in_order("things", at=at))
    assert len(whole) == len(IDS)
    assert door.last_id("things", at=at) == whole[-1] == bson.encode({"_id": MaxKey()})
    for limit in (1, 2, 5, 30):
        found: list[bytes] = []
        chunk = keys(door.in_order("things", None, limit=limit, at=at))
        while chunk:
            assert len(chunk) <= limit
            found += chunk
            chunk = keys(door.in_order("things", chunk[-1], limit=limit, at=at))
        assert found == whole
    for place in range(1, len(whole)):
        parts = (Range(None, whole[place]), Range(whole[place], None))
        assert [
            key for part in parts for key in keys(door.documents("things", part, at=door.operation_time()))
        ] == whole


def test_a_document_as_large_as_documents_can_be_does_not_count_again(source: Source, door: MongoSource) -> None:
    size = 16 * 2**20 - len(bson.encode({"_id": 2, "text": ""}))
    source.db.things.insert_many([{"_id": 1}, {"_id": 2, "text": "x" * size}, {"_id": 3}])
    after = bson.encode({"_id": 2})
    assert keys(door.in_order("things", after, limit=5, at=door.operation_time())) == [bson.encode({"_id": 3})]


def test_a_key_that_is_another_number_now_is_the_same_place(source: Source, door: MongoSource) -> None:
    source.db.things.insert_many([{"_id": 1.0}, {"_id": 2}])
    after = bson.encode({"_id": 1})
    assert keys(door.in_order("things", after, limit=5, at=door.operation_time())) == [bson.encode({"_id": 2})]


def test_one_collection_is_found_by_its_whole_name(source: Source, door: MongoSource) -> None:
    source.db.create_collection("a.b c")
    source.db.create_collection("capped", capped=True, size=1_000)
    source.db.command({"create": "seen", "viewOn": "capped", "pipeline": []})
    listed = door.collections()
    for name in ("a.b c", "capped", "seen"):
        assert door.collection(name) == listed[name]
    assert listed["capped"].kind is CollectionKind.CAPPED
    assert door.collection("a") is None
    assert door.estimate("a.b c") == door.estimate("nothing") == 0


def test_a_capped_collection_is_never_read_at_a_time(source: Source, door: MongoSource) -> None:
    source.db.create_collection("capped", capped=True, size=10_000)
    source.db.capped.insert_one({"_id": 1})
    with pytest.raises(SnapshotUnavailable):
        door.in_order("capped", None, limit=1, at=door.operation_time())
    assert len(keys(door.in_order("capped", None, limit=1, at=None))) == 1


def drop(source: Source) -> None:
    source.db.things.drop()


def recreate(source: Source) -> None:
    source.db.things.drop()
    source.db.things.insert_one({"_id": "another"})


def rename(source: Source) -> None:
    source.db.things.rename("elsewhere")


def swap(source: Source) -> None:
    source.db.things.rename("elsewhere")
    source.db.other.insert_one({"_id": "another"})
    source.db.other.rename("things")


READS: dict[str, Callable[[MongoSource, int | None, bytes], list[bytes]]] = {
    "by ids": lambda door, at, uuid: keys(door.by_ids("things", [1, 2], at=at, uuid=uuid)),
    "in order": lambda door, at, uuid: keys(door.in_order("things", None, limit=5, at=at, uuid=uuid)),
    "ids": lambda door, at, uuid: keys(door.ids_in_order("things", at=at, uuid=uuid)),
    "last": lambda door, at, uuid: [door.last_id("things", at=at, uuid=uuid) or b""],
}


@pytest.mark.parametrize("change", [drop, recreate, rename, swap])
@pytest.mark.parametrize("is_at", [True, False], ids=["at a time", "now"])
def test_a_collection_that_is_not_the_one_any_more_is_never_read(
    source: Source, proving: MongoSource, change: Callable[[Source], None], *, is_at: bool
) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(100)])
    uuid = uuid_of(proving, "things")
    at = proving.operation_time() if is_at else None
    assert all(read(proving, at, uuid) for read in READS.values())
    change(source)
    for read in READS.values():
        with pytest.raises(SnapshotUnavailable):
            read(proving, at, uuid)


@pytest.mark.parametrize("change", [drop, recreate, rename, swap])
def test_a_collection_that_goes_while_it_is_read_is_not_taken_for_its_end(
    source: Source, proving: MongoSource, change: Callable[[Source], None]
) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(100)])
    uuid = uuid_of(proving, "things")
    cursor = proving.in_order("things", None, limit=100, at=proving.operation_time(), uuid=uuid)
    replies = iter(cursor)
    next(replies)
    change(source)
    with pytest.raises(SnapshotUnavailable):
        list(replies)


def test_a_name_that_was_another_collections_for_a_while_shows_nothing_of_it(
    source: Source, proving: MongoSource
) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(100)])
    uuid = uuid_of(proving, "things")
    at = proving.operation_time()
    swap(source)
    source.db.things.drop()
    source.db.elsewhere.rename("things")
    assert uuid_of(proving, "things") == uuid
    try:
        found = keys(proving.ids_in_order("things", at=at, uuid=uuid))
    except SnapshotUnavailable:
        found = []
    else:
        assert len(found) == 100


def test_the_mark_of_a_time_is_the_oplogs_entry(source: Source, door: MongoSource) -> None:
    source.db.things.insert_one({})
    at = door.operation_time()
    mark = door.history_mark(at)
    assert mark is not None
    assert mark.cluster_time == at
    assert mark.term >= 1
    assert abs(mark.wall / 1_000 - (at >> 32)) < 5
    assert door.history_mark(at - 2**32 * 86_400) is None
    assert mark == replace(mark)


@pytest.mark.needs_mongodb("6.0")
def test_a_stream_tells_whose_drop_it_is_and_takes_tokens_of_streams_that_did_not(
    source: Source, door: MongoSource
) -> None:
    before: Any = [{"$project": {"collectionUUID": 0, "wallTime": 0, "lsid": 0, "updateDescription": 0}}]
    start: Any = [{"$changeStream": {"showExpandedEvents": True}}]
    large: Any = [{"$changeStreamSplitLargeEvent": {}}]
    command = {"aggregate": 1, "pipeline": start + before + large, "cursor": {"batchSize": 0}}
    old = source.db.command(command)["cursor"]["id"]
    source.db.things.insert_one({"_id": 1})
    uuid = uuid_of(door, "things")
    with source.client.start_session() as session, session.start_transaction():
        source.db.things.insert_many([{"_id": 2}, {"_id": 3}], session=session)
    source.db.things.update_one({"_id": 1}, {"$set": {"a": 1}})
    source.db.things.rename("others")
    source.db.others.drop()
    more = {"getMore": old, "collection": "$cmd.aggregate", "maxTimeMS": 1_000}
    batch = source.db.command(more)["cursor"]["nextBatch"]
    assert [event["operationType"] for event in batch] == [
        "create",
        "insert",
        "insert",
        "insert",
        "update",
        "rename",
        "drop",
    ]
    for place, event in enumerate(batch):
        position = Position(event["_id"], to_cluster_time(event["clusterTime"]))
        with closing(door.open_stream(position)) as stream:
            seen: list[Any] = []
            while (answer := stream.poll(wait_ms=50)).reply is not None:
                seen += answer.reply.documents
        assert [each["operationType"] for each in seen] == [each["operationType"] for each in batch[place + 1 :]]
        for each in seen:
            is_whole = each["operationType"] in ("create", "drop", "rename")
            assert each.get("collectionUUID") == (Binary(uuid, 4) if is_whole else None)


def test_look_ups_in_several_collections_of_a_far_server_do_not_wait_for_each_other(source: Source) -> None:
    names = [f"c{number}" for number in range(4)]
    for name in names:
        source.db[name].insert_many([{"_id": number} for number in range(20)])
    member = source.client.address
    assert member is not None
    with TcpProxy(member[1], round_trip=0.5) as proxy:
        uri = source.uri.replace(f":{member[1]}", f":{proxy.port}").split("?")[0] + "?directConnection=true"
        with MongoClient[dict[str, Any]](uri) as client:
            database = client[source.name]
            # Of five documents a reply, so that each cursor is read on where it was opened.
            with closing(MongoSource(client, database, server_info(client, database), batch_size=5)) as far:
                at = far.operation_time()
                wanted = [(name, list(range(20))) for name in names]
                far.by_ids_in(wanted, at=at)
                began = time.monotonic()
                cursors = far.by_ids_in(wanted, at=at)
                assert time.monotonic() - began < 1.5
                for cursor in cursors:
                    assert not isinstance(cursor, SnapshotUnavailable)
                    assert sum(reply.count for reply in cursor) == 20
