"""Money moves between accounts in transactions: in no snapshot of PostgreSQL is any of it made or lost."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import IsolationLevel, sql
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from replicator_service.core.failpoints import Window
from replicator_service.pipeline.loop import Pace
from replicator_service.pipeline.term import Limits
from replicator_service.sink.control.requests import add_request
from tests.support.replication import Replication, assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.client_session import ClientSession

    from tests.support.databases import Sink, Source

ACCOUNTS = 40
TOTAL = ACCOUNTS * 100
QUICK = Limits(
    poll_events=50,
    batch_events=20,
    chunk_documents=15,
    poll_wait_ms=50,
    pace=Pace(heartbeat_seconds=0.05, request_seconds=0.05),
)
"""Small enough that transactions are cut by every bound there is."""
CHUNKED = replace(QUICK, batch_events=100, poll_events=200, chunk_documents=300)
"""The same, with chunks that are faster than the tellers: a snapshot ends only where the newest documents are."""


class Tellers:
    """Threads that move money: an order and its lines are written with the two balances, in one transaction."""

    def __init__(self, source: Source, threads: int = 3) -> None:
        self._source = source
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(threads)]
        self.transactions = 0
        self.errors: list[BaseException] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(20)
        assert self.errors == []

    def _work(self, number: int) -> None:
        luck = random.Random(number)  # noqa: S311 - no secret
        try:
            with MongoClient[dict[str, Any]](self._source.uri) as client, client.start_session() as session:
                while not self._stopping.is_set():
                    self._transfer(session, luck)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.errors.append(error)

    def _transfer(self, session: ClientSession, luck: random.Random) -> None:
        database = session.client[self._source.name]
        giver, taker = luck.sample(range(ACCOUNTS), 2)
        amount = luck.randint(1, 20)
        session.start_transaction()
        try:
            database.accounts.update_one({"_id": giver}, {"$inc": {"balance": -amount}}, session=session)
            order = database.orders.insert_one({"amount": amount, "from": giver}, session=session).inserted_id
            if luck.random() < 0.1:
                lines = [{"order": order, "line": line} for line in range(60)]
                database.order_lines.insert_many(lines, session=session)
            if luck.random() < 0.2:
                self._replace_account(session, taker, amount)
            else:
                database.accounts.update_one({"_id": taker}, {"$inc": {"balance": amount}}, session=session)
            if luck.random() < 0.1:
                session.abort_transaction()
                return
            session.commit_transaction()
            self.transactions += 1
        except OperationFailure as error:
            if not error.has_error_label("TransientTransactionError"):
                raise
            if session.in_transaction:
                session.abort_transaction()

    def _replace_account(self, session: ClientSession, taker: int, amount: int) -> None:
        """The same by a delete and an insert."""
        accounts = session.client[self._source.name].accounts
        found = accounts.find_one_and_delete({"_id": taker}, session=session)
        assert found is not None
        accounts.insert_one({"_id": taker, "balance": found["balance"] + amount}, session=session)


class Auditor:
    """A reader that takes one repeatable-read snapshot after another and looks at every invariant in it."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self._sink = sink
        self._query = sql.SQL("""
            select
                (select sum((doc ->> 'balance')::bigint) from {0}.accounts),
                (select count(*) from {0}.accounts),
                (select count(*) from (select from {0}.order_lines group by doc -> 'order' having count(*) <> 60) as n),
                (select count(*) from {0}.order_lines as l where not exists (
                    select from {0}.orders as o where o._id = l.doc -> 'order' ->> '$oid'))
        """).format(sql.Identifier(source.name))
        self._states = "select count(*) from replicator.collection where state <> 'streaming'"
        self._converging = "select count(*) from replicator.checkpoint where converging_until is not null"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.snapshots = 0
        self.cut = 0
        """Snapshots taken while some collection was being read or rows were ahead: they promise less."""
        self.wrong: list[object] = []
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def wait_for_more(self) -> None:
        """Wait for some more snapshots."""
        enough = self.snapshots + 10
        wait_until(lambda: self.snapshots > enough, message="more snapshots")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(20)
        if self.error is not None:
            raise self.error
        assert self.wrong == []

    def _work(self) -> None:
        try:
            with self._sink.connect(autocommit=False) as connection:
                connection.isolation_level = IsolationLevel.REPEATABLE_READ
                while not self._stopping.is_set():
                    with connection.transaction():
                        self._look(connection)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        for query in (self._states, self._converging):
            if connection.execute(query).fetchone() != (0,):
                self.cut += 1
                return
        row = connection.execute(self._query).fetchone()
        self.snapshots += 1
        if row != (TOTAL, ACCOUNTS, 0, 0):
            self.wrong.append(row)


