"""Reading from secondaries: the primary is spared, every cut is exact, and a member that lags is left in time."""

from __future__ import annotations

import json
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from replicator_service.app import monitor
from replicator_service.app.monitor import SourceWatch
from replicator_service.core.read_from import ReadFrom
from replicator_service.reconcile import Options, reconcile
from replicator_service.runtime.judgement.notices import notices
from replicator_service.runtime.judgement.service_view import Watch
from replicator_service.runtime.metrics.counters import Metrics
from replicator_service.source.connect import route
from tests.support.databases import fresh_source
from tests.support.load import Load
from tests.support.processes import Operator
from tests.support.replication import assert_same_documents, replicating
from tests.support.servers import start_mongo
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Sink, Source
    from tests.support.replication import Replication

pytestmark = pytest.mark.slow

ANALYTICS = "readPreference=secondary&readPreferenceTags=use:analytics"


@pytest.fixture(scope="module")
def members() -> Iterator[MongoReplicaSet]:
    """Three members; one secondary has the tag `use: analytics`."""
    with start_mongo(members=3) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            chosen = next(number for number in range(3) if number != server.primary())
            config["members"][chosen] |= {"tags": {"use": "analytics"}, "priority": 0}
            config["version"] += 1
            client.admin.command("replSetReconfig", config)
        yield server


def analytics(server: MongoReplicaSet) -> int:
    """The number of the tagged member: it is never elected."""
    with direct(server, server.primary()) as client:
        config = client.admin.command("replSetGetConfig")["config"]
    return next(number for number, each in enumerate(config["members"]) if each.get("tags"))


@pytest.fixture
def source(members: MongoReplicaSet) -> Iterator[Source]:
    with fresh_source(members) as database:
        yield database


@contextmanager
def direct(server: MongoReplicaSet, member: int) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](server.members[member].uri) as client:
        yield client


@contextmanager
def not_applying(server: MongoReplicaSet, member: int) -> Iterator[None]:
    """The member takes in the oplog and applies nothing of it."""
    with direct(server, member) as client:
        client.admin.command("configureFailPoint", "rsSyncApplyStop", mode="alwaysOn")
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "rsSyncApplyStop", mode="off")


@contextmanager
def every_command_logged(server: MongoReplicaSet, member: int) -> Iterator[None]:
    """The member writes each command into its log; its counters count also what it asks of itself."""
    with direct(server, member) as client:
        client.admin.command("profile", 0, slowms=-1)
        try:
            yield
        finally:
            client.admin.command("profile", 0, slowms=100)


def reads_at(server: MongoReplicaSet, member: int) -> list[dict[str, Any]]:
    """The reads of the service, of documents and of the oplog, in a member's log."""
    found = []
    for line in server.members[member].log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        told = entry.get("attr", {})
        if entry["msg"] == "Slow query" and str(told.get("appName")).startswith("replicator"):
            command = told.get("command", {})
            if next(iter(command), None) in ("find", "getMore", "aggregate", "count"):
                found.append(command)
    return found


def compared(replication: Replication) -> int:
    """The differences that a comparison on the primary finds at the checkpoint of the moment."""
    settings = replication.settings.model_copy(update={"read_from": ReadFrom.PRIMARY})
    return reconcile(settings, replication.mapping, options=Options(timeout_seconds=20.0)).differences


@contextmanager
def watching(replication: Replication) -> Iterator[tuple[SourceWatch, Watch]]:
    """What looks at MongoDB beside the service, whenever it is told to; closed however the block ends."""
    watch = Watch(replication.health, clock=time.monotonic)
    with closing(SourceWatch(replication.settings, watch)) as watched:
        yield watched, watch


def test_the_primary_is_spared_by_a_load_the_stream_a_reconciliation_and_an_inference(
    members: MongoReplicaSet, source: Source, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "FALL_BACK_SECONDS", 60.0)
    monkeypatch.setattr(monitor, "SLOW_TURNS", 1)
    primary = members.primary()
    source.db.things.insert_many([{"_id": n, "n": 0} for n in range(5_000)])
    operator = Operator(
        {
            "REPLICATOR_MONGO_URI": members.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_READ_FROM": "secondary",
        },
        tmp_path,
    )
    with (
        every_command_logged(members, primary),
        replicating(source, sink, read_from=ReadFrom.SECONDARY) as replication,
        watching(replication) as (watched, _),
    ):
        replication.catch_up(60.0)
        assert operator.replicator("resync", "things").exit_code == 0
        for number in range(20):
            source.db.things.update_many({"_id": {"$lt": 2_000}}, {"$set": {"n": number + 1}})
        replication.catch_up(60.0)
        # As after an outage: with another client.
        for _ in range(2):
            watched.poll()
            watched.close()
        assert operator.replicator("reconcile", "--deep").exit_code == 0
        assert operator.replicator("mapping", "infer").exit_code == 0
        report = replication.health.report()
    assert reads_at(members, primary) == []
    assert report.reading.spares_primary
    assert report.reading.member is not None
    assert report.fallbacks == 0
    assert_same_documents(source, sink, "things")


def test_tags_of_the_address_choose_the_member(members: MongoReplicaSet, source: Source, sink: Sink) -> None:
    source.db.things.insert_one({"_id": 1})
    with replicating(source, sink, mongo_uri=f"{members.uri}&{ANALYTICS}") as replication:
        replication.catch_up()
        member = replication.health.report().reading.member
        port = members.members[analytics(members)].port
        assert member == f"127.0.0.1:{port}"
    assert_same_documents(source, sink, "things")


