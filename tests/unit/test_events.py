"""What an event means, and whose names are the server's own."""

from __future__ import annotations

import bson
import pytest
from bson.binary import Binary
from bson.timestamp import Timestamp

from replicator_service.core.events import Created, Drop, Rename, interpret
from replicator_service.core.replies import Reply
from replicator_service.core.temporary_names import is_temporary

UUID = bytes(range(16))


@pytest.mark.parametrize(
    "name",
    [
        "tmp.agg_out.8b4ef7f2-0cdc-46dc-8167-200f2cee1ff6",
        "tmpYZA50.renameCollection",
        "tmpr6aq4.convertToCapped.src",
        "tmpr6aq4.convertToCapped.a.b\n",
    ],
)
def test_a_name_that_only_the_server_gives_is_temporary(name: str) -> None:
    assert is_temporary(name)


@pytest.mark.parametrize(
    "name",
    [
        "tmp.mrp_orders",
        "tmp.mr.orders_1",
        "tmp.agg_out",
        "tmp.agg_out.1",
        "tmp.agg_out.8b4ef7f2-0cdc-46dc-8167-200f2cee1ff6.old",
        "tmp.agg_out.8b4ef7f2-0cdc-46dc-8167-200f2cee1ff6\n",
        "tmp.agg_outcome",
        "tmpYZA50.renameCollection2",
        "tmpYZA501.renameCollection",
        "tmp.renameCollection",
        "tmpr6aq4.convertToCapped",
        "tmpr6aq4.convertToCapped.",
        "tmp.convertToCapped.src",
        "my.tmp.agg_out.8b4ef7f2-0cdc-46dc-8167-200f2cee1ff6",
        "tmpr6aq4xconvertToCapped.src",
    ],
)
def test_a_name_that_anybody_may_give_is_not(name: str) -> None:
    assert not is_temporary(name)


def test_what_changes_collections_tells_which_one_it_is() -> None:
    common = {"clusterTime": Timestamp(1, 1), "ns": {"db": "d", "coll": "c"}, "collectionUUID": Binary(UUID, 4)}
    found = [
        {"operationType": "drop", **common},
        {"operationType": "rename", "to": {"db": "d", "coll": "e"}, **common},
        {"operationType": "create", **common},
        {"operationType": "drop", "clusterTime": Timestamp(1, 1), "ns": {"db": "d", "coll": "c"}},
    ]
    reply = Reply(bson.encode({str(n): each for n, each in enumerate(found)}), field="fullDocument")
    meant = [interpret(event, reply, n) for n, event in enumerate(reply.documents)]
    assert meant == [Drop("c", UUID), Rename("c", "e", UUID), Created("c", uuid=UUID), Drop("c")]
