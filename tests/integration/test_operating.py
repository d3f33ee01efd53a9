"""The service as an operator meets it: started as a process, asked, told, and ended."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.support.processes import Operator
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.postgres import PostgresServer
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


def count(sink: Sink, source: Source, table: str) -> int:
    with sink.connect() as connection:
        row = connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(source.name, table))
        ).fetchone()
    return int(row[0]) if row else 0


def test_a_service_tells_what_it_does_and_ends_cleanly_on_sigterm(
    operator: Operator, source: Source, sink: Sink
) -> None:
    source.db.orders.insert_many([{"_id": number} for number in range(100)])
    source.db.command("create", "recent", viewOn="orders", pipeline=[])
    with operator.running() as service:
        service.wait_for_state("streaming")
        status = wait_until(
            lambda: found if (found := service.status())["collections"] and found["lag_seconds"] is not None else None,
            message="the monitor to have seen both servers",
        )
        assert status is not None
        assert status["role"] == "leader"
        assert status["stream"] == source.name
        assert status["collections"]["orders"]["snapshot_progress"] == 1.0
        assert status["unsupported_collections"] == {"recent": "view"}
        assert status["oplog_headroom_seconds"] >= 0
        for path in ("/livez", "/readyz", "/startupz", "/healthz"):
            assert service.get(path) == (200, "ok\n"), path
        source.db.orders.insert_one({"_id": "last"})
        assert service.end(signal.SIGTERM) == 0
        told = [line["event"] for line in service.lines()]
        assert told[0] == "service started"
        assert "stopping" in told
        assert told[-1] == "service stopped"
    assert count(sink, source, "orders") >= 100


def test_metrics_count_what_was_committed(operator: Operator, source: Source) -> None:
    with operator.running() as service:
        service.wait_for_state("streaming")
        source.db.orders.insert_many([{"_id": number} for number in range(10)])
        wanted = f'replicator_events_total{{collection="orders",op="insert",stream="{source.name}"}} 10.0'
        wait_until(lambda: wanted in service.get("/metrics")[1], message="ten inserts in the metrics")
        text = service.get("/metrics")[1]
        assert f'replicator_state{{state="streaming",stream="{source.name}"}} 1.0' in text
        assert f'replicator_leader{{stream="{source.name}"}} 1.0' in text


def test_a_second_instance_stands_by_and_takes_over(operator: Operator, source: Source) -> None:
    with operator.running() as first:
        first.wait_for_state("streaming")
        with operator.running() as second:
            second.wait_for_state("standby")
            status = wait_until(
                lambda: found if (found := second.status())["lag_seconds"] is not None else {},
                message="the standby's lag",
            )
            assert status["role"] == "standby"
            assert second.get("/readyz")[0] == 200
            assert second.get("/livez")[0] == 200
            assert first.end(signal.SIGKILL) == -signal.SIGKILL
            second.wait_for_state("streaming")
            source.db.orders.insert_one({"_id": 1})
            assert second.end(signal.SIGINT) == 0


def test_pausing_holds_the_stream_and_resuming_lets_it_go_on(operator: Operator, source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
        assert operator.answer("pause")["is_led"] is True
        service.wait_for_state("paused")
        source.db.orders.insert_one({"_id": 2})
        # The checkpoint stands still, and a lag that grows is what shows it.
        wait_until(lambda: (service.status()["lag_seconds"] or 0) >= 1, message="lag while nothing moves", timeout=30)
        assert count(sink, source, "orders") == 1
        assert service.get("/livez")[0] == 200
        assert operator.answer("resume")["was_held"] is True
        wait_until(lambda: count(sink, source, "orders") == 2, message="the held document")


def test_resync_reads_a_collection_again(operator: Operator, source: Source, sink: Sink) -> None:
    source.db.orders.insert_many([{"_id": number} for number in range(5)])
    with operator.running() as service:
        wait_until(lambda: service.status()["collections"].get("orders"), message="the collection")
        service.wait_for_state("streaming")
        with sink.connect() as connection:
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(source.name, "orders")))
        assert operator.answer("resync", "orders")["collection"] == "orders"
        wait_until(lambda: count(sink, source, "orders") == 5, message="the rows to come back")


def test_a_collection_that_nobody_knows_is_an_error_with_the_one_that_was_meant(
    operator: Operator, source: Source
) -> None:
    source.db.CustomerOrders.insert_one({"_id": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
    done = operator.replicator("resync", "CustomerOrder", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["hint"] == "Did you mean CustomerOrders?"


def test_dead_letters_are_listed_shown_tried_again_and_dropped(operator: Operator, source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 0, "total": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
        table = sql.Identifier(source.name, "orders")
        with sink.connect() as connection:
            connection.execute(
                sql.SQL("alter table {} add constraint positive check ((doc ->> 'total')::int > 0)").format(table)
            )
        source.db.orders.insert_many([{"_id": 1, "total": -1}, {"_id": 2, "total": 2}, {"_id": 3, "total": -3}])
        wait_until(lambda: service.status()["dead_letters"] == 2, message="two dead letters")

        listed = operator.answer("dead-letters", "list")
        assert listed["total"] == 2
        assert "positive" in listed["dead_letters"][0]["error"]
        first, second = (dead_letter["id"] for dead_letter in listed["dead_letters"])
        # Both by their one reason; the times of both are told.
        (reason,) = listed["reasons"]
        assert (reason["collection"], reason["count"]) == ("orders", 2)
        told = operator.replicator("dead-letters", "list").stdout
        assert told.count("violates check constraint") == 1
        assert f"replicator dead-letters show {first}" in told
        assert "2 dead letters, 1 reason." in told
        assert operator.replicator("dead-letters", "list", "--each").stdout.count("violates check constraint") == 2
        shown = operator.answer("dead-letters", "show", str(first))
        assert shown["document"] == {"_id": {"$numberInt": "1"}, "total": {"$numberInt": "-1"}}

        assert operator.answer("dead-letters", "drop", str(second))["dropped"] == 1
        with sink.connect() as connection:
            connection.execute(sql.SQL("alter table {} drop constraint positive").format(table))
        assert operator.answer("dead-letters", "retry", "--all")["dead_letters"] == [first]
        wait_until(lambda: service.status()["dead_letters"] == 0, message="the letter to be settled")
        assert operator.replicator("dead-letters", "show", str(second)).exit_code == 2
    assert count(sink, source, "orders") == 3


def test_status_asks_the_service_and_without_one_postgresql(operator: Operator, source: Source) -> None:
    source.db.orders.insert_one({"_id": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
        wait_until(lambda: service.status()["collections"], message="the collections")
        told = operator.answer("status", "--url", service.url)
        assert told["state"] == "streaming"
        text = operator.replicator("status", "--url", service.url)
        assert "orders" in text.stdout
        assert service.end(signal.SIGTERM) == 0
    done = operator.replicator("status", "--json", REPLICATOR_HTTP_PORT="9")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["state"]) == (3, "stopped")
    assert told["lag_seconds"] is None
    assert told["collections"]["orders"]["state"] == "stopped"
    assert operator.replicator("status", "--url", "http://127.0.0.1:9/").exit_code == 3


def test_a_port_in_use_ends_the_start_with_the_cause(operator: Operator) -> None:
    with operator.running() as service:
        port = service.url.rstrip("/").rpartition(":")[2]
        done = operator.run_to_its_end(REPLICATOR_HTTP_PORT=port)
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert f"port {port} on 127.0.0.1 is in use" in error["message"]
    assert "REPLICATOR_HTTP_PORT" in error["hint"]


def test_a_wrong_password_ends_the_service_with_one_line_and_no_secret(
    operator: Operator, sink: Sink, postgres_server: PostgresServer
) -> None:
    dsn = postgres_server.dsn(sink.name, password="not-to-be-seen")
    with operator.running(REPLICATOR_POSTGRES_DSN=dsn) as service:
        assert service.process.wait(20) == 2
        failed = service.lines()[-1]
    assert failed["event"] == "service failed"
    assert failed["cause"].startswith("PostgreSQL refuses the user name or password")
    assert "not-to-be-seen" not in service.log.read_text()


def test_servers_that_are_away_are_waited_for_and_a_signal_still_ends_the_service(operator: Operator) -> None:
    with operator.running(
        REPLICATOR_MONGO_URI="mongodb://127.0.0.1:9/", REPLICATOR_POSTGRES_DSN="postgresql://u:p@127.0.0.1:9/d"
    ) as service:
        assert service.line("waiting for a server")["cause"]
        assert service.get("/livez")[0] == 200
        assert service.get("/readyz")[0] == 503
        assert service.status()["lag_seconds"] is None
        found = service.status()
        assert (found["state"], found["role"], found["waiting"]["server"]) == ("waiting", "standby", "mongodb")
        done = operator.replicator("status", "--url", service.url)
        assert (done.exit_code, "Waiting for MongoDB for" in done.stdout) == (3, True)
        assert service.end(signal.SIGTERM) == 0


def test_why_the_service_ended_last_is_told_until_something_is_replicated_again(
    operator: Operator, source: Source
) -> None:
    source.db.orders.insert_one({"_id": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
        assert service.status()["guarantee"] == "exact"
        assert service.end(signal.SIGTERM) == 0
    done = operator.run_to_its_end(REPLICATOR_MONGO_URI=f"{source.uri}&replicaSet=another")
    assert done.returncode == 2
    told = json.loads(operator.replicator("status", "--json", REPLICATOR_HTTP_PORT="9").stdout)
    assert "replica set another" in told["last_failure"]["cause"]
    assert told["last_failure"]["hint"]
    shown = operator.replicator("status", REPLICATOR_HTTP_PORT="9").stdout
    assert "The service ended" in shown
    with operator.running() as service:
        service.wait_for_state("streaming")
        wait_until(lambda: service.status()["last_failure"] is None, message="the failure to be over")
        assert service.end(signal.SIGTERM) == 0


def test_a_request_that_cannot_be_done_is_told_by_status(operator: Operator, source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
        with sink.connect() as connection:
            connection.execute(
                "insert into replicator.request (stream, kind, collection) values (%s, 'forget', 'orders')",
                (source.name,),
            )
        wait_until(
            lambda: [each for each in service.status()["notices"] if each["subject"] == "request"],
            message="the request's error",
        )
        text = operator.replicator("status", "--url", service.url).stdout
        assert "'replicator forget orders' could not be done: Orders exists in MongoDB." in " ".join(text.split())


def test_commands_need_control_tables(operator: Operator) -> None:
    done = operator.replicator("pause")
    assert done.exit_code == 2
    assert "replicator run" in done.stderr


def test_check_folds_what_is_fine_and_ends_with_the_problems(operator: Operator) -> None:
    done = operator.replicator("check", COLUMNS="80", REPLICATOR_MONGO_URI="mongodb://127.0.0.1:9/")
    assert done.exit_code == 3, done.output
    lines = done.stdout.splitlines()
    assert "not checked" not in done.stdout
    (folded,) = [line for line in lines if line.startswith("✘ MongoDB ")]
    assert "not made because of: mongodb reachable" in folded
    problem = next(number for number, line in enumerate(lines) if line.startswith("✘ mongodb reachable: "))
    assert problem > max(number for number, line in enumerate(lines) if line.startswith("✔"))
    assert "0 warnings, 1 failed" in lines[-1]


def test_check_verbose_prints_a_line_for_each_check(operator: Operator) -> None:
    done = operator.replicator("check", "--verbose")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("✔") > 20


def test_a_second_signal_ends_a_service_that_cannot_drain(operator: Operator, source: Source, sink: Sink) -> None:
    with operator.running() as service:
        service.wait_for_state("streaming")
        with sink.connect() as connection:
            writer = connection.execute(
                "select pid from pg_stat_activity where application_name = 'replicator writer' and datname = %s",
                (sink.name,),
            ).fetchone()
        assert writer is not None
        os.kill(writer[0], signal.SIGSTOP)
        try:
            source.db.orders.insert_one({"_id": 1})
            service.process.send_signal(signal.SIGTERM)
            service.line("stopping")
            assert service.end(signal.SIGTERM, timeout=2) == 128 + signal.SIGTERM
        finally:
            os.kill(writer[0], signal.SIGCONT)
