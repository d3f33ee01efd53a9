"""A server that rightly takes long: the deadline grows until the answer gets through."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from devstack.proxy import TcpProxy
from replicator_service.core.errors import NoAnswer, Retryable
from replicator_service.source.connect.connection import connect, read_only_database, server_info
from replicator_service.source.connect.deadline import Deadline
from replicator_service.source.read.change_stream import ChangeStream
from replicator_service.source.read.mongo import MongoSource
from tests.support.databases import fresh_source
from tests.support.servers import start_mongo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Source


@pytest.fixture(scope="module")
def own_mongo() -> Iterator[MongoReplicaSet]:
    """Fail points hold for a whole server."""
    with start_mongo() as server:
        yield server


def slow_down(source: Source, command: str, milliseconds: int, times: int) -> None:
    """The server takes so long for the next commands of this name."""
    data = {"failCommands": [command], "blockConnection": True, "blockTimeMS": milliseconds}
    source.client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)


def test_a_stream_that_is_slow_gets_twice_the_time_after_each_deadline(own_mongo: MongoReplicaSet) -> None:
    with fresh_source(own_mongo) as source, closing(connect(source.uri)) as client:
        database = read_only_database(client, source.name)
        stream = ChangeStream(client, database, server_info(client, database), start=None, batch_size=10)
        stream._deadline = Deadline(0.2)
        source.db.things.insert_one({"_id": 1})
        slow_down(source, "getMore", 700, 10)
        waited = 0
        while True:
            try:
                answer = stream.poll(wait_ms=50)
            except NoAnswer:
                waited += 1
                stream.reopen()
            else:
                break
        source.client.admin.command("configureFailPoint", "failCommand", mode="off")
        assert waited == 2
        assert answer.reply is not None
        assert stream._deadline.seconds > 1.0
        stream.close()


def test_a_read_that_is_slow_gets_through(own_mongo: MongoReplicaSet) -> None:
    with fresh_source(own_mongo) as source, closing(connect(source.uri)) as client:
        source.db.things.insert_one({"_id": 1})
        info = server_info(client, client[source.name])
        with closing(MongoSource(client, read_only_database(client, source.name), info)) as door:
            door._line.deadline.__init__(0.2)  # type: ignore[misc]  # a limit for this test alone
            at = door.operation_time()
            slow_down(source, "find", 700, 10)
            found = door.last_id("things", at=at)
            source.client.admin.command("configureFailPoint", "failCommand", mode="off")
        assert found is not None


def test_a_read_from_a_server_that_is_gone_ends_with_its_deadline(own_mongo: MongoReplicaSet) -> None:
    with (
        TcpProxy(own_mongo.port) as proxy,
        fresh_source(own_mongo) as source,
        closing(connect(f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true")) as client,
    ):
        door = MongoSource(client, read_only_database(client, source.name), server_info(client, client[source.name]))
        door._line.deadline.__init__(0.5)  # type: ignore[misc]  # a limit for this test alone
        proxy.deaf()
        ended = threading.Event()

        def read() -> None:
            with pytest.raises(Retryable):
                door.last_id("things", at=1)
            ended.set()

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(10.0)
        proxy.reset()
        assert ended.is_set()
