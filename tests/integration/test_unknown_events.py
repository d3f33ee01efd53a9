"""Event types of later servers are counted, and hold up nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import bson
from bson import Timestamp

from replicator_service.core.batching import Batch, Item
from replicator_service.core.failpoints import Failpoints
from replicator_service.core.mapping.model import Mapping
from replicator_service.core.position import Position, to_cluster_time
from replicator_service.core.replies import Reply
from replicator_service.core.steps import Commit
from replicator_service.pipeline.collections import Collections
from replicator_service.pipeline.marks import Marks
from replicator_service.pipeline.planner import Planner
from replicator_service.source.connect.connection import server_info
from replicator_service.source.read.mongo import MongoSource

if TYPE_CHECKING:
    from tests.support.databases import Source


def test_an_event_of_an_unknown_type_is_counted_and_the_position_moves_past_it(source: Source) -> None:
    at = Timestamp(1_700_000_000, 1)
    event = {
        "_id": {"_data": "82"},
        "operationType": "teleport",
        "clusterTime": at,
        "ns": {"db": source.name, "coll": "things"},
    }
    reply = Reply(bson.encode({"0": event}), field="fullDocument")
    door = MongoSource(source.client, source.db, server_info(source.client, source.db))
    planner = Planner(
        source=door,
        collections=Collections(Mapping()),
        position=Position({"_data": "81"}, 0),
        converging_until=None,
        failpoints=Failpoints(),
        marks=Marks(door, None, time.monotonic),
    )
    after = Position({"_data": "82"}, to_cluster_time(at))
    steps = list(planner.batch(Batch([Item(reply.documents[0], reply, 0)], after.cluster_time, after)))
    assert len(steps) == 1
    assert isinstance(steps[0], Commit)
    assert steps[0].position == after
    assert dict(steps[0].events) == {("", "unknown:teleport"): 1}
