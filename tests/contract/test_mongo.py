"""What the service relies on in MongoDB, asked of the real server and of the simulator's model alike."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId
from bson.binary import Binary
from bson.timestamp import Timestamp

from replicator_service.core.errors import ResyncRequired, SnapshotUnavailable
from replicator_service.core.ports import CollectionKind
from replicator_service.core.position import Position
from replicator_service.source.read.opening import open_source
from simulation.mongo.replication import Abilities
from tests.contract.mongo_sides import ModelMongo, MongoSide, RealMongo, time_of
from tests.support.databases import fresh_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.ports import Cursor, Stream

Document = dict[str, Any]

IDS: tuple[Any, ...] = (
    *(1, Int64(2), 2.5, float("inf"), "1", "", "x", "X", True, False, None, Decimal128("7.5"), MinKey(), MaxKey()),
    *(Binary(b"b", 5), Binary(b"aa", 0), {"a": 1}, {"a": 1, "b": "2"}, {}, {"b": 0}, Timestamp(5, 1)),
    *(ObjectId("0123456789abcdef01234567"), "0123456789abcdef01234567"),
)


MODELS = {"model": Abilities(), "model without UUIDs": Abilities(takes_uuid=False)}


@pytest.fixture(params=["real", *MODELS])
def mongo(request: pytest.FixtureRequest) -> Iterator[MongoSide]:
    if request.param != "real":
        yield ModelMongo(MODELS[request.param])
        return
    with (
        fresh_source(request.getfixturevalue("mongo_server")) as source,
        closing(open_source(source.uri, source.name)) as port,
    ):
        yield RealMongo(source, port)


def documents(cursor: Cursor) -> list[Document]:
    with closing(cursor):
        return [document for reply in cursor for document in reply.documents]


def ids(cursor: Cursor) -> list[Any]:
    return [document["_id"] for document in documents(cursor)]


def drained(stream: Stream, mongo: MongoSide) -> list[Document]:
    """The events up to the present; the position is behind them."""
    mongo.elsewhere()
    until = mongo.source.operation_time()
    # The token of a new stream may name just this entry: it takes another one to be past it.
    mongo.elsewhere()
    events: list[Document] = []
    while stream.position.cluster_time < until and not stream.is_exhausted:
        answer = stream.poll(wait_ms=10)
        events += answer.reply.documents if answer.reply is not None else []
    return events


def kinds(events: list[Document]) -> list[str]:
    return [event["operationType"] for event in events]


def uuid_of(mongo: MongoSide, name: str) -> bytes:
    found = mongo.source.collection(name)
    assert found is not None
    assert found.uuid is not None
    return found.uuid


class TestTheBeginning:
    def test_a_new_stream_begins_at_an_entry_of_the_oplog(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        with closing(mongo.source.open_stream(None)) as stream:
            assert mongo.source.history_mark(stream.position.cluster_time) is not None

    def test_what_is_settled_is_everything_so_far(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        before = mongo.source.operation_time()
        settled = mongo.source.settled()
        assert before <= settled <= mongo.source.operation_time()


class TestReadsAtATime:
    def test_the_past_stays_as_it_was(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1, "n": 1})
        at = mongo.source.operation_time()
        mongo.update("a", 1, 2)
        mongo.put("a", {"_id": 2})
        cursor = mongo.source.by_ids("a", [1, 2], at=at)
        assert documents(cursor) == [{"_id": 1, "n": 1}]
        assert cursor.exact
        latest = mongo.source.by_ids("a", [1, 2], at=None)
        assert documents(latest) == [{"_id": 1, "n": 2}, {"_id": 2}]
        assert not latest.exact
        assert latest.read_time >= at

    def test_a_dropped_collection_reads_as_empty_unless_it_is_named_by_its_uuid(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        at, uuid = mongo.source.operation_time(), uuid_of(mongo, "a")
        mongo.drop("a")
        assert ids(mongo.source.by_ids("a", [1], at=at)) == []
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.by_ids("a", [1], at=at, uuid=uuid))

    def test_a_renamed_collection_reads_as_empty_and_cannot_be_read_under_its_new_name(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        at, uuid = mongo.source.operation_time(), uuid_of(mongo, "a")
        mongo.rename("a", "b")
        assert ids(mongo.source.by_ids("a", [1], at=at)) == []
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.by_ids("a", [1], at=at, uuid=uuid))
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.by_ids("b", [1], at=at, uuid=uuid))
        assert uuid_of(mongo, "b") == uuid
        assert ids(mongo.source.by_ids("b", [1], at=mongo.source.operation_time(), uuid=uuid)) == [1]

    def test_one_that_was_renamed_away_and_back_cannot_be_read_before(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        at, uuid = mongo.source.operation_time(), uuid_of(mongo, "a")
        mongo.rename("a", "b")
        mongo.rename("b", "a")
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.by_ids("a", [1], at=at, uuid=uuid))

    def test_one_that_was_made_anew_cannot_be_read_before(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        at, uuid = mongo.source.operation_time(), uuid_of(mongo, "a")
        mongo.drop("a")
        mongo.put("a", {"_id": 2})
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.by_ids("a", [1], at=at))
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.by_ids("a", [1], at=None, uuid=uuid))
        assert uuid_of(mongo, "a") != uuid

    def test_an_index_build_leaves_the_past_readable(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        at = mongo.source.operation_time()
        mongo.index("a")
        assert ids(mongo.source.by_ids("a", [1], at=at)) == [1]

    def test_a_capped_collection_has_no_past(self, mongo: MongoSide) -> None:
        mongo.create("a", CollectionKind.CAPPED)
        mongo.put("a", {"_id": 1})
        with pytest.raises(SnapshotUnavailable):
            ids(mongo.source.in_order("a", None, limit=5, at=mongo.source.operation_time()))
        assert ids(mongo.source.in_order("a", None, limit=5, at=None)) == [1]
        found = mongo.source.collection("a")
        assert found is not None
        assert found.kind is CollectionKind.CAPPED

    def test_several_collections_are_looked_up_together_and_one_without_a_past_spoils_no_other(
        self, mongo: MongoSide
    ) -> None:
        for name in ("a", "c"):
            mongo.put(name, {"_id": 1, "n": 1})
        mongo.create("b", CollectionKind.CAPPED)
        mongo.put("b", {"_id": 1})
        at = mongo.source.operation_time()
        mongo.update("c", 1, 2)
        first, capped, third = mongo.source.by_ids_in([("a", [1, 2]), ("b", [1]), ("c", [1])], at=at)
        assert isinstance(capped, SnapshotUnavailable)
        assert not isinstance(first, SnapshotUnavailable)
        assert not isinstance(third, SnapshotUnavailable)
        assert documents(third) == [{"_id": 1, "n": 1}]
        assert documents(first) == [{"_id": 1, "n": 1}]
        assert first.exact

    def test_what_never_was_reads_as_empty(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        at = mongo.source.operation_time()
        assert ids(mongo.source.in_order("none", None, limit=5, at=at)) == []
        assert mongo.source.last_id("none", at=at) is None
        assert mongo.source.collection("none") is None
        assert mongo.source.estimate("none") == 0


class TestOrder:
    def test_every_kind_of_id_is_in_one_order(self, mongo: MongoSide) -> None:
        for each in IDS:
            mongo.put("a", {"_id": each})
        at = mongo.source.operation_time()
        in_order = ids(mongo.source.in_order("a", None, limit=100, at=at))
        assert in_order == [
            MinKey(), None, 1, 2, 2.5, Decimal128("7.5"), float("inf"),
            "", "0123456789abcdef01234567", "1", "X", "x", {}, {"a": 1}, {"a": 1, "b": "2"}, {"b": 0},
            Binary(b"b", 5), b"aa", ObjectId("0123456789abcdef01234567"), False, True, Timestamp(5, 1), MaxKey(),
        ]  # fmt: skip
        assert ids(mongo.source.ids_in_order("a", at=at)) == in_order
        assert mongo.source.estimate("a") == len(IDS)

    def test_a_place_leads_to_what_is_behind_it(self, mongo: MongoSide) -> None:
        for each in IDS:
            mongo.put("a", {"_id": each})
        at = mongo.source.operation_time()
        everything = ids(mongo.source.in_order("a", None, limit=100, at=at))
        place, seen = None, []
        while True:
            cursor = mongo.source.in_order("a", place, limit=2, at=at)
            with closing(cursor):
                keys = [reply.key(number) for reply in cursor for number in range(len(reply.documents))]
            seen += keys
            if len(keys) < 2:
                break
            place = keys[-1]
        assert len(seen) == len(everything)
        assert mongo.source.last_id("a", at=at) == seen[-1]

    def test_equal_numbers_are_one_id(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        mongo.put("a", {"_id": 1.0, "n": 2})
        at = mongo.source.operation_time()
        found = documents(mongo.source.by_ids("a", [Int64(1)], at=at))
        assert [each["n"] for each in found] == [2]
        assert type(found[0]["_id"]) is float
        mongo.update("a", Int64(1), 3)
        found = documents(mongo.source.by_ids("a", [1], at=mongo.source.operation_time()))
        assert [(each["n"], type(each["_id"])) for each in found] == [(3, float)]

    def test_only_ids_are_only_ids(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": "x", "n": 1})
        at = mongo.source.operation_time()
        assert documents(mongo.source.by_ids("a", ["x", "y"], at=at, only_ids=True)) == [{"_id": "x"}]


class TestStream:
    def test_a_new_stream_begins_with_what_comes_next(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 0})
        with closing(mongo.source.open_stream(None)) as stream:
            at = stream.position.cluster_time
            mongo.put("a", {"_id": 1})
            events = drained(stream, mongo)
        assert [event["documentKey"]["_id"] for event in events] == [1]
        assert time_of(events[0]) > at

    def test_events_say_what_happened(self, mongo: MongoSide) -> None:
        mongo.create("a")
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.put("a", {"_id": 1, "n": 1})
            mongo.update("a", 1, 2)
            mongo.put("a", {"_id": 1, "n": 3})
            mongo.delete("a", 1)
            events = drained(stream, mongo)
        assert kinds(events) == ["insert", "update", "replace", "delete"]
        assert [event.get("fullDocument") for event in events] == [{"_id": 1, "n": 1}, None, {"_id": 1, "n": 3}, None]
        assert all(event["ns"]["coll"] == "a" and "txnNumber" not in event for event in events)

    def test_a_transaction_has_one_time_and_names_itself(self, mongo: MongoSide) -> None:
        mongo.create("a")
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.transaction([("a", {"_id": number}) for number in range(3)])
            events = drained(stream, mongo)
        assert len({time_of(event) for event in events}) == 1
        assert all("txnNumber" in event for event in events)

    def test_tokens_are_in_order_and_lead_to_what_is_behind_them(self, mongo: MongoSide) -> None:
        mongo.create("a")
        with closing(mongo.source.open_stream(None)) as stream:
            start = stream.position
            mongo.put("a", {"_id": 1})
            mongo.transaction([("a", {"_id": number}) for number in range(2, 5)])
            mongo.elsewhere()
            mongo.put("a", {"_id": 5})
            events = drained(stream, mongo)
            end = stream.position
        tokens = [start.resume_token, *(event["_id"] for event in events), end.resume_token]
        texts = [str(token["_data"]) for token in tokens]
        assert texts == sorted(texts)
        assert len(set(texts)) == len(texts)
        for index, event in enumerate(events):
            with closing(mongo.source.open_stream(Position(event["_id"], time_of(event)))) as again:
                rest = drained(again, mongo)
            assert [each["documentKey"] for each in rest] == [each["documentKey"] for each in events[index + 1 :]]

    def test_an_idle_stream_moves_with_the_oplog(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        with closing(mongo.source.open_stream(None)) as stream:
            before = stream.position
            assert drained(stream, mongo) == []
            assert stream.position.cluster_time > before.cluster_time
            with closing(mongo.source.open_stream(stream.position)) as again:
                mongo.put("a", {"_id": 2})
                assert kinds(drained(again, mongo)) == ["insert"]

    @pytest.mark.needs_mongodb("6.0")
    def test_the_end_of_a_database_ends_the_stream_which_is_opened_again(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        mongo.put("b", {"_id": 1})
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.drop_database()
            events = drained(stream, mongo)
            assert kinds(events) == ["drop", "drop", "dropDatabase", "invalidate"]
            assert stream.is_exhausted
            stream.reopen()
            assert not stream.is_exhausted
            mongo.put("a", {"_id": 2})
            assert kinds(drained(stream, mongo)) == ["create", "insert"]

    def test_a_rename_over_another_collection_is_one_event(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        mongo.put("b", {"_id": 2})
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.rename("a", "b")
            events = drained(stream, mongo)
        assert kinds(events) == ["rename"]
        assert (events[0]["ns"]["coll"], events[0]["to"]["coll"]) == ("a", "b")

    @pytest.mark.needs_mongodb("6.0")
    def test_a_collection_is_created_by_its_first_document(self, mongo: MongoSide) -> None:
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.put("a", {"_id": 1})
            mongo.drop("a")
            events = drained(stream, mongo)
        assert kinds(events) == ["create", "insert", "drop"]

    @pytest.mark.needs_mongodb("6.0")
    def test_out_fills_a_temporary_collection_and_renames_it(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        mongo.put("out_source", {"_id": 0})
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.out("a", [{"_id": 2}])
            events = [event for event in drained(stream, mongo) if event["ns"]["coll"] != "out_source"]
        written = [event for event in events if event["operationType"] in ("create", "insert", "rename")]
        assert kinds(written)[0] == "create"
        assert kinds(written)[-1] == "rename"
        assert "insert" in kinds(written)
        assert all(event["ns"]["coll"].startswith("tmp") for event in written)
        assert written[-1]["to"]["coll"] == "a"

    @pytest.mark.needs_mongodb("6.0")
    def test_a_collection_becomes_capped_without_the_events_of_its_documents(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.to_capped("a")
            events = drained(stream, mongo)
        assert kinds(events) == ["create", "rename"]
        assert events[0]["operationDescription"]["capped"] is True
        assert events[1]["to"]["coll"] == "a"
        assert ids(mongo.source.in_order("a", None, limit=5, at=None)) == [1]


class TestHistory:
    def test_every_position_has_an_entry_of_the_oplog(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        with closing(mongo.source.open_stream(None)) as stream:
            mongo.put("a", {"_id": 2})
            drained(stream, mongo)
            mark = mongo.source.history_mark(stream.position.cluster_time)
        assert mark is not None
        assert mark.cluster_time == stream.position.cluster_time
        assert mongo.source.history_mark(mark.cluster_time + 1_000_000) is None

    def test_another_history_is_refused(self, mongo: MongoSide) -> None:
        mongo.put("a", {"_id": 1})
        with closing(mongo.source.open_stream(None)) as stream:
            drained(stream, mongo)
            position = stream.position
        mark = mongo.source.history_mark(position.cluster_time)
        assert mark is not None
        uuid = uuid_of(mongo, "a")
        with closing(mongo.source.open_stream(position, mark=mark, known={"a": uuid})):
            pass
        with pytest.raises(ResyncRequired):
            mongo.source.open_stream(position, mark=replace(mark, term=mark.term + 1))
        with pytest.raises(ResyncRequired):
            mongo.source.open_stream(replace(position, cluster_time=position.cluster_time + (3_600 << 32)))
