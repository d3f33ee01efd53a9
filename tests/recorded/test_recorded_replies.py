"""Versions of MongoDB that cannot be run here: what they answer, written from their manuals and tickets, is replicated.

Each ``mongodb-*.json`` names its sources and what is new in it. The real driver and the whole service run against it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from pymongo import MongoClient

from replicator_service.core.events import event_time
from replicator_service.runtime.state.health import State
from replicator_service.source.read.server_times import unsupported_collections
from tests.support.databases import Source
from tests.support.recorded import RecordedServer, read_recording
from tests.support.replication import replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.pipeline.observer import Committed
    from tests.support.databases import Sink

RECORDINGS = sorted(Path(__file__).parent.glob("mongodb-*.json"))
NAME = "shop"


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def recording(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read_recording(request.param)


@pytest.fixture
def server(recording: dict[str, Any]) -> Iterator[RecordedServer]:
    with RecordedServer(recording) as opened:
        yield opened


@pytest.fixture
def source(server: RecordedServer) -> Iterator[Source]:
    with MongoClient[dict[str, Any]](server.uri) as client:
        yield Source(server.uri, NAME, client, client[NAME])


def test_there_is_a_recording_of_each_version_and_it_names_its_sources() -> None:
    assert [path.stem for path in RECORDINGS] == [f"mongodb-{version}" for version in ("7.0", "8.0", "8.2", "9.0")]
    for path in RECORDINGS:
        found = read_recording(path)
        assert found["about"]
        assert all(each.startswith("https://") for each in found["sources"])


def test_what_a_version_sends_arrives_as_the_documents_are(
    recording: dict[str, Any], server: RecordedServer, source: Source, sink: Sink
) -> None:
    last = max(event_time(event) for batch in recording["batches"] if isinstance(batch, list) for event in batch)
    unknown: list[str] = []

    def counted(what: Committed) -> None:
        unknown.extend(operation for _, operation in what.commit.events if operation.startswith("unknown:"))

    with replicating(source, sink, on_commit=counted) as replication:

        def is_there() -> bool:
            assert replication.is_running, repr(replication.error)
            report = replication.health.report()
            return server.is_over and (report.cluster_time or 0) >= last and report.state is State.STREAMING

        wait_until(is_there, timeout=60.0, message=lambda: repr(replication.health.report()))
        abilities = replication.health.report().abilities
    assert abilities is not None
    assert list(abilities.missing) == []
    assert len(unknown) == recording.get("unknown_events", 0)
    with sink.connect() as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = %s", [NAME]).fetchall()
        assert {name for (name,) in tables} == set(recording["expected"])
        for table, documents in recording["expected"].items():
            query = sql.SQL("select doc from {} order by _id").format(sql.Identifier(NAME, table))
            rows = [doc for (doc,) in connection.execute(query)]
            assert rows == documents


def test_what_has_no_events_is_named(recording: dict[str, Any], server: RecordedServer, source: Source) -> None:
    server.skip()
    assert unsupported_collections(source.db) == recording["unsupported"]


def test_a_read_is_not_ended_by_the_limit_of_the_cluster(
    recording: dict[str, Any], server: RecordedServer, source: Source, sink: Sink
) -> None:
    if not recording.get("default_max_time"):
        return
    with replicating(source, sink) as replication:
        wait_until(lambda: server.is_over and replication.health.report().state is State.STREAMING, timeout=60.0)
    reads = [each for each in server.commands if next(iter(each)) in ("find", "aggregate", "count")]
    assert reads
    assert all(each.get("maxTimeMS") for each in reads)
