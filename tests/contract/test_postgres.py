"""What the service relies on in PostgreSQL, asked of the real sessions and of the simulator's model alike."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import bson
import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from replicator_service.app.servers import RealServers
from replicator_service.configuration.settings import Settings
from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.codec.key import encode_key
from replicator_service.core.errors import LeaseLost, RecordRejected, Retryable
from replicator_service.core.events import Change, Operation
from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.model import DocumentCollection, tables_of
from replicator_service.core.position import Position
from replicator_service.core.replies import Reply
from replicator_service.core.rows import Encoder, Rejected, RowGroup
from replicator_service.core.sessions import Progress, Range, Registered
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
    Commit,
    EmptyTables,
    FinishSnapshot,
    MoveDeadLetters,
    MoveRows,
    Preparation,
    PrepareTables,
    RegisterSnapshots,
    RemoveTables,
    SetState,
    StartSnapshot,
    StartSweep,
    Sweep,
)
from replicator_service.core.transform import compile_transform
from replicator_service.runtime.state.health import Health
from simulation.mongo.stream import array_of
from simulation.network import Network
from simulation.plan import MAPPING, TYPED
from simulation.postgres.leader import ModelLeaderSession
from simulation.postgres.operator import ModelOperatorSession
from simulation.postgres.server import TABLES, Server
from simulation.postgres.storage import Transaction
from simulation.scheduler import Process
from tests.contract.mongo_sides import Alone
from tests.support.databases import fresh_sink
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.core.mapping.model import CollectionMapping
    from replicator_service.core.sessions import LeaderSession, OperatorSession
    from replicator_service.core.steps import ControlStep
    from tests.support.databases import Sink

PLAIN = DocumentCollection("plain", "plain")
OTHER = DocumentCollection("Other", "other")
TRANSFORMS = {each.collection: compile_transform(each) for each in (PLAIN, OTHER, TYPED)}


class Postgres(Protocol):
    """One of the two. Sessions are closed at the end of the test."""

    def leader(self) -> LeaderSession: ...
    def operator(self) -> OperatorSession: ...
    def refuse(self, table: str, key: str) -> None:
        """Let PostgreSQL refuse a row."""

    def drop_table(self, table: str) -> None: ...


class RealPostgres:
    """The server."""

    def __init__(self, sink: Sink, stack: ExitStack) -> None:
        options: dict[str, Any] = {
            "mongo_uri": SecretStr("mongodb://none"),
            "postgres_dsn": SecretStr(sink.dsn),
            "mongo_database": "origin",
        }
        self._servers = RealServers(Settings(**options), MAPPING, Health("origin", clock=time.monotonic))
        self._sink = sink
        self._stack = stack

    def leader(self) -> LeaderSession:
        return self._stack.enter_context(closing(self._servers.open_leader()))

    def operator(self) -> OperatorSession:
        return self._stack.enter_context(closing(self._servers.open_operator()))

    def refuse(self, table: str, key: str) -> None:
        statement = sql.SQL("alter table {} add check (_id <> {})")
        self._execute(statement.format(sql.Identifier("origin", table), sql.Literal(key)))

    def drop_table(self, table: str) -> None:
        self._execute(sql.SQL("drop table {}").format(sql.Identifier("origin", table)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._sink.dsn, autocommit=True) as connection:
            connection.execute(statement)


class ModelPostgres:
    """The model."""

    def __init__(self) -> None:
        self._scheduler = Alone()
        self._server = Server(self._scheduler)
        self._network = Network(self._scheduler, delay=0.0)

    def leader(self) -> LeaderSession:
        return ModelLeaderSession(self._server, self._network, Process(self._scheduler, "one"), "origin")

    def operator(self) -> OperatorSession:
        return ModelOperatorSession(self._server, self._network, Process(self._scheduler, "one"), "origin")

    def refuse(self, table: str, key: str) -> None:
        self._server.refused.add((table, key))

    def drop_table(self, table: str) -> None:
        transaction = Transaction(self._server.storage)
        transaction.delete(TABLES, table)
        transaction.commit()


@pytest.fixture(params=["real", "model"])
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    if request.param == "model":
        yield ModelPostgres()
        return
    with fresh_sink(request.getfixturevalue("postgres_server")) as sink, ExitStack() as stack:
        yield RealPostgres(sink, stack)


class Leader:
    """A session that leads, with transactions in one call."""

    def __init__(self, postgres: Postgres) -> None:
        self.session = postgres.leader()
        assert self.session.try_lease()
        self.epoch = self.session.raise_epoch().epoch
        self.time = 1 << 32

    def does(self, *steps: ControlStep | RowGroup) -> list[int]:
        """One transaction."""
        self.session.begin()
        counts = [
            self.session.write(each) if isinstance(each, RowGroup) else self.session.apply(each) for each in steps
        ]
        self.commits()
        return counts

    def commits(self) -> None:
        self.time += 1
        self.session.commit(Commit(Position({"_data": f"82{self.time:016X}00"}, self.time), None), self.epoch)

    def prepares(self, *mappings: CollectionMapping, state: CollectionState = CollectionState.STREAMING) -> None:
        self.does(PrepareTables(tuple(Preparation(each, state) for each in mappings)))

    def registered(self) -> dict[str, Registered]:
        return {each.collection: each for each in self.session.registered()}


def rows(collection: str, *numbers: int, operation: Operation = Operation.INSERT, n: int = 0) -> RowGroup:
    """The documents with these ``_id``s; nothing but the keys of deletes."""
    documents = [
        bson.encode({"_id": f"k{number}", "n": n, "items": [{"x": n}] * n}, codec_options=CODEC_OPTIONS)
        for number in numbers
    ]
    reply = Reply(array_of(documents))
    changes = [
        Change(
            collection,
            encode_key(f"k{number}"),
            operation,
            1 << 32,
            None if operation is Operation.DELETE else reply,
            index,
            f"k{number}",
        )
        for index, number in enumerate(numbers)
    ]
    return Encoder(TRANSFORMS.__getitem__).encode(changes)


def keys(postgres: Postgres, mapping: CollectionMapping, *, after: str = "", limit: int = 100) -> list[str]:
    return postgres.operator().keys_after(mapping.collection, tables_of(mapping), after, limit)


class TestLease:
    def test_one_session_leads_until_it_is_closed(self, postgres: Postgres) -> None:
        first, second = postgres.leader(), postgres.leader()
        assert first.try_lease()
        assert not second.try_lease()
        first.close()
        # The server notices a moment later.
        wait_until(second.try_lease)

    def test_an_earlier_leader_cannot_commit(self, postgres: Postgres) -> None:
        first = Leader(postgres)
        first.prepares(PLAIN)
        second = postgres.leader()
        later = second.raise_epoch()
        assert later.epoch == first.epoch + 1
        first.session.begin()
        first.session.write(rows("plain", 1))
        with pytest.raises(LeaseLost):
            first.commits()
        first.session.rollback()
        assert keys(postgres, PLAIN) == []
        assert second.checkpoint() == later

    def test_a_leader_that_moves_is_not_ended(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.session.promise_renewal()
        standby = postgres.leader()
        for _ in range(2):
            assert not standby.end_frozen_leader(30.0)
            leader.session.renew()
        leader.prepares(PLAIN)

    def test_a_closed_session_is_lost(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.session.close()
        with pytest.raises(Retryable):
            leader.session.renew()


class TestTransactions:
    def test_nothing_is_seen_before_the_commit(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        leader.session.begin()
        leader.session.write(rows("plain", 1))
        assert keys(postgres, PLAIN) == []
        leader.commits()
        assert keys(postgres, PLAIN) == ["k1"]
        checkpoint = postgres.leader().checkpoint()
        assert checkpoint is not None
        assert checkpoint.position is not None
        assert (checkpoint.position.cluster_time, checkpoint.epoch) == (leader.time, leader.epoch)

    def test_a_rollback_takes_everything_back(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        leader.session.begin()
        leader.session.write(rows("plain", 1))
        leader.session.apply(SetState("plain", CollectionState.PAUSED))
        leader.session.rollback()
        assert keys(postgres, PLAIN) == []
        assert leader.registered()["plain"].state is CollectionState.STREAMING

    def test_savepoints_nest(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        session = leader.session
        session.begin()
        session.write(rows("plain", 1))
        session.savepoint()
        session.write(rows("plain", 2))
        session.savepoint()
        session.write(rows("plain", 3))
        session.rollback_to_savepoint()
        session.write(rows("plain", 4))
        session.release()
        session.savepoint()
        session.write(rows("plain", 5))
        session.rollback_to_savepoint()
        leader.commits()
        assert keys(postgres, PLAIN) == ["k1", "k2", "k4"]

    def test_a_refused_row_is_taken_back_and_the_rest_is_kept(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        postgres.refuse("plain", "k2")
        session, refused = leader.session, rows("plain", 2)
        session.begin()
        session.write(rows("plain", 1))
        session.savepoint()
        with pytest.raises(RecordRejected):
            session.write(refused)
        session.rollback_to_savepoint()
        session.add_dead_letters([Rejected(refused.changes[0], "refused")])
        session.write(rows("plain", 3))
        leader.commits()
        assert session.dead_letters() == {("plain", "k2")}
        assert keys(postgres, PLAIN) == ["k1", "k2", "k3"]

    def test_a_dead_letter_is_settled_once(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        leader.session.begin()
        leader.session.add_dead_letters([Rejected(rows("plain", 2).changes[0], "refused")])
        assert leader.session.settle_dead_letters("plain", ["k1", "k2"]) == 1
        assert leader.session.settle_dead_letters("plain", ["k2"]) == 0
        leader.commits()
        assert leader.session.dead_letters() == set()


class TestRows:
    def test_a_write_replaces_what_is_there(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(TYPED)
        leader.does(rows("typed", 1, 2, n=2))
        leader.does(rows("typed", 1, operation=Operation.UPDATE, n=1), rows("typed", 2, operation=Operation.DELETE))
        assert keys(postgres, TYPED) == ["k1"]
        assert postgres.operator().with_rows({"typed": tables_of(TYPED)}) == {"typed"}

    def test_keys_come_in_pieces(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(TYPED)
        leader.does(rows("typed", *range(5), n=1))
        first = keys(postgres, TYPED, limit=2)
        assert [first, keys(postgres, TYPED, after=first[-1])] == [["k0", "k1"], ["k2", "k3", "k4"]]

    def test_tables_can_be_empty(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN, OTHER)
        assert postgres.operator().with_rows({each.collection: tables_of(each) for each in (PLAIN, OTHER)}) == set()

    def test_a_dropped_table_is_damage(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN, TYPED)
        both = {each.collection: tables_of(each) for each in (PLAIN, TYPED)}
        assert leader.session.damaged(both) == {}
        postgres.drop_table("typed_items")
        assert leader.session.damaged(both) == {"typed": True}
        leader.prepares(TYPED)
        assert leader.session.damaged(both) == {}


class TestSteps:
    def test_a_snapshot_is_remembered_step_by_step(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        first, second = Range(0, None, bson.encode({"_id": "k5"})), Range(1, bson.encode({"_id": "k5"}), None)
        place = bson.encode({"_id": "k2"})

        def known() -> Registered:
            return leader.registered()["plain"]

        leader.does(RegisterSnapshots(((PLAIN, b"v" * 16),)))
        expected = Registered("plain", "plain", CollectionState.SNAPSHOTTING, fingerprint(PLAIN), uuid=b"v" * 16)
        assert known() == expected
        leader.prepares(PLAIN, state=CollectionState.SNAPSHOTTING)
        expected = replace(expected, tables=("plain",), uuid=None)
        assert known() == expected
        leader.does(StartSnapshot("plain", b"u" * 16, 7, sweeps=True, ranges=(first, second)))
        progress = Progress((first, second), 0, 7, sweeps=True)
        assert known() == replace(expected, uuid=b"u" * 16, progress=progress)
        leader.does(rows("plain", 1, 2, operation=Operation.READ), ChunkDone("plain", 0, place, 2, 100))
        progress = replace(progress, ranges=(replace(first, place=place), second), documents=2)
        assert known().progress == progress
        leader.does(ChunkDone("plain", 1, None, 3, 100))
        progress = replace(progress, ranges=progress.ranges[:1], documents=5)
        assert known().progress == progress
        leader.does(ChunkDone("plain", 0, None, 0, 0))
        progress = replace(progress, ranges=())
        assert known().progress == progress
        leader.does(StartSweep("plain"))
        assert known().progress == replace(progress, sweep_place="")
        deleted = leader.does(Sweep("plain", tables_of(PLAIN), ("k1",), "k9"))
        assert deleted == [1]
        assert known().progress == replace(progress, sweep_place="k9")
        leader.does(FinishSnapshot("plain"))
        assert known() == replace(expected, state=CollectionState.STREAMING, uuid=b"u" * 16)
        assert keys(postgres, PLAIN) == ["k2"]

    def test_a_snapshot_that_begins_again_forgets_its_progress(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        whole = (Range(0, None, None),)
        start = StartSnapshot("plain", b"u" * 16, 7, sweeps=True, ranges=whole)
        leader.does(start, ChunkDone("plain", 0, bson.encode({"_id": 1}), 2, 100))
        leader.does(RegisterSnapshots(((PLAIN, b"v" * 16),)))
        known = leader.registered()["plain"]
        assert known.progress is None
        assert known.uuid == b"v" * 16
        leader.does(start)
        progress = leader.registered()["plain"].progress
        assert progress is not None
        assert (progress.ranges, progress.documents) == (whole, 0)

    def test_a_dropped_collection_has_no_rows_and_no_identity(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN)
        start = StartSnapshot("plain", b"u" * 16, 7, sweeps=False, ranges=())
        leader.does(start, rows("plain", 1, 2), FinishSnapshot("plain"))
        leader.does(EmptyTables("plain", tables_of(PLAIN)))
        known = leader.registered()["plain"]
        assert (known.state, known.uuid) == (CollectionState.DROPPED, None)
        assert keys(postgres, PLAIN) == []

    def test_rows_and_dead_letters_move_to_another_collection(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN, OTHER)
        leader.does(rows("plain", 1, 2), rows("Other", 2, 3))
        leader.session.begin()
        leader.session.add_dead_letters([Rejected(rows(name, 9).changes[0], "refused") for name in ("plain", "Other")])
        leader.commits()
        leader.does(MoveRows(tables_of(PLAIN)[0], tables_of(OTHER)[0]), MoveDeadLetters("plain", "Other"))
        assert keys(postgres, PLAIN) == []
        assert keys(postgres, OTHER) == ["k1", "k2", "k9"]
        assert leader.session.dead_letters() == {("Other", "k9")}

    def test_a_removed_collection_is_forgotten(self, postgres: Postgres) -> None:
        leader = Leader(postgres)
        leader.prepares(PLAIN, OTHER)
        leader.does(rows("plain", 1))
        leader.does(RemoveTables("plain", tables_of(PLAIN)))
        assert list(leader.registered()) == ["Other"]
        assert leader.session.damaged({"plain": tables_of(PLAIN)}) == {"plain": True}
