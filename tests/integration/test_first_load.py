"""A large first load: in ranges, under traffic, killed in the middle, asked for again, as fast as somebody allows."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bson import Decimal128, MaxKey, MinKey, ObjectId
from typer.testing import CliRunner

from devstack.ports import free_port
from devstack.service import ServiceOptions, ServiceProcess
from replicator_service.cli.application import application
from replicator_service.core.mapping.model import ColumnType, MappedColumn, Mapping, TypedCollection
from replicator_service.core.sessions import Pace
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.control.requests import add_request
from replicator_service.sink.control.snapshot_pace import write_pace
from tests.support.limits import LIVELY
from tests.support.replication import assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from tests.support.databases import Sink, Source

IN_RANGES = replace(LIVELY, chunk_documents=50, range_documents=100, snapshot_workers=3)
ODD: tuple[Any, ...] = (MinKey(), MaxKey(), None, "", "x", 1.5, Decimal128("7.25"), {"a": 1}, True, ObjectId(), b"b")


def load(source: Source, count: int) -> None:
    source.db.things.insert_many([{"_id": each, "n": 0} for each in (*ODD, *range(1_000, 1_000 + count))])


@contextmanager
def traffic(source: Source) -> Iterator[None]:
    """Documents come, change and go, all over the collection, for as long as the block lasts."""
    stop = threading.Event()

    def run() -> None:
        things = source.db.things
        for n in itertools.count():
            if stop.is_set():
                return
            things.update_one({"_id": 1_000 + n * 37 % 900}, {"$set": {"n": n}})
            things.delete_one({"_id": 1_000 + n * 53 % 900})
            things.replace_one({"_id": 1_000 + n * 53 % 900 + 0.5}, {"late": n}, upsert=True)
            things.replace_one({"_id": ODD[n % len(ODD)]}, {"odd": n}, upsert=True)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def progress(sink: Sink) -> tuple[int, int]:
    """How many documents were written, and how many ranges are left."""
    with sink.connect() as connection:
        if connection.execute("select to_regclass('replicator.snapshot_range') is null").fetchone() == (True,):
            return 0, 0
        documents = connection.execute("select coalesce(sum(documents), 0)::bigint from replicator.snapshot_progress")
        ranges = connection.execute("select count(*) from replicator.snapshot_range where finished_at is null")
        return documents.fetchone()[0], ranges.fetchone()[0]  # type: ignore[index]  # both give one row


def test_ranges_are_read_under_traffic(source: Source, sink: Sink) -> None:
    load(source, 900)
    with traffic(source), replicating(source, sink, limits=IN_RANGES) as replication:
        wait_until(lambda: progress(sink)[1] > 3)
        replication.catch_up()
    with replicating(source, sink, limits=IN_RANGES) as replication:
        replication.catch_up()
        assert_same_documents(source, sink, "things")
    assert progress(sink)[1] == 0


def test_a_resync_that_is_asked_for_during_the_load_begins_anew(source: Source, sink: Sink) -> None:
    load(source, 900)
    with traffic(source), replicating(source, sink, limits=IN_RANGES) as replication:
        for _ in range(3):
            wait_until(lambda: progress(sink)[0] > 0)
            with sink.connect() as connection:
                add_request(connection, source.name, "resync", "things")
        replication.catch_up()
    with replicating(source, sink, limits=IN_RANGES) as replication:
        replication.catch_up()
        assert_same_documents(source, sink, "things")


def test_a_load_that_is_killed_continues_with_the_chunks_that_were_not_written(
    source: Source, sink: Sink, tmp_path: Path
) -> None:
    count = 110_000
    for first in range(0, count, 10_000):
        source.db.things.insert_many([{"_id": n, "n": 0} for n in range(first, first + 10_000)])
    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
        write_pace(connection, source.name, Pace(workers=2, max_mb_s=1.0))
    options = ServiceOptions(
        source.uri, sink.dsn, source.name, free_port(), variables={"REPLICATOR_CHUNK_DOCUMENTS": "2000"}
    )
    with ServiceProcess(tmp_path, options) as service:
        wait_until(lambda: progress(sink)[0] > 5_000, timeout=60)
        os.kill(service.pid, signal.SIGKILL)
        wait_until(lambda: not service.running)
    written, ranges = progress(sink)
    assert 5_000 < written < count
    assert ranges == 2
    source.db.things.update_many({"_id": {"$mod": [1_000, 0]}}, {"$set": {"n": 1}})
    with connect(sink.dsn, application_name="test") as connection:
        write_pace(connection, source.name, Pace(max_mb_s=0))
    with replicating(source, sink) as replication:
        replication.catch_up(timeout=90)
        assert_same_documents(source, sink, "things")
    assert progress(sink) == (count, 0)


def test_the_pace_is_changed_while_collections_are_read(
    source: Source, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(source, 900)
    monkeypatch.setenv("REPLICATOR_MONGO_URI", source.uri)
    monkeypatch.setenv("REPLICATOR_MONGO_DATABASE", source.name)
    monkeypatch.setenv("REPLICATOR_POSTGRES_DSN", sink.dsn)

    def pace(*arguments: str) -> str:
        result = CliRunner().invoke(application, ["snapshot", "pace", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    with replicating(source, sink, limits=replace(IN_RANGES, snapshot_max_mb_s=0.001)) as replication:
        wait_until(lambda: progress(sink)[1] > 0)
        assert "2 at a time, as fast as it goes" in pace()
        assert '"max_mb_s": null' in pace("--workers", "4", "--max-mb-s", "0", "--json")
        replication.catch_up()
        assert_same_documents(source, sink, "things")
        assert "4 at a time" in pace()
        assert "2 at a time" in pace("--reset")


def test_the_service_makes_indexes_once_a_collection_is_loaded(source: Source, sink: Sink, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yml"
    mapping.write_text(
        "version: 1\ncollections:\n  things: {table: things, columns: {n: integer}, indexes: [n]}\n",
        encoding="utf-8",
    )
    load(source, 5_000)

    def indexes() -> list[tuple[Any, ...]]:
        with sink.connect() as connection:
            query = "select indexname from pg_indexes where schemaname = %s and indexname like '%%idx'"
            return connection.execute(query, (source.name,)).fetchall()

    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
        write_pace(connection, source.name, Pace(max_mb_s=0.05))
        variables = {"REPLICATOR_CHUNK_DOCUMENTS": "500"}
        options = ServiceOptions(source.uri, sink.dsn, source.name, free_port(), mapping, variables=variables)
        with ServiceProcess(tmp_path / "service", options) as service:
            wait_until(lambda: progress(sink)[0] > 500, timeout=60)
            waiting = "select state from replicator.index_build"
            wait_until(lambda: connection.execute(waiting).fetchall() == [("waiting",)])
            assert indexes() == []
            write_pace(connection, source.name, Pace(max_mb_s=0))
            wait_until(lambda: indexes() == [("things__n_idx",)], timeout=60)
            wait_until(lambda: connection.execute(waiting).fetchall() == [])
            service.require_running()


def test_keys_of_loaded_rows_are_noted_for_those_who_watch(source: Source, sink: Sink) -> None:
    load(source, 20)
    mapping = Mapping((TypedCollection("things", "things", (MappedColumn("n", ("n",), ColumnType.INTEGER),)),))
    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
        connection.execute(
            "insert into replicator.key_watch (reader, stream, table_name, key_column, is_kept) "
            "values ('reader', %s, 'things', 'n', true)",
            (source.name,),
        )
        with replicating(source, sink, mapping, limits=LIVELY) as replication:
            replication.catch_up()
        noted = {key for (key,) in connection.execute("select key from replicator.changed_key").fetchall()}
        assert "0" in noted
