"""The headline property: whatever happens and wherever it crashes, PostgreSQL is MongoDB at the checkpoint.

A state machine does everything that MongoDB can do to collections, crashes the service in every window, and looks at
PostgreSQL in two ways: in between (each snapshot equals the documents at that snapshot's checkpoint) and at the end,
after the service has drained (the tables equal `transform(final documents)`).
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import bson
from bson import Binary, Decimal128, Int64, ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from pymongo import WriteConcern

from replicator_service.core.failpoints import Window
from replicator_service.core.mapping.model import (
    ChildTable,
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    MappedColumn,
    Mapping,
    TypedCollection,
)
from replicator_service.core.naming import schema_name
from replicator_service.core.position import to_cluster_time
from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Limits
from replicator_service.sink.control.requests import add_request
from tests.support.databases import fresh_sink, fresh_source
from tests.support.oracle import differences
from tests.support.replication import Replication

if TYPE_CHECKING:
    import psycopg
    from pymongo.client_session import ClientSession

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

TYPED = TypedCollection(
    "typed",
    "typed",
    (MappedColumn("n", ("n",), ColumnType.BIGINT), MappedColumn("text", ("sub", "text"), ColumnType.TEXT)),
    (ChildTable("typed_items", ("items",), (MappedColumn("x", ("x",), ColumnType.INTEGER),)),),
)
MAPPING = Mapping((TYPED,))
MAPPINGS: dict[str, CollectionMapping] = {
    "typed": TYPED,
    "plain": DocumentCollection("plain", "plain"),
    "Other": DocumentCollection("Other", "other"),
}
COLLECTIONS = st.sampled_from(sorted(MAPPINGS))
IDS = st.sampled_from(
    [
        *(1, Int64(2), 2.5, "1", "", "x", True, None, Decimal128("7.5"), Binary(b"b", 5)),
        *({"a": 1}, {"a": 1, "b": "2"}, ObjectId("0123456789abcdef01234567"), "0123456789abcdef01234567"),
    ]
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "n": st.one_of(st.integers(-5, 5), st.just("not a number"), st.none()),
        "sub": st.one_of(st.fixed_dictionaries({"text": st.sampled_from(["a", "b\tc\\", "nul\0"])}), st.just(3)),
        "items": st.lists(st.one_of(st.fixed_dictionaries({"x": st.integers(0, 3)}), st.just("odd")), max_size=3),
        "more": st.sampled_from([1.5, float("inf"), [1, [2]], {"d": {"e": None}}]),
    },
)

State = dict[str, dict[bytes, dict[str, Any]]]


def identity(value: Any) -> bytes:
    """A hashable stand-in for an `_id`."""
    return bson.encode({"": value})


class Guarantee(RuleBasedStateMachine):
    """Everything that may happen, in any order. The servers are set by the test below."""

    mongo: MongoReplicaSet
    postgres: PostgresServer

    def __init__(self) -> None:
        super().__init__()
        self._source_context = fresh_source(self.mongo)
        self.source = self._source_context.__enter__()
        self._sink_context = fresh_sink(self.postgres)
        self.sink = self._sink_context.__enter__()
        self.state: State = {}
        self.history: list[tuple[int, State]] = []
        self.counter = itertools.count()
        self.replication: Replication | None = None
        self.steps: list[str] = []
        """What was done, for whoever has to understand a failure: timing decides, so a second run may differ."""

    @initialize(
        batch=st.integers(1, 5),
        poll=st.integers(1, 4),
        chunk=st.integers(1, 3),
        ranges=st.sampled_from((1, 2, 50_000)),
        workers=st.integers(1, 3),
        before=st.lists(st.tuples(COLLECTIONS, IDS, VALUES), max_size=6),
    )
    def begin(
        self,
        batch: int,
        poll: int,
        chunk: int,
        ranges: int,
        workers: int,
        before: list[tuple[str, Any, dict[str, Any]]],
    ) -> None:
        self._told(f"begin batch={batch} poll={poll} chunk={chunk} {ranges=} {workers=} before={before}")
        for collection, key, value in before:
            self._replace(collection, key, value, None)
        self._remember(self._now())
        limits = Limits(
            poll_events=poll,
            batch_events=batch,
            chunk_documents=chunk,
            range_documents=ranges,
            snapshot_workers=workers,
            poll_wait_ms=20,
            pace=Pace(heartbeat_seconds=0.02, request_seconds=0.02),
        )
        self.replication = Replication(self.source, self.sink, MAPPING, limits=limits)
        self.replication.start()

    @rule(collection=COLLECTIONS, key=IDS, value=VALUES)
    def replace_or_insert(self, collection: str, key: Any, value: dict[str, Any]) -> None:
        self._told(f"replace_or_insert {collection} {key!r} {value}")
        self._apply(lambda session: self._replace(collection, key, value, session))

    @rule(collection=COLLECTIONS, key=IDS, value=st.integers(0, 5))
    def update(self, collection: str, key: Any, value: int) -> None:
        self._told(f"update {collection} {key!r} {value}")
        self._apply(lambda session: self._update(collection, key, value, session))

    @rule(collection=COLLECTIONS, key=IDS)
    def delete(self, collection: str, key: Any) -> None:
        self._told(f"delete {collection} {key!r}")
        self._apply(lambda session: self._delete(collection, key, session))

    @rule(
        operations=st.lists(
            st.tuples(st.sampled_from(["replace", "update", "delete"]), COLLECTIONS, IDS, VALUES),
            min_size=2,
            max_size=12,
        )
    )
    def transaction(self, operations: list[tuple[str, str, Any, dict[str, Any]]]) -> None:
        self._told(f"transaction {operations}")
        for collection in {operation[1] for operation in operations}:
            self._ensure(collection)
        with self.source.client.start_session() as session:
            with session.start_transaction(write_concern=WriteConcern("majority")):
                for kind, collection, key, value in operations:
                    if kind == "replace":
                        self._replace(collection, key, value, session)
                    elif kind == "update":
                        self._update(collection, key, next(self.counter), session)
                    else:
                        self._delete(collection, key, session)
            self._remember_session(session)

    @rule(collection=COLLECTIONS)
    def drop(self, collection: str) -> None:
        self._told(f"drop {collection}")

        def apply(session: ClientSession) -> None:
            self.source.db.drop_collection(collection, session=session)
            self.state.pop(collection, None)

        self._apply(apply)

    @rule(collection=COLLECTIONS, new_name=COLLECTIONS)
    def rename(self, collection: str, new_name: str) -> None:
        self._told(f"rename {collection} to {new_name}")
        if collection == new_name or collection not in self.state:
            return

        def apply(session: ClientSession) -> None:
            self.source.db[collection].rename(new_name, session=session, dropTarget=True)
            self.state[new_name] = self.state.pop(collection)

        self._apply(apply)

    @rule(collection=COLLECTIONS)
    def resync(self, collection: str) -> None:
        self._told(f"resync {collection}")
        assert self.replication is not None
        if self.replication.health.report().cluster_time is None:
            return
        with self.sink.connect() as connection:
            add_request(connection, self.source.name, "resync", collection)

    @rule(window=st.sampled_from(list(Window)), passes=st.integers(1, 3))
    def crash(self, window: Window, passes: int) -> None:
        self._told(f"crash {window} {passes}")
        assert self.replication is not None
        self.replication.failpoints.arm(window, passes)

    @rule()
    def restart_after_crash(self) -> None:
        self._told("restart_after_crash")
        assert self.replication is not None
        self.replication.restart_after_crash()

    @rule()
    def stop_and_start(self) -> None:
        self._told("stop_and_start")
        assert self.replication is not None
        self.replication.stop()
        self.replication.start()

    @rule()
    def look_at_any_moment(self) -> None:
        """A snapshot of PostgreSQL equals the documents at its checkpoint's cluster time."""
        self._told("look_at_any_moment")
        with self.sink.connect(autocommit=False) as connection:
            connection.execute("set transaction isolation level repeatable read")
            if not _is_installed(connection):
                return
            checkpoint = connection.execute(
                "select cluster_time, converging_until from replicator.checkpoint"
            ).fetchone()
            if checkpoint is None or checkpoint[0] is None or checkpoint[1] is not None:
                return
            snapshotting = {
                name
                for (name,) in connection.execute(
                    "select collection from replicator.collection where state = 'snapshotting'"
                )
            }
            requested = connection.execute("select from replicator.request where handled_at is null").fetchall()
            if snapshotting or requested:
                return
            self._assert_equal(connection, self._state_at(checkpoint[0]))

    @precondition(lambda self: self.replication is not None)
    @rule()
    def drain(self) -> None:
        """After everything has come through, the tables equal the documents."""
        self._told("drain")
        assert self.replication is not None
        self.replication.failpoints.disarm()
        self.replication.restart_after_crash()
        self.replication.catch_up()
        with self.sink.connect(autocommit=False) as connection:
            connection.execute("set transaction isolation level repeatable read")
            self._assert_equal(connection, self.state)

    def teardown(self) -> None:
        try:
            if self.replication is not None:
                self.drain()
        finally:
            if self.replication is not None:
                self.replication.stop()
            self._sink_context.__exit__(None, None, None)
            self._source_context.__exit__(None, None, None)

    def _assert_equal(self, connection: psycopg.Connection[Any], state: State) -> None:
        existing = {
            name
            for (name,) in connection.execute(
                "select table_name from replicator.collection where stream = %s", (self.source.name,)
            )
        }
        for collection, mapping in MAPPINGS.items():
            documents = [bson.encode(document) for document in state.get(collection, {}).values()]
            if mapping.table in existing or documents:
                found = differences(connection, schema_name(self.source.name), mapping, documents)
                assert not found, "\n".join([f"{collection}: {found}", f"tables: {sorted(existing)}", *self.steps])

    def _apply(self, operation: Any) -> None:
        with self.source.client.start_session() as session:
            operation(session)
            self._remember_session(session)

    def _remember_session(self, session: ClientSession) -> None:
        time = session.operation_time
        self._remember(to_cluster_time(time) if time is not None else self._now())

    def _remember(self, cluster_time: int) -> None:
        self.history.append((cluster_time, deepcopy(self.state)))
        self._told(f"  is at {cluster_time}")

    def _told(self, step: str) -> None:
        self.steps.append(step)

    def _state_at(self, cluster_time: int) -> State:
        found: State = {}
        for time, state in self.history:
            if time <= cluster_time:
                found = state
        return found

    def _now(self) -> int:
        return to_cluster_time(self.source.db.command("ping")["operationTime"])

    def _ensure(self, collection: str) -> None:
        if collection not in self.state:
            self.source.db.create_collection(collection)
            self.state[collection] = {}
            self._remember(self._now())

    def _replace(self, collection: str, key: Any, value: dict[str, Any], session: ClientSession | None) -> None:
        document = {"_id": key, **value}
        self.source.db[collection].replace_one({"_id": key}, document, upsert=True, session=session)
        self.state.setdefault(collection, {})[identity(key)] = document

    def _update(self, collection: str, key: Any, value: int, session: ClientSession) -> None:
        self.source.db[collection].update_one({"_id": key}, {"$set": {"n": value}}, session=session)
        document = self.state.get(collection, {}).get(identity(key))
        if document is not None:
            self.state[collection][identity(key)] = {**document, "n": value}

    def _delete(self, collection: str, key: Any, session: ClientSession) -> None:
        self.source.db[collection].delete_one({"_id": key}, session=session)
        self.state.get(collection, {}).pop(identity(key), None)


def _is_installed(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("select to_regclass('replicator.checkpoint') is not null").fetchone()
    return bool(row and row[0])


def test_postgresql_is_mongodb_at_the_checkpoint_through_any_crash(
    mongo_server: MongoReplicaSet, postgres_server: PostgresServer
) -> None:
    machine = type("Machine", (Guarantee,), {"mongo": mongo_server, "postgres": postgres_server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
