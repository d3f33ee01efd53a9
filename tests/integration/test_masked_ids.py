"""An ``_id`` that is masked is nowhere, and its document is found again: whatever happens on the way."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
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
from pydantic import SecretStr

from replicator_service.core import compiled
from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.codec.key import encode_key
from replicator_service.core.failpoints import Window
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.reconcile.options import Options
from replicator_service.reconcile.run import reconcile
from replicator_service.sink.control.requests import add_request
from tests.integration.test_privacy import assert_nowhere, dead_letter_keys, everything, marker, reconciled, table
from tests.support.replication import Replication, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source

__all__ = ["marker"]

SECRET = "a key that is kept secret"
KEY: dict[str, Any] = {"mask_key": SecretStr(SECRET)}
MAPPING = """\
version: 1
collections:
  users:
    mask: {_id: hmac}
  people:
    keep_bson: always
    mask: {_id: hmac}
    columns: {person: {path: _id, type: text}, name: text}
    children: {parts: {columns: {size: integer}}}
  orders:
    mask: {user: hmac}
    columns: {user: text}
"""


def mapping(text: str = MAPPING) -> Any:
    return load_mapping(text, name="mapping")


def masked(source_id: Any, secret: str = SECRET) -> str:
    """The key of the row of a document: computed here by what the documents say of it."""
    decoded = bson.decode(bson.encode({"_id": source_id}), CODEC_OPTIONS)["_id"]
    return hmac.new(secret.encode(), encode_key(decoded).encode(), hashlib.sha256).hexdigest()


def ids_of(marker: str) -> list[Any]:
    """One of each kind, some of which a careless text would make the same."""
    return [
        ObjectId("507f1f77bcf86cd799439011"),
        "507f1f77bcf86cd799439011",
        1,
        "1",
        2.5,
        Int64(2**60),
        Decimal128("7.10"),
        True,
        None,
        datetime(2020, 1, 2, 3, 4, 5),  # noqa: DTZ001 - as MongoDB gives it
        Binary(b"\x01\x02", 4),
        Binary(marker.encode(), 0),
        Code(marker),
        {"who": marker, "n": 1},
        {"n": 1, "who": marker},
        marker,
        f"${marker}",
        f"{marker}\0x",
        marker * 30,
        "ü" + marker,
        MinKey(),
        MaxKey(),
    ]


def keys(sink: Sink, source: Source, name: str) -> set[str]:
    return {key for (key,) in table(sink, source, name, "_id")}


def expected(source: Source, name: str) -> set[str]:
    return {masked(each["_id"]) for each in source.db[name].with_options(CODEC_OPTIONS).find({}, {"_id": 1})}


def assert_same(replication: Replication, source: Source, sink: Sink, *names: str) -> None:
    for name in names:
        assert keys(sink, source, name) == expected(source, name)
    assert reconciled(replication) == 0


@pytest.mark.parametrize("path", ["auto", "off"])
def test_documents_of_every_kind_of_id_are_followed_and_their_ids_are_nowhere(
    source: Source, sink: Sink, marker: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compiled.choose(path)
    monkeypatch.setattr(compiled, "chosen", lambda: found)
    db = source.db
    db.users.insert_many([{"_id": each, "n": 0} for each in ids_of(marker)])
    db.people.insert_many([{"_id": each, "name": "x", "parts": [{"size": 1}, "y"]} for each in ids_of(marker)])
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        assert_same(replication, source, sink, "users", "people")
        assert len(keys(sink, source, "users")) == len(ids_of(marker))
        for collection in (db.users, db.people):
            collection.update_many({}, {"$set": {"n": 1}})
            collection.replace_one({"_id": marker}, {"replaced": True})
            collection.insert_one({"_id": f"{marker}-new", "name": "new"})
            collection.delete_one({"_id": {"who": marker, "n": 1}})
            collection.delete_one({"_id": "507f1f77bcf86cd799439011"})
        with source.client.start_session() as session, session.start_transaction():
            for number in range(30):
                db.users.insert_one({"_id": f"{marker}{number}"}, session=session)
            db.users.update_many({"_id": {"$regex": "^[a-z]"}}, {"$set": {"n": 2}}, session=session)
            db.users.delete_one({"_id": f"{marker}7"}, session=session)
        replication.catch_up()
        assert_same(replication, source, sink, "users", "people")
        persons = dict(table(sink, source, "people", "_id", "person"))
        assert all(key == person for key, person in persons.items())
        assert_nowhere(marker, everything(sink), str(replication.log.lines), str(replication.health.report()))


def test_a_masked_id_joins_what_refers_to_it(source: Source, sink: Sink) -> None:
    users: list[Any] = [ObjectId(), 7, "U-1", "$x", Int64(8), 9.0, Decimal128("10"), True, Binary(b"0" * 16, 4)]
    source.db.users.insert_many([{"_id": each} for each in users])
    source.db.orders.insert_many([{"user": each} for each in [*users, str(users[0]), "nobody"]])
    joined = "select count(distinct u._id) from {0}.users as u inner join {0}.orders as o on o.{1} = u._id"
    plain = mapping(MAPPING.replace("mask: {_id: hmac}", "exclude: [x]").replace("mask: {user: hmac}", ""))
    counts = []
    for each in (plain, mapping()):
        with replicating(source, sink, each, **KEY) as replication:
            replication.catch_up()
        with sink.connect() as connection:
            counts.append(connection.execute(joined.format(f'"{source.name}"', '"user"')).fetchone())
    assert counts[0] == counts[1]
    assert counts[0] is not None
    assert counts[0][0] == len(users) - 1  # "$x" reads as itself in a column


def test_a_position_never_names_a_document_and_nothing_is_missed_behind_it(
    source: Source, sink: Sink, marker: str
) -> None:
    """It is kept by its time: the stream goes on with the next one, also where nothing has happened since."""
    replication = Replication(source, sink, mapping(), **KEY)
    tokens: list[tuple[str, int]] = []
    for number in range(4):
        replication.start()
        replication.catch_up()
        replication.stop()
        with sink.connect() as connection:
            tokens += connection.execute("select resume_token ->> '_data', cluster_time from replicator.checkpoint")
        # While nobody looks.
        with source.client.start_session() as session, session.start_transaction():
            for each in range(3):
                source.db.users.insert_one({"_id": f"{marker}{number}{each}"}, session=session)
        source.db.users.update_one({"_id": f"{marker}{number}1"}, {"$set": {"seen": True}})
    replication.start()
    replication.catch_up()
    assert_same(replication, source, sink, "users")
    assert len(keys(sink, source, "users")) == 12
    replication.stop()
    assert all(len(token) == 18 for token, _ in tokens)
    assert len({time for _, time in tokens}) == 4


def test_a_snapshot_goes_on_after_a_crash_and_a_resync_sees_deletes(source: Source, sink: Sink, marker: str) -> None:
    source.db.users.insert_many([{"_id": f"{marker}{number}", "n": number} for number in range(3_000)])
    replication = Replication(source, sink, mapping(), chunk_rows=500, **KEY)
    replication.limits = replication.limits.__class__(
        **{
            name: getattr(replication.limits, name)
            for name in replication.limits.__dataclass_fields__
            if name not in {"range_documents", "chunk_documents"}
        },
        range_documents=900,
        chunk_documents=500,
    )
    replication.failpoints.arm(Window.AFTER_CHUNK_READ, 4)
    replication.start()
    wait_until(replication.failpoints.crashed.is_set, message="the crash")
    with sink.connect() as connection:
        ranges = connection.execute("select place, upto from replicator.snapshot_range").fetchall()
    assert any(place is not None for place, _ in ranges)
    assert_nowhere(marker, everything(sink))
    replication.catch_up()
    assert_same(replication, source, sink, "users")
    with sink.connect() as connection:
        add_request(connection, source.name, "pause", "users")
        wait_until(lambda: connection.execute("select handled_at from replicator.request").fetchone() != (None,))
        source.db.users.delete_many({"n": {"$lt": 700}})
        add_request(connection, source.name, "resume", "users")
        query = "select count(*) from replicator.request where handled_at is null"
        wait_until(lambda: connection.execute(query).fetchone() == (0,), message="the resync to begin")
    replication.catch_up()
    assert len(keys(sink, source, "users")) == 2_300
    assert_same(replication, source, sink, "users")
    replication.stop()
    assert_nowhere(marker, everything(sink), str(replication.log.lines))


def test_what_is_damaged_is_repaired(source: Source, sink: Sink, marker: str) -> None:
    source.db.people.insert_many([{"_id": f"{marker}{number}", "name": "right"} for number in range(50)])
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            name = f'"{source.name}".people'
            for statement in (
                f"delete from {name} where _id < '4'",  # noqa: S608 - a name of ours
                f"update {name} set name = 'wrong' where _id < '8'",  # noqa: S608 - a name of ours
                f"insert into {name} (_id, etl_valid_from) values ('{'0' * 64}', now())",  # noqa: S608 - a name of ours
            ):
                connection.execute(statement)
        result = reconcile(replication.settings, replication.mapping, options=Options(repair=True), helpers=0)
        assert sum(part.differences for part in result.parts) > 2
        assert_same(replication, source, sink, "people")
        assert {name for (name,) in table(sink, source, "people", "name")} == {"right"}
        assert_nowhere(marker, everything(sink), str(result))


def test_a_refused_document_is_written_when_it_is_retried(source: Source, sink: Sink, marker: str) -> None:
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            name = f'"{source.name}".people'
            connection.execute(f"alter table {name} add constraint short check (name <> 'bad') not valid")
            source.db.people.insert_many([{"_id": f"{marker}{each}", "name": "bad"} for each in range(3)])
            wait_until(lambda: dead_letter_keys(sink) == 3, message="the dead letters")
            assert_nowhere(marker, everything(sink))
            connection.execute(f"alter table {name} drop constraint short")
            source.db.people.update_one({"_id": f"{marker}0"}, {"$set": {"more": 1}})
            connection.execute("update replicator.dead_letter set retried_at = now()")
            add_request(connection, source.name, "retry", None)
            wait_until(lambda: dead_letter_keys(sink) == 0, message="the retry")
        replication.catch_up()
        assert_same(replication, source, sink, "people")


def test_collections_that_are_replaced_and_renamed(source: Source, sink: Sink, marker: str) -> None:
    source.db.users.insert_many([{"_id": f"{marker}{number}", "n": number} for number in range(40)])
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        source.db.users.aggregate([{"$match": {"n": {"$lt": 20}}}, {"$out": "users"}])
        replication.catch_up()
        assert_same(replication, source, sink, "users")
        assert len(keys(sink, source, "users")) == 20
        source.db.users.rename("others")
        source.db.others.rename("users")
        source.db.users.delete_one({"n": 3})
        replication.catch_up()
        assert_same(replication, source, sink, "users")
        source.db.users.drop()
        source.db.users.insert_one({"_id": marker})
        replication.catch_up()
        assert keys(sink, source, "users") == {masked(marker)}
        assert_nowhere(marker, everything(sink), str(replication.log.lines))


def test_a_mask_that_is_added_removes_every_plain_id(source: Source, sink: Sink, marker: str) -> None:
    source.db.users.insert_many([{"_id": f"{marker}{number}"} for number in range(30)])
    source.db.people.insert_many([{"_id": f"{marker}{number}", "parts": [{"size": 1}]} for number in range(30)])
    before = mapping(MAPPING.replace("mask: {_id: hmac}", "exclude: [x]"))
    with replicating(source, sink, before, **KEY) as replication:
        replication.catch_up()
    assert marker in everything(sink)
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        assert_same(replication, source, sink, "users", "people")
        assert len(keys(sink, source, "people_parts")) == 30
        assert_nowhere(marker, everything(sink))
    # And back, with another key on the way.
    with replicating(source, sink, before, **KEY) as replication:
        replication.catch_up()
        assert keys(sink, source, "users") == {f"{marker}{number}" for number in range(30)}


def test_another_key_gives_other_rows_once_a_resync_was_asked_for(source: Source, sink: Sink, marker: str) -> None:
    source.db.users.insert_many([{"_id": f"{marker}{number}"} for number in range(30)])
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
    source.db.users.delete_one({"_id": f"{marker}1"})
    with sink.connect() as connection:
        add_request(connection, source.name, "resync", None)
    other: dict[str, Any] = {"mask_key": SecretStr("another key that is kept secret")}
    with replicating(source, sink, mapping(), **other) as replication:
        wanted = {masked(f"{marker}{number}", "another key that is kept secret") for number in range(30) if number != 1}
        wait_until(lambda: keys(sink, source, "users") == wanted, message="the rows under the other key")
        replication.catch_up()
        assert reconciled(replication) == 0


def test_after_lost_history_missed_deletes_go(source: Source, sink: Sink, marker: str) -> None:
    source.db.users.insert_many([{"_id": f"{marker}{number}"} for number in range(30)])
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
    source.db.users.delete_many({"_id": {"$in": [f"{marker}1", f"{marker}2"]}})
    with sink.connect() as connection:
        # Of a time that no oplog reaches back to.
        connection.execute(
            "update replicator.checkpoint set cluster_time = 1::bigint << 32, "
            """resume_token = '{"_data": "820000000100000000"}'"""
        )
        connection.execute("delete from replicator.history_mark")
    with replicating(source, sink, mapping(), **KEY) as replication:
        replication.catch_up()
        assert_same(replication, source, sink, "users")
        assert len(keys(sink, source, "users")) == 28
