"""How often a commit waits for PostgreSQL, however many collections it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from devstack.proxy import TcpProxy
from replicator_service.core.dead_letter_limit import DeadLetterLimit
from replicator_service.core.errors import LeaseLost
from replicator_service.core.failpoints import Failpoints
from replicator_service.core.position import Position
from replicator_service.core.steps import Commit
from replicator_service.pipeline.writer import Writer
from replicator_service.sink.control.checkpoint import raise_epoch, read_checkpoint
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.write.session import PostgresLeader
from tests.support.row_tables import SCHEMA, RowTables, delete, insert, read, typed, update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.events import Change
    from tests.support.databases import Sink

COLLECTIONS = [f"c{number}" for number in range(5)]


def changes(documents: int, **fields: object) -> list[Change]:
    """Inserts, updates, reads and deletes of parents with children, in every collection."""
    made = []
    for collection in COLLECTIONS:
        for number in range(0, documents, 4):
            one, two, three = (
                {"_id": number + n, "name": "x", "lines": [{"value": n}] * 3, **fields} for n in range(3)
            )
            made += [insert(collection, one), update(collection, two), read(collection, three)]
            made += [delete(collection, number + 3)]
    return made


class Leader:
    """The leader of a stream behind a proxy that counts."""

    def __init__(self, sink: Sink, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.dsn = make_conninfo(sink.dsn, host="127.0.0.1", port=proxy.port)
        self.tables = RowTables(sink, [typed(name, "lines", "notes") for name in COLLECTIONS], dsn=self.dsn)
        self.tables.make()
        migrate(self.tables.connection)
        self.epoch = raise_epoch(self.tables.connection, SCHEMA).epoch
        session = PostgresLeader(self.tables.connection, SCHEMA)
        self.writer = Writer(session, epoch=self.epoch, limit=DeadLetterLimit(), failpoints=Failpoints())
        self.time = 0

    def commit(self, *groups: list[Change]) -> int:
        """One transaction with these row groups; returns how often it waited."""
        before = self.proxy.round_trips
        for group in groups:
            self.writer.apply(self.tables.group(group))
        self.time += 1
        self.writer.apply(Commit(Position({"_data": ""}, self.time), None))
        return self.proxy.round_trips - before


@pytest.fixture
def leader(sink: Sink) -> Iterator[Leader]:
    with TcpProxy(int(conninfo_to_dict(sink.dsn)["port"] or 0)) as proxy:
        found = Leader(sink, proxy)
        yield found
        found.tables.connection.close()


def committed(sink: Sink) -> int | None:
    """The cluster time that is committed, as anybody else sees it."""
    with sink.connect() as connection:
        row = connection.execute(
            "select cluster_time from replicator.checkpoint where stream = %s", (SCHEMA,)
        ).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize(("documents", "at_most"), [(4, 2), (400, 7)])
def test_a_commit_over_five_collections_takes_a_handful_of_round_trips(
    leader: Leader, documents: int, at_most: int
) -> None:
    """A long answer begins while its questions are still sent, which counts as one more."""
    leader.commit(changes(400))
    assert leader.commit(changes(documents)) <= at_most


def test_a_position_alone_is_committed_in_one_round_trip(leader: Leader, sink: Sink) -> None:
    leader.commit()
    assert leader.commit() == 1
    assert committed(sink) == leader.time


def test_a_commit_that_another_leader_fences_off_leaves_nothing(leader: Leader, sink: Sink) -> None:
    leader.commit(changes(4))
    rows, before = leader.tables.rows(), leader.time
    raise_epoch(leader.tables.connection, SCHEMA)
    with pytest.raises(LeaseLost):
        leader.commit(changes(4, name="y"))
    assert leader.tables.rows() == rows
    assert committed(sink) == before


def test_what_is_refused_in_a_later_group_leaves_the_earlier_ones_and_their_commit_whole(
    leader: Leader,
) -> None:
    leader.commit(changes(8))
    leader.tables.run("alter table c3 add constraint c3_name check (name <> 'bad')")
    bad = [insert("c3", {"_id": number, "name": "bad"}) for number in ("a", "b")]
    good = [insert("c3", {"_id": "good", "name": "z"})]
    leader.commit(changes(8, name="z"), [*bad, *good], [insert("c4", {"_id": "last", "name": "z"})])
    names = leader.tables.run("select distinct name from c3")
    dead_letters = leader.tables.run("select source_id from replicator.dead_letter order by source_id")
    assert names == [("z",)]
    assert dead_letters == [("a",), ("b",)]
    assert leader.tables.run("select name from c4 where _id = 'last'") == [("z",)]
    found = read_checkpoint(leader.tables.connection, SCHEMA)
    assert found is not None
    assert found.position is not None
    assert found.position.cluster_time == leader.time
