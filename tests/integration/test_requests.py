"""What operators ask for, asked at awkward moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.mapping.model import ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.pipeline.term import Limits
from replicator_service.runtime.state.health import State
from replicator_service.sink.control.requests import add_request, pause, resume
from tests.support.load import Load
from tests.support.replication import Replication, assert_same_documents, quick, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from replicator_service.pipeline.observer import Committed
    from tests.support.databases import Sink, Source

TYPED = Mapping((TypedCollection("things", "things", (MappedColumn("n", ("n",), ColumnType.BIGINT),), ()),))


def ask(sink: Sink, source: Source, kind: str, collection: str | None = None) -> None:
    with sink.connect() as connection:
        connection.execute("set client_min_messages = warning")
        add_request(connection, source.name, kind, collection)


def open_requests(sink: Sink) -> int:
    with sink.connect() as connection:
        return connection.execute("select from replicator.request where handled_at is null").rowcount


def cluster_time(sink: Sink) -> int:
    with sink.connect() as connection:
        row = connection.execute("select cluster_time from replicator.checkpoint").fetchone()
    return int(row[0]) if row else 0


def test_a_stream_that_is_held_does_not_move_after_a_restart(source: Source, sink: Sink) -> None:
    replication = Replication(source, sink)
    replication.start()
    try:
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        replication.stop()
        with sink.connect() as connection:
            pause(connection, source.name)
        before = cluster_time(sink)
        source.db.things.insert_one({"_id": 2})
        replication.start()
        wait_until(lambda: replication.health.report().state is State.PAUSED, message="the service to hold")
        assert cluster_time(sink) == before
        with sink.connect() as connection:
            resume(connection, source.name)
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 2
    finally:
        replication.stop()


def test_a_stream_that_was_released_while_the_service_lost_its_servers_is_not_called_paused(
    source: Source, sink: Sink
) -> None:
    with replicating(source, sink) as replication:
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        with sink.connect() as connection:
            pause(connection, source.name)
            wait_until(lambda: replication.health.report().state is State.PAUSED, message="the service to hold")
            resume(connection, source.name)
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                "and application_name like 'replicator%'"
            )
        replication.catch_up()
        assert replication.health.report().state is State.STREAMING


def test_requests_left_while_the_service_is_down_are_done_at_its_next_start(source: Source, sink: Sink) -> None:
    replication = Replication(source, sink)
    replication.start()
    try:
        for name in ("one", "two", "three"):
            source.db[name].insert_many([{"_id": n} for n in range(5)])
        replication.catch_up()
        replication.stop()
        with sink.connect() as connection:
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(source.name, "one")))
        ask(sink, source, "resync", "one")
        ask(sink, source, "pause", "two")
        ask(sink, source, "resync", "of a name that nobody knows")
        source.db.two.insert_one({"_id": 5})
        source.db.three.insert_one({"_id": 5})
        replication.start()
        replication.catch_up()
        assert open_requests(sink) == 0
        assert assert_same_documents(source, sink, "one") == 5
        assert assert_same_documents(source, sink, "three") == 6
        with sink.connect() as connection:
            query = sql.SQL("select from {}").format(sql.Identifier(source.name, "two"))
            assert connection.execute(query).rowcount == 5, "a paused collection stays as it is"
        ask(sink, source, "resume", "two")
        wait_until(lambda: open_requests(sink) == 0)
        replication.catch_up()
        assert assert_same_documents(source, sink, "two") == 6
    finally:
        replication.stop()


def test_resyncs_pauses_and_resumes_under_load_end_in_the_exact_state(source: Source, sink: Sink) -> None:
    with Load(source.uri, source.name) as load, replicating(source, sink) as replication:
        load.go_on()
        replication.catch_up()
        for kind in ("resync", "pause", "resume", "resync", "resync"):
            ask(sink, source, kind, "busy")
            load.go_on(10)
        ask(sink, source, "resync")
        wait_until(lambda: open_requests(sink) == 0, message="the requests to be done")
        load.stop()
        replication.catch_up()
        assert assert_same_documents(source, sink, "busy") > 50


def test_a_resync_of_everything_leaves_alone_what_has_become_a_view(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.things.insert_many([{"_id": n} for n in range(5)])
        source.db.recent.insert_one({"_id": 1})
        replication.catch_up()
        source.db.recent.drop()
        source.db.command("create", "recent", viewOn="things", pipeline=[])
        replication.catch_up()
        ask(sink, source, "resync")
        wait_until(lambda: open_requests(sink) == 0)
        source.db.things.insert_one({"_id": 5})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 6
        with sink.connect() as connection:
            query = sql.SQL("select from {}").format(sql.Identifier(source.name, "recent"))
            assert connection.execute(query).rowcount == 0


def test_a_letter_outlives_the_renaming_of_its_collection(source: Source, sink: Sink) -> None:
    with replicating(source, sink) as replication:
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute(
                sql.SQL("alter table {} add constraint good check (doc ->> 'bad' is null)").format(
                    sql.Identifier(source.name, "things")
                )
            )
        source.db.things.insert_many([{"_id": 2, "bad": True}, {"_id": 3}])
        replication.catch_up()
        assert replication.health.report().dead_letters == 1
        source.db.things.rename("others")
        replication.catch_up()
        with sink.connect() as connection:
            rows = connection.execute(
                sql.SQL("select _id from {} order by 1").format(sql.Identifier(source.name, "others"))
            ).fetchall()
            dead_letters = connection.execute("select collection, source_id from replicator.dead_letter").fetchall()
            connection.execute("update replicator.dead_letter set retried_at = now()")
        assert len(rows) + len(dead_letters) == 3, "each document has a row or a letter"
        ask(sink, source, "retry")
        wait_until(lambda: open_requests(sink) == 0)
        replication.catch_up()
        assert assert_same_documents(source, sink, "others") == 3
        assert replication.health.report().dead_letters == 0


def test_a_resync_of_values_that_were_altered_counts_no_alteration_backwards(source: Source, sink: Sink) -> None:
    seen: list[int] = []
    with replicating(source, sink, limits=quick(Limits(chunk_documents=1))) as replication:
        counted = replication.health.committed

        def committed(what: Committed) -> None:
            seen.append(what.altered)
            counted(what)

        replication.health.committed = committed  # type: ignore[method-assign]  # counts what passes
        source.db.things.insert_many([{"_id": n, "text": "nul\0"} for n in range(5)])
        replication.catch_up()
        for _ in range(2):
            ask(sink, source, "resync", "things")
            wait_until(lambda: open_requests(sink) == 0)
        replication.catch_up()
    assert min(seen) >= 0
    assert sum(seen) >= 5


def test_a_paused_collection_stays_paused_through_drops_and_renames(source: Source, sink: Sink) -> None:
    """`$out` every night replaces a collection by a rename: the operator's word outlives it."""
    with replicating(source, sink) as replication:
        source.db.held.insert_many([{"_id": n} for n in range(5)])
        source.db.gone.insert_one({"_id": 1})
        source.db.raw.insert_many([{"_id": n} for n in range(100, 120)])
        replication.catch_up()
        for name in ("held", "gone"):
            ask(sink, source, "pause", name)
        wait_until(lambda: open_requests(sink) == 0, message="the pauses")
        source.db.raw.aggregate([{"$out": "held"}])
        source.db.gone.drop()
        source.db.raw.rename("gone")
        source.db.gone.rename("elsewhere")
        replication.catch_up()
        with sink.connect() as connection:
            held = sql.SQL("select from {}").format(sql.Identifier(source.name, "held"))
            gone = sql.SQL("select from {}").format(sql.Identifier(source.name, "gone"))
            assert connection.execute(held).rowcount == 5
            assert connection.execute(gone).rowcount == 1
        assert assert_same_documents(source, sink, "elsewhere") == 20

        for name in ("held", "gone"):
            ask(sink, source, "resume", name)
        wait_until(lambda: open_requests(sink) == 0, message="the resumptions")
        replication.catch_up()
        assert assert_same_documents(source, sink, "held") == 20
        assert assert_same_documents(source, sink, "gone") == 0


