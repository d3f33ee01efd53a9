"""What a reconciliation refuses, leaves alone or cannot compare, and what it says then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from devstack.mongo import MongoReplicaSet
from replicator_service.cli.application import application
from replicator_service.core.errors import ConfigurationError, Fatal, Retryable
from replicator_service.core.mapping.model import Mapping
from replicator_service.reconcile import Options, RunState, plan_parts, reconcile
from replicator_service.reconcile.compared_collection import compared_collection
from replicator_service.reconcile.comparison_point import (
    NotYet,
    close_comparison_point,
    open_comparison_point,
    require_unchanged,
)
from replicator_service.reconcile.servers import opened
from replicator_service.sink.control.registry import registered
from replicator_service.sink.control.requests import add_request
from tests.support.databases import fresh_source
from tests.support.reconciliation import MAPPING, corrupt, order, reconciled, rows
from tests.support.replication import replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source
    from tests.support.replication import Replication


def fill(source: Source, count: int = 200) -> None:
    source.db.Orders.insert_many([{"_id": number, **order(number)} for number in range(count)])
    source.db.notes.insert_many([{"_id": f"n{number}", "number": number} for number in range(count)])


def last_error(sink: Sink) -> str:
    with sink.connect() as connection:
        row = connection.execute(
            "select error from replicator.reconciliation_run where state = 'failed' order by id desc limit 1"
        ).fetchone()
    return str(row[0]) if row else ""


def test_a_repair_that_would_delete_too_much_deletes_nothing(source: Source, sink: Sink) -> None:
    fill(source)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            corrupt(
                connection,
                source,
                "insert into {notes} (_id, doc, etl_valid_from) "
                "select 'planted ' || i, '{{}}', now() from generate_series(1, 150) as i",
            )
            corrupt(connection, source, "delete from {notes} where _id = 'n1'")
        with pytest.raises(Fatal, match="would delete 150 of 349 rows of notes, more than 5%"):
            reconciled(replication, repair=True)
        assert "would delete 150" in last_error(sink)
        assert rows(sink, source, "notes") == 350
        found = reconciled(replication, repair=True, allow_deletes=0.5)
        assert (found.result.differences, found.result.remaining) == (150, 0)
        assert rows(sink, source, "notes") == 200


def test_a_few_deletes_are_always_allowed(source: Source, sink: Sink) -> None:
    source.db.notes.insert_one({"_id": "n1"})
    with replicating(source, sink) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            corrupt(
                connection,
                source,
                "insert into {notes} select 'p' || i, doc, _bson, now() from {notes}, generate_series(1, 50) as i",
            )
        assert reconciled(replication, repair=True).result.repaired == 50
        assert rows(sink, source, "notes") == 1


def test_dead_letters_are_differences_that_a_repair_leaves(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            corrupt(
                connection, source, "alter table {notes} add constraint small check ((doc ->> 'number')::int < 100)"
            )
            source.db.notes.update_one({"_id": "n1"}, {"$set": {"number": 100}})
            source.db.notes.insert_one({"_id": "new", "number": 200})
            replication.catch_up()
            corrupt(connection, source, "delete from {notes} where _id = 'n5'")
            corrupt(connection, source, "alter table {notes} drop constraint small")
        expected = {("notes", "n1"): "different", ("notes", "new"): "missing", ("notes", "n5"): "missing"}
        found = reconciled(replication, repair=True)
        assert found.kinds == expected
        assert found.unrepaired == {("notes", "n1"), ("notes", "new")}
        assert found.details["notes", "n1"] == "dead letter; columns doc"
        assert found.details["notes", "new"] == "dead letter"


def test_a_document_that_postgresql_refuses_costs_no_other_its_repair(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            corrupt(connection, source, "delete from {notes}")
            corrupt(connection, source, "alter table {notes} add constraint no_n3 check (_id <> 'n3')")
        found = reconciled(replication, repair=True)
        assert (found.result.differences, found.unrepaired) == (10, {("notes", "n3")})
        assert rows(sink, source, "notes") == 9


def test_tables_of_a_dropped_collection_must_be_empty(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        source.db.notes.drop()
        replication.catch_up()
        assert reconciled(replication).kinds == {}
        with sink.connect() as connection:
            corrupt(connection, source, "insert into {notes} (_id, doc, etl_valid_from) values ('x', '{{}}', now())")
        assert reconciled(replication, repair=True).kinds == {("notes", "x"): "unexpected"}
        assert rows(sink, source, "notes") == 0


def test_a_mapped_collection_that_does_not_exist_has_no_rows(source: Source, sink: Sink) -> None:
    source.db.notes.insert_one({"_id": 1})
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        assert reconciled(replication).kinds == {}
        with sink.connect() as connection:
            corrupt(connection, source, "insert into {orders} (_id, etl_valid_from) values ('x', now())")
        assert reconciled(replication, repair=True).kinds == {("Orders", "x"): "unexpected"}


def test_a_collection_that_was_dropped_while_the_service_is_stopped_is_no_false_alarm(
    source: Source, sink: Sink
) -> None:
    fill(source, 10)
    source.db.other.insert_one({"_id": 1})
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        replication.stop()
        source.db.notes.drop()
        source.db.Orders.drop()
        source.db.Orders.insert_one({"_id": 7})
        with pytest.raises((Retryable, Fatal), match=r"not exist|catalog has changed"):
            reconciled(replication, repair=True)
        assert (rows(sink, source, "notes"), rows(sink, source, "orders")) == (10, 10)
        with sink.connect() as connection:
            assert connection.execute("select from replicator.reconciliation_difference").fetchall() == []
        replication.start()
        replication.catch_up()
        assert reconciled(replication).kinds == {}


def test_a_collection_that_is_dropped_while_it_is_compared_is_not_taken_for_empty(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        replication.stop()
        with opened(replication.settings) as servers:
            compared = compared_collection(MAPPING, "notes", registered(servers.write, servers.stream))
            point = open_comparison_point(servers, compared)
            require_unchanged(servers, compared, point)
            source.db.notes.drop()
            with pytest.raises(NotYet, match="was dropped, renamed or created meanwhile"):
                require_unchanged(servers, compared, point)
            close_comparison_point(servers)


def test_paused_and_capped_collections_are_named_and_not_compared(source: Source, sink: Sink) -> None:
    fill(source, 10)
    source.db.create_collection("ring", capped=True, size=100_000)
    source.db.ring.insert_one({"_id": 1})
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            add_request(connection, source.name, "pause", "notes")
            state = "select state from replicator.collection where collection = 'notes'"
            wait_until(lambda: connection.execute(state).fetchone() == ("paused",))
        source.db.notes.delete_many({})
        replication.catch_up()
        found = reconciled(replication)
        assert found.kinds == {}
        skipped = {part.collection: part.skipped for part in found.result.parts if part.skipped}
        assert skipped.keys() == {"notes", "ring"}
        assert "capped" in str(skipped["ring"])
        assert "replicator resume notes" in str(skipped["notes"])


def test_what_cannot_be_compared_yet_is_waited_for_and_then_told(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute("update replicator.collection set state = 'snapshotting' where collection = 'notes'")
            with pytest.raises(Retryable, match="snapshot of notes is not complete"):
                reconciled(replication, timeout_seconds=0.3)
            timer = threading.Timer(
                0.5,
                lambda: connection.execute(
                    "update replicator.collection set state = 'streaming' where collection = 'notes'"
                ),
            )
            timer.start()
            assert reconciled(replication, timeout_seconds=20.0).kinds == {}
            timer.join()
        replication.stop()
        with sink.connect() as connection:
            connection.execute("update replicator.checkpoint set converging_until = cluster_time + 1")
            with pytest.raises(Retryable, match="converging"):
                reconciled(replication, timeout_seconds=20.0)
            connection.execute("update replicator.checkpoint set converging_until = null")


def test_another_mapping_than_the_service_has_is_refused(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        with pytest.raises(ConfigurationError, match="Orders was written under another mapping"):
            reconcile(replication.settings, Mapping(), options=Options(timeout_seconds=1.0))


def test_a_repair_waits_for_whoever_writes_to_the_table(source: Source, sink: Sink) -> None:
    fill(source, 10)
    with replicating(source, sink, MAPPING) as replication, sink.connect() as connection:
        replication.catch_up()
        corrupt(connection, source, "delete from {notes} where _id = 'n1'")
        with sink.connect(autocommit=False) as other:
            corrupt(other, source, "update {notes} set doc = '{{}}' where _id = 'n2'")
            results: list[int] = []
            repairing = threading.Thread(
                target=lambda: results.append(reconciled(replication, repair=True).result.remaining)
            )
            repairing.start()
            waits = "select from pg_locks where not granted and mode = 'ShareRowExclusiveLock'"
            wait_until(lambda: connection.execute(waits).fetchall())
            assert results == []
            other.rollback()
        repairing.join(20.0)
        assert results == [0]
        assert reconciled(replication).kinds == {}


def test_a_server_without_snapshot_history_is_named_as_the_cause(sink: Sink) -> None:
    parameters = {"minSnapshotHistoryWindowInSeconds": "0"}
    with MongoReplicaSet.start(parameters=parameters) as server, fresh_source(server) as source:
        fill(source, 10)
        with replicating(source, sink, MAPPING, accept_inexact=True) as replication:
            replication.catch_up(60.0)
            replication.stop()
            for number in range(20):
                source.db.notes.insert_one({"_id": f"later {number}"})
            with pytest.raises(ConfigurationError, match="minSnapshotHistoryWindowInSeconds is 0"):
                wait_until(lambda: reconciled(replication, repair=True).kinds, timeout=30.0)
        assert rows(sink, source, "notes") == 10
        assert "minSnapshotHistoryWindowInSeconds" in last_error(sink)


def test_nothing_replicated_and_unknown_collections_are_configuration_errors(source: Source, sink: Sink) -> None:
    source.db.notes.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
        with pytest.raises(ConfigurationError, match="no collection 'note'"):
            plan_parts(replication.settings, collections=["note"])
    with sink.connect() as connection:
        connection.execute("drop schema replicator cascade")
    with pytest.raises(ConfigurationError, match="nothing has been replicated"):
        plan_parts(replication.settings)


def environment(replication: Replication) -> dict[str, str]:
    settings = replication.settings
    return {
        "REPLICATOR_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "REPLICATOR_MONGO_DATABASE": settings.mongo_database,
        "REPLICATOR_POSTGRES_DSN": settings.postgres_dsn.get_secret_value(),
    }


def test_the_command_uses_helper_processes_and_finds_the_same(source: Source, sink: Sink) -> None:
    source.db.notes.insert_many([{"_id": f"n{number}", "text": "x" * 100} for number in range(30_000)])
    source.db.notes.insert_one({"_id": "nul", "text": "a\0b"})
    with replicating(source, sink) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            corrupt(connection, source, "delete from {notes} where _id in ('n7', 'n12345')")
            corrupt(connection, source, "update {notes} set _bson = null where _id = 'nul'")
        ended = subprocess.run(
            [
                sys.executable,
                "-c",
                "from replicator_service.cli import main; main()",
                "reconcile",
                "--repair",
                "--json",
            ],
            env={**os.environ, **environment(replication)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        told = json.loads(ended.stdout)
        assert (told["documents"], told["remaining"]) == (30_001, 0)
        found = {(each["source_id"], each["kind"]) for each in told["first_differences"]}
        assert found == {("n7", "missing"), ("n12345", "missing"), ("nul", "different")}
        assert reconciled(replication).kinds == {}


def test_the_command_tells_the_result_by_its_exit_code_and_as_json(source: Source, sink: Sink) -> None:
    source.db.notes.insert_many([{"_id": f"n{number}"} for number in range(10)])
    with replicating(source, sink) as replication:
        replication.catch_up()
        run, environ = CliRunner().invoke, environment(replication)
        equal = run(application, ["reconcile"], env=environ)
        assert (equal.exit_code, "10 documents compared: no difference." in equal.output) == (0, True)
        with sink.connect() as connection:
            corrupt(connection, source, "delete from {notes} where _id = 'n3'")
        different = run(application, ["reconcile", "--json", "--collection", "notes"], env=environ)
        told = json.loads(different.stdout)
        assert (different.exit_code, told["differences"], told["state"]) == (1, 1, RunState.FINISHED.value)
        assert told["first_differences"] == [
            {"collection": "notes", "source_id": "n3", "kind": "missing", "detail": None, "repaired": False}
        ]
        shown = run(application, ["reconcile"], env=environ)
        assert (shown.exit_code, "n3" in shown.output, "Repair with --repair." in shown.output) == (1, True, True)
        repaired = run(application, ["reconcile", "--repair"], env=environ)
        assert (repaired.exit_code, "1 repaired, 0 remain" in repaired.output) == (0, True)
        unknown = run(application, ["reconcile", "-c", "nobody", "--json"], env=environ)
        assert (unknown.exit_code, json.loads(unknown.stdout)["error"]["class"]) == (2, "ConfigurationError")
