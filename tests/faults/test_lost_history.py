"""The position is gone from MongoDB's history: everything is read again, and what was missed is made up for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from bson import Timestamp
from psycopg.types.json import Jsonb

from replicator_service.configuration.settings import OnHistoryLost
from replicator_service.core.mapping.model import ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.runtime.state.health import Role, State
from replicator_service.sink.control.lease import HELD, NAMESPACE
from replicator_service.sink.control.requests import add_request
from tests.support.databases import Sink, Source, fresh_source
from tests.support.load import Load
from tests.support.replication import Replication, assert_same_documents, replicating
from tests.support.servers import start_mongo
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devstack.mongo import MongoReplicaSet

LONG_AGO, FAR_OFF = 1_500_000_000, 2_100_000_000


@pytest.fixture(scope="module")
def own_mongo() -> Iterator[MongoReplicaSet]:
    """Fail points hold for a whole server."""
    with start_mongo() as server:
        yield server


def token_of(time: Timestamp) -> str:
    """A resume token without an event: the server makes such ones while nothing happens."""
    return f"82{time.time:08X}{time.inc:08X}2B0429296E1404"


def set_position(sink: Sink, seconds: int) -> None:
    """Move a checkpoint to another time, as if the service had been away since."""
    with sink.connect() as connection:
        connection.execute(
            "update replicator.checkpoint set cluster_time = %s, resume_token = %s",
            (seconds << 32, Jsonb({"_data": token_of(Timestamp(seconds, 1))})),
        )


def change_everything(source: Source) -> None:
    """What a stream that goes on elsewhere never hears of."""
    source.db.things.delete_many({"_id": {"$lt": 5}})
    source.db.things.update_many({}, {"$set": {"seen": False}})
    source.db.things.insert_one({"_id": "new"})
    source.db.gone.drop()
    source.db.fresh.insert_one({"_id": 1})
    source.db.moved.rename("elsewhere")


def prepare(source: Source) -> None:
    for name in ("things", "gone", "moved"):
        source.db[name].insert_many([{"_id": n} for n in range(10)])


def assert_all_same(source: Source, sink: Sink) -> None:
    assert assert_same_documents(source, sink, "things") == 6
    assert assert_same_documents(source, sink, "gone") == 0
    assert assert_same_documents(source, sink, "fresh") == 1
    assert assert_same_documents(source, sink, "moved") == 0
    assert assert_same_documents(source, sink, "elsewhere") == 10


@pytest.mark.parametrize("seconds", [LONG_AGO, FAR_OFF], ids=["long ago", "in the future"])
def test_a_position_outside_the_history_is_made_up_for_by_reading_everything(
    source: Source, sink: Sink, seconds: int
) -> None:
    prepare(source)
    replication = Replication(source, sink)
    replication.start()
    try:
        replication.catch_up()
        replication.stop()
        change_everything(source)
        set_position(sink, seconds)
        replication.start()
        wait_until(
            lambda: any(line == "history lost" for line, _ in replication.log.lines),
            message="the service to notice that history is lost",
        )
        replication.catch_up()
        assert_all_same(source, sink)
    finally:
        replication.stop()


@pytest.mark.parametrize("code", [286, 280, 260])
def test_history_that_is_lost_while_streaming_is_made_up_for_under_load(
    own_mongo: MongoReplicaSet, sink: Sink, code: int
) -> None:
    with (
        fresh_source(own_mongo) as source,
        replicating(source, sink) as replication,
        Load(source.uri, source.name) as load,
    ):
        load.go_on()
        replication.catch_up()
        source.client.admin.command(
            "configureFailPoint",
            "failCommand",
            mode={"times": 1},
            data={"failCommands": ["getMore"], "errorCode": code, "appName": "replicator"},
        )
        wait_until(lambda: any(line == "history lost" for line, _ in replication.log.lines))
        load.go_on()
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_a_service_that_shall_stop_waits_for_a_person_and_goes_on_after_a_resync(source: Source, sink: Sink) -> None:
    prepare(source)
    replication = Replication(source, sink, on_history_lost=OnHistoryLost.STOP)
    replication.start()
    try:
        replication.catch_up()
        replication.stop()
        change_everything(source)
        set_position(sink, LONG_AGO)
        replication.start()
        wait_until(lambda: replication.health.report().state is State.RESYNC_REQUIRED, message="resync_required")
        # It must say so for as long as nobody decides, also after a restart.
        replication.stop()
        replication.start()
        report = wait_until(
            lambda: found if (found := replication.health.report()).state is State.RESYNC_REQUIRED else None
        )
        assert report is not None
        assert report.error is not None
        assert report.error.hint
        assert rows(sink, source) == 10, "nothing is changed before somebody decides"
        with sink.connect() as connection:
            add_request(connection, source.name, "resync", None)
        replication.catch_up()
        assert_all_same(source, sink)
    finally:
        replication.stop()


def rows(sink: Sink, source: Source) -> int:
    with sink.connect() as connection:
        return connection.execute(f'select from "{source.name}".things').rowcount


def test_letters_of_documents_that_went_unseen_are_settled(source: Source, sink: Sink) -> None:
    mapping = Mapping((TypedCollection("things", "things", (MappedColumn("n", ("n",), ColumnType.BIGINT),), ()),))
    replication = Replication(source, sink, mapping)
    replication.start()
    try:
        source.db.things.insert_one({"_id": 1, "n": 1})
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute(f'alter table "{source.name}".things add constraint small check (n < 10)')
        source.db.things.insert_many([{"_id": 2, "n": 20}, {"_id": 3, "n": 30}])
        replication.catch_up()
        assert replication.health.report().dead_letters == 2
        replication.stop()
        source.db.things.delete_one({"_id": 2})
        set_position(sink, LONG_AGO)
        replication.start()
        report = replication.catch_up()
        with sink.connect() as connection:
            dead_letters = connection.execute("select source_id from replicator.dead_letter").fetchall()
        assert dead_letters == [("$number:3",)]
        assert report.dead_letters == 1
    finally:
        replication.stop()


CUT_OFF = f"{HELD} select pg_terminate_backend(pid) from holder"  # noqa: S608 - constants alone


def losses_seen(replication: Replication) -> int:
    """How many terms this instance has begun: each sees that the history is lost, and says so once."""
    return sum(line == "history lost" for line, _ in replication.log.lines)


def has_begun(instances: Sequence[Replication], terms: int) -> bool:
    """Whether one of them leads anew."""
    return sum(map(losses_seen, instances)) > terms


def test_a_term_decides_from_what_is_stored_and_not_from_what_this_process_once_saw(source: Source, sink: Sink) -> None:
    """The first instance sees the loss and is cut off; the second one repairs it; then the first one leads again."""
    prepare(source)
    first, second = (Replication(source, sink, on_history_lost=OnHistoryLost.STOP) for _ in range(2))
    first.start()
    try:
        first.catch_up()
        first.stop()
        set_position(sink, LONG_AGO)
        first.start()
        wait_until(lambda: first.health.report().state is State.RESYNC_REQUIRED, message="the first one to wait")
        assert first.health.report().role is Role.LEADER, "it holds the lease while it waits"
        second.start()
        wait_until(lambda: second.health.report().state is State.STANDBY, message="the second one to stand by")
        with sink.connect() as connection:
            while not losses_seen(second):
                terms = losses_seen(first)
                connection.execute(CUT_OFF, {"lease": NAMESPACE + source.name})
                wait_until(partial(has_begun, (first, second), terms), message="another term")
            add_request(connection, source.name, "resync", None)
        second.catch_up()
        wait_until(lambda: first.health.report().state is State.STANDBY, message="the first one to stand by")
        second.stop()
        source.db.things.insert_one({"_id": "later"})
        first.catch_up()
        assert assert_same_documents(source, sink, "things") == 11
    finally:
        second.stop()
        first.stop()


def test_an_instance_that_waits_for_a_person_shows_that_it_lives(source: Source, sink: Sink) -> None:
    """Otherwise a frozen one would keep its lease for ever."""
    prepare(source)
    replication = Replication(source, sink, on_history_lost=OnHistoryLost.STOP)
    replication.start()
    try:
        replication.catch_up()
        replication.stop()
        set_position(sink, LONG_AGO)
        replication.start()
        wait_until(lambda: replication.health.report().state is State.RESYNC_REQUIRED, message="resync_required")
        query = (
            "select state_change from pg_stat_activity "
            "where application_name = 'replicator writer' and datname = current_database()"
        )
        with sink.connect() as connection, sink.connect() as standby:
            seen = connection.execute(query).fetchone()
            wait_until(lambda: connection.execute(query).fetchone() != seen, message="the lease to be renewed")
            renews = connection.execute("select hashtextextended(%s, 0)", (f"replicator renews:{source.name}",))
            promised = renews.fetchone()
            assert promised is not None
            taken = standby.execute("select pg_try_advisory_lock(%s)", promised).fetchone()
            assert taken == (False,), "a standby may end it when it does not renew any more"
    finally:
        replication.stop()