def test_a_collection_that_is_gone_can_be_forgotten(source: Source, sink: Sink) -> None:
    source.db.things.insert_one({"_id": 1})
    source.db.others.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
        source.db.things.drop()
        replication.catch_up()
        for name in ("things", "others"):
            ask(sink, source, "forget", name)
        wait_until(lambda: open_requests(sink) == 0)
        replication.catch_up()
        assert assert_same_documents(source, sink, "others") == 1
    with sink.connect() as connection:
        assert connection.execute("select collection from replicator.collection").fetchall() == [("others",)]
        assert connection.execute("select error from replicator.request order by id").fetchall() == [
            (None,),
            ("others exists in MongoDB",),
        ]
        query = "select count(*) from pg_tables where schemaname = %s"
        assert connection.execute(query, (source.name,)).fetchone() == (1,)


def test_a_request_that_ended_the_service_three_times_is_given_up(source: Source, sink: Sink) -> None:
    source.db.things.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
    ask(sink, source, "resync", "things")
    with sink.connect() as connection:
        connection.execute("update replicator.request set attempts = 3")
    with replicating(source, sink) as replication:
        wait_until(lambda: open_requests(sink) == 0)
        replication.catch_up()
    with sink.connect() as connection:
        row = connection.execute("select error from replicator.request").fetchone()
        assert row is not None
        assert "given up" in row[0]
