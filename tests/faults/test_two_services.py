"""Two services on one stream: one leads, the other takes over, and who has lost the lease cannot write any more."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

from replicator_service.core.dead_letter_limit import DeadLetterLimit
from replicator_service.core.errors import LeaseLost, Retryable
from replicator_service.core.failpoints import Failpoints
from replicator_service.core.position import Position
from replicator_service.core.steps import CollectionState, Commit, SetState
from replicator_service.pipeline.writer import Writer
from replicator_service.runtime.state.health import State
from replicator_service.sink.connect.connection import Connection, connect
from replicator_service.sink.control.checkpoint import raise_epoch, read_checkpoint
from replicator_service.sink.control.lease import HolderWatch, begin_renewing, renew, try_lease
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.write.session import PostgresLeader
from tests.support.load import Load
from tests.support.processes import Operator
from tests.support.replication import assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Sink, Source


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    return Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
        },
        tmp_path,
    )


def writer(connection: Connection, epoch: int) -> Writer:
    session = PostgresLeader(connection, "any")
    return Writer(session, epoch=epoch, limit=DeadLetterLimit(), failpoints=Failpoints())


def at(cluster_time: int) -> Commit:
    return Commit(Position({"_data": ""}, cluster_time), None)


def test_a_leader_of_an_earlier_epoch_cannot_commit(sink: Sink) -> None:
    with (
        connect(sink.dsn, application_name="earlier") as earlier,
        connect(sink.dsn, application_name="later") as later,
    ):
        migrate(earlier)
        old = writer(earlier, raise_epoch(earlier, "any").epoch)
        old.apply(at(1))
        old.apply(SetState("things", CollectionState.STREAMING))
        new = writer(later, raise_epoch(later, "any").epoch)
        with pytest.raises(LeaseLost):
            old.apply(at(2))
        new.apply(at(3))
        with pytest.raises(LeaseLost):
            old.apply(at(4))
        checkpoint = read_checkpoint(later, "any")
        assert checkpoint is not None
        assert checkpoint.position is not None
        assert checkpoint.position.cluster_time == 3


def test_a_standby_takes_over_within_seconds_from_a_killed_leader(
    operator: Operator, source: Source, sink: Sink
) -> None:
    with operator.running() as leader, Load(source.uri, source.name) as load:
        leader.wait_for_state("streaming")
        with replicating(source, sink) as standby:
            wait_until(lambda: standby.health.report().state is State.STANDBY, message="the standby")
            load.go_on()
            leader.process.kill()
            wait_until(lambda: standby.health.report().role.value == "leader", timeout=5, message="the take-over")
            load.go_on()
            load.stop()
            standby.catch_up()
            assert assert_same_documents(source, sink, "busy") > 50


def test_a_frozen_leader_that_lost_its_lease_wakes_up_as_a_standby(
    operator: Operator, source: Source, sink: Sink
) -> None:
    with operator.running() as frozen, Load(source.uri, source.name) as load:
        frozen.wait_for_state("streaming")
        with replicating(source, sink) as other:
            wait_until(lambda: other.health.report().state is State.STANDBY, message="the standby")
            load.go_on()
            frozen.process.send_signal(signal.SIGSTOP)
            with sink.connect() as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted "
                    "and database = (select oid from pg_database where datname = current_database())"
                )
            wait_until(lambda: other.health.report().role.value == "leader", timeout=10, message="the take-over")
            load.go_on()
            frozen.process.send_signal(signal.SIGCONT)
            frozen.wait_for_state("standby")
            load.go_on()
            load.stop()
            other.catch_up()
            assert assert_same_documents(source, sink, "busy") > 50
            assert other.health.report().role.value == "leader"


def test_a_frozen_leader_loses_its_lease_by_itself(operator: Operator, source: Source, sink: Sink) -> None:
    with operator.running() as frozen, Load(source.uri, source.name) as load:
        frozen.wait_for_state("streaming")
        with operator.running(REPLICATOR_LEASE_SECONDS="3") as other:
            other.wait_for_state("standby")
            load.go_on()
            frozen.process.send_signal(signal.SIGSTOP)
            other.wait_for_state("streaming")
            load.go_on()
            frozen.process.send_signal(signal.SIGCONT)
            frozen.wait_for_state("standby")
            load.stop()
            frozen.process.kill()
            with replicating(source, sink) as third:
                other.process.kill()
                third.catch_up()
            assert assert_same_documents(source, sink, "busy") > 50


def test_an_idle_leader_renews_its_lease(source: Source, sink: Sink) -> None:
    seen = set()

    def is_renewed() -> bool:
        query = "select state_change from pg_stat_activity where application_name = 'replicator writer'"
        seen.update(observer.execute(query).fetchall())
        return len(seen) >= 4

    with replicating(source, sink) as replication, sink.connect() as observer:
        replication.catch_up()
        seen.clear()
        wait_until(is_renewed, timeout=6, message="the leader to show life")


class ManualClock:
    """A clock that somebody else moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def holder(sink: Sink) -> Iterator[Connection]:
    with sink.connect() as connection:
        assert try_lease(connection, "any")
        begin_renewing(connection, "any")
        connection.execute("create temporary table arrived (text text)")
        yield connection