def test_a_tag_that_no_member_has_means_the_primary_and_is_counted(
    members: MongoReplicaSet, source: Source, sink: Sink
) -> None:
    source.db.things.insert_one({"_id": 1})
    uri = f"{members.uri}&readPreference=secondary&readPreferenceTags=use:nothing"
    with replicating(source, sink, mongo_uri=uri) as replication:
        replication.catch_up()
        report = replication.health.report()
    assert (report.reading.member, report.fallbacks) == (None, 1)
    assert "no secondary that fits" in (report.reading.reason or "")


def test_a_member_that_stops_to_apply_is_left_and_no_cut_is_wrong(
    members: MongoReplicaSet, source: Source, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "FALL_BACK_SECONDS", 1.0)
    monkeypatch.setattr(route, "RETURN_SECONDS", 3.0)
    number = analytics(members)
    with (
        replicating(source, sink, mongo_uri=f"{members.uri}&{ANALYTICS}") as replication,
        Load(source.uri, source.name) as load,
    ):
        load.go_on()
        replication.catch_up()
        assert replication.health.report().reading.member is not None
        for _ in range(2):
            fallbacks = replication.health.report().fallbacks
            with not_applying(members, number):
                load.go_on(40)
                wait_until(
                    lambda before=fallbacks: replication.health.report().fallbacks > before,  # type: ignore[misc]  # mypy infers no default of a lambda
                    timeout=60.0,
                )
                load.go_on(20)
                assert "lags behind the primary" in (replication.health.report().reading.reason or "")
                assert compared(replication) == 0
            wait_until(lambda: replication.health.report().reading.member is not None, timeout=30.0)
            load.go_on(20)
            assert compared(replication) == 0
        load.stop()
        replication.catch_up()
    assert assert_same_documents(source, sink, "busy") > 50


def test_members_that_do_not_apply_are_told_by_the_check(
    members: MongoReplicaSet, source: Source, sink: Sink, tmp_path: Path
) -> None:
    operator = Operator(
        {
            "REPLICATOR_MONGO_URI": f"{members.uri}&{ANALYTICS}",
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
        },
        tmp_path,
    )

    def found(name: str) -> dict[str, Any]:
        told = json.loads(operator.replicator("check", "--json").stdout)["checks"]
        (only,) = [each for each in told if each["name"] == name]
        return dict(only)

    writes = source.db.get_collection("things", write_concern=WriteConcern(1))
    assert found("member that is read from")["level"] == "ok"
    with not_applying(members, analytics(members)):
        writes.insert_one({"_id": 1})
        lags = found("member that is read from")
        assert (lags["level"], "lags behind the primary" in lags["cause"]) == ("warn", True)
        assert found("mongodb majority")["level"] == "ok"
        other = next(n for n in range(3) if n not in (analytics(members), members.primary()))
        with not_applying(members, other):
            writes.insert_one({"_id": 2})
            lacks = found("mongodb majority")
            assert lacks["level"] == "fail"
            assert "majority of MongoDB's replica set has not got the latest write" in lacks["cause"]
            assert operator.replicator("check").exit_code == 3


def test_a_member_that_is_killed_is_left_and_nothing_is_lost(sink: Sink) -> None:
    with start_mongo(members=3) as server, fresh_source(server) as source:
        with (
            replicating(source, sink, read_from=ReadFrom.SECONDARY) as replication,
            Load(source.uri, source.name) as load,
        ):
            load.go_on()
            replication.catch_up()
            member = replication.health.report().reading.member
            assert member is not None
            killed = next(n for n in range(3) if str(server.members[n].port) == member.rpartition(":")[2])
            server.kill(killed)
            load.go_on(40)
            load.stop()
            replication.catch_up(60.0)
            assert replication.health.report().reading.member != member
        assert assert_same_documents(source, sink, "busy") > 50


def test_the_lag_is_that_behind_the_cluster_and_not_behind_the_member(
    members: MongoReplicaSet, source: Source, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that a busy machine does not look like a member that lags.
    monkeypatch.setattr(route, "FALL_BACK_SECONDS", 10.0)
    source.db.things.insert_one({"_id": 1})
    with (
        replicating(source, sink, mongo_uri=f"{members.uri}&{ANALYTICS}") as replication,
        watching(replication) as (watched, watch),
    ):
        metrics = Metrics(stream=source.name)
        metrics.show(watch.service_view)
        replication.catch_up(60.0)

        def lag() -> float:
            watched.poll()
            found = watch.service_view().lag_seconds
            return -1.0 if found is None else found

        with not_applying(members, analytics(members)):
            source.db.things.insert_one({"_id": 2})
            wait_until(lambda: lag() >= 2, timeout=30.0)
            wait_until(lambda: replication.health.report().fallbacks == 1, timeout=60.0)
            assert replication.health.report().reading.member is None
            wait_until(lambda: lag() == 0, timeout=60.0)
            told = metrics.exposition().decode()
            assert f'replicator_read_fallbacks_total{{stream="{source.name}"}} 1.0' in told
            found = notices(watch.service_view(), at=datetime.now(UTC), max_lag_seconds=300.0)
            assert [each for each in found if each.subject == "reading"]