def prepare(source: Source) -> None:
    source.db.accounts.insert_many([{"_id": number, "balance": 100} for number in range(ACCOUNTS)])
    source.db.create_collection("orders")
    source.db.create_collection("order_lines")


@contextmanager
def at_work(source: Source, sink: Sink) -> Iterator[tuple[Tellers, Auditor]]:
    tellers, auditor = Tellers(source), Auditor(source, sink)
    tellers.start()
    auditor.start()
    try:
        yield tellers, auditor
    finally:
        tellers.stop()
        auditor.stop()


def assert_all_there(replication: Replication, source: Source, sink: Sink, tellers: Tellers) -> None:
    replication.catch_up()
    assert assert_same_documents(source, sink, "accounts") == ACCOUNTS
    assert assert_same_documents(source, sink, "orders") == tellers.transactions
    assert_same_documents(source, sink, "order_lines")


@pytest.mark.parametrize("limits", [None, QUICK], ids=["usual limits", "small limits"])
def test_no_snapshot_shows_part_of_a_transaction(source: Source, sink: Sink, limits: Limits | None) -> None:
    prepare(source)
    with replicating(source, sink, limits=limits) as replication:
        replication.catch_up()
        with at_work(source, sink) as (tellers, auditor):
            wait_until(
                lambda: tellers.transactions > 500 and auditor.snapshots > 150,
                timeout=30,
                message=status(tellers, auditor),
            )
        assert_all_there(replication, source, sink, tellers)
        assert auditor.cut == 0


def test_neither_resyncs_nor_crashes_nor_the_first_load_show_part_of_a_transaction(source: Source, sink: Sink) -> None:
    prepare(source)
    crashes = [
        Window.AFTER_ROWS,
        Window.BEFORE_COMMIT,
        Window.AFTER_COMMIT,
        Window.BEFORE_LOOKUP,
        Window.AFTER_CHUNK_READ,
    ]
    tellers = Tellers(source)
    tellers.start()
    try:
        with replicating(source, sink, limits=CHUNKED) as replication:
            replication.catch_up()
            auditor = Auditor(source, sink)
            auditor.start()
            try:
                for number, window in enumerate(crashes):
                    if window is Window.AFTER_CHUNK_READ or number % 2:
                        resync(source, sink, "accounts" if number % 4 == 1 else None)
                    replication.failpoints.arm(window, passes=3)
                    wait_until(replication.failpoints.crashed.is_set, timeout=20, message=f"the crash {window}")
                    replication.restart_after_crash()
                    replication.catch_up()
                    auditor.wait_for_more()
            finally:
                tellers.stop()
                auditor.stop()
            assert_all_there(replication, source, sink, tellers)
            assert auditor.snapshots > 50
    finally:
        tellers.stop()


def resync(source: Source, sink: Sink, collection: str | None) -> None:
    with sink.connect() as connection:
        add_request(connection, source.name, "resync", collection)


def test_a_transaction_larger_than_a_batch_appears_at_once(source: Source, sink: Sink) -> None:
    prepare(source)
    with replicating(source, sink, limits=QUICK) as replication:
        replication.catch_up()
        table = sql.Identifier(source.name, "orders")
        counts: set[int] = set()
        with sink.connect() as connection, source.client.start_session() as session:
            for round_ in range(1, 4):
                with session.start_transaction():
                    source.db.orders.insert_many([{"round": round_} for _ in range(2_000)], session=session)
                    source.db.orders.update_many({"round": round_}, {"$set": {"seen": True}}, session=session)

                def is_there(expected: int = round_ * 2_000) -> bool:
                    row = connection.execute(
                        sql.SQL("select count(*), count(*) filter (where doc ->> 'seen' = 'true') from {}").format(
                            table
                        )
                    ).fetchone()
                    assert row is not None
                    assert row[0] == row[1]
                    counts.add(row[0])
                    return bool(row[0] == expected)

                wait_until(is_there, timeout=20, message="the whole transaction")
        assert counts <= {0, 2_000, 4_000, 6_000}


def status(tellers: Tellers, auditor: Auditor) -> Callable[[], str]:
    began = time.monotonic()

    def told() -> str:
        passed = time.monotonic() - began
        return f"{tellers.transactions} transactions, {auditor.snapshots} and {auditor.cut} snapshots in {passed:.1f} s"

    return told