@pytest.fixture
def watch(sink: Sink, clock: ManualClock) -> Iterator[HolderWatch]:
    with sink.connect() as connection:
        yield HolderWatch(connection, "any", seconds=30, clock=clock)


def ends_within(watch: HolderWatch, clock: ManualClock, seconds: float) -> bool:
    """Look every five seconds; whether the last look ended the leader."""
    ended = watch.end_if_frozen()
    until = clock.now + seconds
    while not ended and clock.now < until:
        clock.now += 5
        ended = watch.end_if_frozen()
    return ended


def test_a_leader_that_shows_no_life_is_ended(holder: Connection, watch: HolderWatch, clock: ManualClock) -> None:
    assert not ends_within(watch, clock, 25)
    assert ends_within(watch, clock, 5)
    with pytest.raises(Retryable):
        renew(holder)
    wait_until(lambda: not watch.end_if_frozen(), message="nothing left to end")


def test_a_leader_that_renews_its_lease_keeps_it(holder: Connection, watch: HolderWatch, clock: ManualClock) -> None:
    holder.execute("begin")
    for _ in range(8):
        assert not ends_within(watch, clock, 25)
        renew(holder)


def test_a_leader_that_has_not_begun_to_write_is_left_alone(sink: Sink, watch: HolderWatch, clock: ManualClock) -> None:
    with sink.connect() as starting:
        assert try_lease(starting, "any")
        assert not ends_within(watch, clock, 100)
        begin_renewing(starting, "any")
        assert ends_within(watch, clock, 100)


def test_time_in_which_nobody_looked_does_not_count(holder: Connection, watch: HolderWatch, clock: ManualClock) -> None:
    assert not ends_within(watch, clock, 10)
    clock.now += 1_000
    assert not ends_within(watch, clock, 25)
    renew(holder)


def test_a_standby_that_may_not_end_a_frozen_leader_says_so_and_goes_on(
    holder: Connection, sink: Sink, clock: ManualClock
) -> None:
    renew(holder)
    with sink.connect() as admin:
        admin.execute("create role looker login password 'looker' in role pg_read_all_stats")
    try:
        with psycopg.connect(sink.dsn, user="looker", password="looker", autocommit=True) as connection:
            watch = HolderWatch(connection, "any", seconds=30, clock=clock)
            assert not ends_within(watch, clock, 60)
            assert watch.refusal is not None
            assert "SQLSTATE 42501" in watch.refusal.message
    finally:
        with sink.connect() as admin:
            admin.execute("drop role looker")


def test_a_leader_that_waits_for_postgresql_keeps_its_lease(
    holder: Connection, watch: HolderWatch, clock: ManualClock, sink: Sink
) -> None:
    with sink.connect() as other, ThreadPoolExecutor() as pool:
        other.execute("select pg_advisory_lock(1)")
        waiting = pool.submit(holder.execute, "select pg_advisory_lock(1)")
        wait_until(lambda: bool(other.execute("select from pg_locks where not granted").fetchall()), message="the wait")
        assert not ends_within(watch, clock, 100)
        other.execute("select pg_advisory_unlock(1)")
        waiting.result(10)


def test_a_leader_frozen_in_the_middle_of_a_copy_is_ended_and_a_slow_one_is_not(
    holder: Connection, watch: HolderWatch, clock: ManualClock, sink: Sink
) -> None:
    def has_arrived(more_than: int) -> bool:
        with sink.connect() as connection:
            query = "select coalesce(sum(bytes_processed), 0) > %s from pg_stat_progress_copy"
            return connection.execute(query, (more_than,)).fetchone() == (True,)

    def copy_until_ended() -> None:
        with holder.cursor() as cursor, cursor.copy("copy arrived from stdin") as copy:
            for round_ in range(5):
                copy.write(b"x" * 200_000 + b"\n")
                wait_until(partial(has_arrived, round_ * 200_000), message="the bytes")
                assert not ends_within(watch, clock, 20)
            wait_until(lambda: ends_within(watch, clock, 40), message="the end of the frozen session")
            wait_until(lambda: not has_arrived(0), message="the session to be gone")

    with pytest.raises(psycopg.OperationalError):
        copy_until_ended()


def test_under_full_load_sigterm_ends_the_service_in_time_and_nothing_is_lost(
    operator: Operator, source: Source, sink: Sink
) -> None:
    source.db.large.insert_many([{"_id": n, "text": "x" * 500} for n in range(30_000)])
    with operator.running() as service, Load(source.uri, source.name) as load:
        service.line("leading")
        load.go_on(5)
        assert service.end(signal.SIGTERM, timeout=10) == 0
        events = [line["event"] for line in service.lines()]
        assert "service stopped" in events, events
        load.stop()
    with replicating(source, sink) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 10
        assert assert_same_documents(source, sink, "large") == 30_000
