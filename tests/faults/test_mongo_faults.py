"""MongoDB dies, elects, hangs, interrupts and forgets its past: the tables end exactly equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient, WriteConcern

from devstack.proxy import TcpProxy
from replicator_service.pipeline.term import Limits
from tests.support.databases import Sink, Source, fresh_source
from tests.support.load import Load
from tests.support.replication import Replication, assert_same_documents, quick, replicating
from tests.support.servers import start_mongo
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.mongo import MongoReplicaSet


@pytest.fixture(scope="module")
def own_mongo() -> Iterator[MongoReplicaSet]:
    """A server that may be killed."""
    with start_mongo() as server:
        yield server


def noticed(replication: Replication, timeout: float = 15.0) -> None:
    """Wait until the service says that a server is away."""
    wait_until(
        lambda: replication.health.report().error is not None,
        timeout=timeout,
        message="the service to notice",
    )


def interrupt(source: Source, command: str) -> bool:
    """End a running command of the service, as an operator does with `killOp`."""
    wanted = {"appName": "replicator", "active": True, f"command.{command}": {"$exists": True}}
    found = list(source.client.admin.aggregate([{"$currentOp": {}}, {"$match": wanted}]))
    for operation in found:
        source.client.admin.command("killOp", op=operation["opid"])
    return bool(found)


def test_a_killed_mongodb_comes_back_and_the_stream_goes_on(own_mongo: MongoReplicaSet, sink: Sink) -> None:
    with (
        fresh_source(own_mongo) as source,
        replicating(source, sink) as replication,
        Load(source.uri, source.name) as load,
    ):
        load.go_on()
        replication.catch_up()
        own_mongo.kill()
        noticed(replication)
        own_mongo.restart()
        load.go_on()
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_elections_under_load_lose_nothing(mongo_three_nodes: MongoReplicaSet, sink: Sink) -> None:
    with (
        fresh_source(mongo_three_nodes) as source,
        replicating(source, sink) as replication,
        Load(source.uri, source.name) as load,
    ):
        load.go_on()
        replication.catch_up()
        mongo_three_nodes.step_down(2)
        load.go_on()
        killed = mongo_three_nodes.primary()
        mongo_three_nodes.kill(killed)
        load.go_on(timeout=40)
        mongo_three_nodes.restart(killed)
        load.go_on()
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_a_first_start_waits_for_the_majority(mongo_three_nodes: MongoReplicaSet, sink: Sink) -> None:
    """What only the primary has may be taken back: nothing is concluded from it."""
    primary = mongo_three_nodes.primary()
    others = [each.uri for number, each in enumerate(mongo_three_nodes.members) if number != primary]
    with fresh_source(mongo_three_nodes) as source:
        source.db.things.insert_many([{"_id": n} for n in range(10)])
        switch(others, "rsSyncApplyStop", "alwaysOn")
        try:
            source.db.things.with_options(write_concern=WriteConcern(w=1)).insert_one({"_id": 10})
            with replicating(source, sink) as replication:
                wait_until(
                    lambda: "the majority" in str(replication.health.report().error),
                    timeout=30,
                    message="the service to wait for the majority",
                )
                switch(others, "rsSyncApplyStop", "off")
                replication.catch_up()
                assert assert_same_documents(source, sink, "things") == 11
        finally:
            switch(others, "rsSyncApplyStop", "off")


def switch(addresses: list[str], failpoint: str, mode: str) -> None:
    for address in addresses:
        with MongoClient[dict[str, Any]](address) as client:
            client.admin.command({"configureFailPoint": failpoint, "mode": mode})


def test_a_cut_line_to_mongodb_is_opened_again(source: Source, sink: Sink, mongo_server: MongoReplicaSet) -> None:
    with (
        TcpProxy(mongo_server.port) as proxy,
        replicating(source, sink, mongo_uri=f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true") as replication,
        Load(source.uri, source.name) as load,
    ):
        for _ in range(3):
            load.go_on()
            proxy.reset()
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_interrupted_commands_are_only_a_pause(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication, Load(source.uri, source.name) as load:
        load.go_on()
        replication.catch_up()
        for _ in range(3):
            wait_until(lambda: interrupt(source, "getMore"), message="a command of the service")
            load.go_on(5)
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


@pytest.mark.parametrize("code", [43, 189, 211, 11601])
def test_passing_errors_are_waited_out(own_mongo: MongoReplicaSet, sink: Sink, code: int) -> None:
    with fresh_source(own_mongo) as source:
        source.db.things.insert_many([{"_id": n} for n in range(10)])
        with replicating(source, sink) as replication:
            replication.catch_up()
            fail(source, ["getMore", "find"], code)
            source.db.things.update_many({}, {"$set": {"a": 1}})
            replication.catch_up()
            assert assert_same_documents(source, sink, "things") == 10


def fail(source: Source, commands: list[str], code: int, times: int = 2) -> None:
    """Let the next commands of the service fail."""
    source.client.admin.command(
        "configureFailPoint",
        "failCommand",
        mode={"times": times},
        data={"failCommands": commands, "errorCode": code, "appName": "replicator"},
    )


@pytest.mark.parametrize("first", [True, False], ids=["before the first start", "while streaming"])
def test_a_server_without_a_past_makes_the_state_converge_and_then_exact(
    own_mongo: MongoReplicaSet, sink: Sink, *, first: bool
) -> None:
    with fresh_source(own_mongo) as source:
        remember(source, 0)
        try:
            if first:
                source.db.busy.insert_many([{"_id": n, "n": 0} for n in range(2_000)])
            with (
                Load(source.uri, source.name) as load,
                replicating(
                    source, sink, limits=quick(Limits(chunk_documents=200)), accept_inexact=True
                ) as replication,
            ):
                load.go_on()
                if not first:
                    replication.catch_up()
                load.go_on(40)
                load.stop()
                replication.catch_up()
                assert assert_same_documents(source, sink, "busy") > 50
        finally:
            remember(source, 300)


def remember(source: Source, seconds: int) -> None:
    """Set how far back the server can read."""
    source.client.admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=seconds)
