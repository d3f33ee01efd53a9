"""Samples of real collections: fair, bounded, and read where they disturb least."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import bson
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from replicator_service.source.read.sampling import Bounds, parts, sample
from replicator_service.source.read.size import Size, collection_size

if TYPE_CHECKING:
    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Source


class Commands(CommandListener):
    """Remembers which server got which command."""

    def __init__(self) -> None:
        self.ports: dict[str, set[int | None]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        self.ports.setdefault(event.command_name, set()).add(event.connection_id[1])

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def sampled(source: Source, bounds: Bounds, *, size: Size | None = None) -> list[int]:
    found = size or collection_size(source.db, "things")
    raws = sample(source.db, "things", found, bounds, clock=lambda: 0.0)
    return [bson.decode(raw)["_id"] for raw in raws]


def test_a_small_collection_is_read_whole(source: Source) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(300)])
    assert sorted(sampled(source, Bounds(300))) == list(range(300))
    assert len(sampled(source, Bounds(100), size=Size(0, 0))) == 100


def test_a_large_collection_shows_both_ends_and_what_is_between(source: Source) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(2_000)])
    found = sampled(source, Bounds(200))
    assert len(found) == 200
    assert set(range(20)) <= set(found)
    assert set(range(1_980, 2_000)) <= set(found)
    middle = [each for each in found if 20 <= each < 1_980]
    assert min(middle) < 500
    assert max(middle) > 1_500
    assert len(sampled(source, Bounds(1))) == 1


def test_bytes_end_a_sample_and_every_part_has_its_share(source: Source) -> None:
    source.db.things.insert_many([{"_id": number, "text": "x" * 10_000} for number in range(500)])
    found = sampled(source, Bounds(400, size=500_000))
    assert 45 <= len(found) <= 55
    assert 0 in found
    assert 499 in found
    assert len(sampled(source, Bounds(1_000, size=100_000))) == 10


def test_time_ends_a_sample(source: Source) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(1_000)])
    ticks = count()
    raws = list(sample(source.db, "things", Size(1_000, 1), Bounds(500, seconds=20), clock=lambda: float(next(ticks))))
    assert 0 < len(raws) < 25


def test_the_server_stops_a_command_that_takes_too_long(source: Source) -> None:
    source.db.things.insert_many([{"_id": number} for number in range(1_000)])
    size = collection_size(source.db, "things")
    source.client.admin.command(
        {"configureFailPoint": "maxTimeAlwaysTimeOut", "mode": "alwaysOn"},
    )
    try:
        assert sampled(source, Bounds(100), size=size) == []
    finally:
        source.client.admin.command({"configureFailPoint": "maxTimeAlwaysTimeOut", "mode": "off"})


def test_a_random_draw_never_makes_the_server_read_a_huge_collection() -> None:
    *_, small = parts("things", Size(100_000, 10**8), Bounds(10_000))
    *_, huge = parts("things", Size(100_000, 10**12), Bounds(10_000))
    assert small.command["pipeline"] == [{"$sample": {"size": 8_000}}]
    assert huge.command["pipeline"] == [{"$sample": {"size": 4_999}}]


def test_documents_are_read_from_one_secondary(mongo_three_nodes: MongoReplicaSet) -> None:
    commands = Commands()
    with MongoClient[dict[str, Any]](mongo_three_nodes.uri, event_listeners=[commands]) as client:
        things = client.get_database("sampling").get_collection("things")
        things.with_options(write_concern=things.write_concern.__class__(3)).insert_many(
            [{"_id": number} for number in range(500)]
        )
        primary = client.primary
        assert primary is not None
        found = list(sample(client["sampling"], "things", Size(500, 1), Bounds(1_000), clock=lambda: 0.0))
        client.drop_database("sampling")
    assert len(found) == 500
    assert primary[1] not in commands.ports["find"]
    assert commands.ports["getMore"] == commands.ports["find"]
