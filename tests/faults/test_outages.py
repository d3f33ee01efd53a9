"""An outage as an operator meets it: in the log, in ``status``, in ``/status`` and in the metrics, all the same."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tests.support.processes import Operator
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Sink, Source
    from tests.support.processes import RunningService


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


@contextmanager
def full_disk_for(sink: Sink, source: Source, name: str) -> Iterator[None]:
    """Rows of one table find no room; everything else does, the checkpoint included."""
    with sink.connect() as connection:
        connection.execute(
            "create function refuse() returns trigger language plpgsql as "
            "$$ begin raise exception 'no room' using errcode = '53100'; end $$"
        )
        connection.execute(
            sql.SQL("create trigger refuse before insert on {} execute function refuse()").format(
                sql.Identifier(source.name, name)
            )
        )
        yield
        connection.execute("drop function refuse cascade")


def events(service: RunningService) -> list[str]:
    return [line["event"] for line in service.lines()]


def attempts(sink: Sink) -> int:
    with sink.connect() as connection:
        row = connection.execute("select epoch from replicator.checkpoint").fetchone()
    return row[0] if row else 0


def test_a_full_disk_is_one_outage_however_often_the_lease_is_taken_and_other_commits_pass(
    operator: Operator, source: Source, sink: Sink
) -> None:
    source.db.full.insert_one({"_id": 1})
    with operator.running() as service:
        service.wait_for_state("streaming")
        wait_until(lambda: service.status()["collections"], message="the collections")
        with full_disk_for(sink, source, "full"):
            source.db.full.insert_one({"_id": 2})
            found = service.wait_for_state("waiting")
            assert found["waiting"]["server"] == "postgresql"
            assert "disk is full" in found["waiting"]["reason"]
            since, first = found["waiting"]["since"], attempts(sink)
            wait_until(lambda: attempts(sink) >= first + 5, timeout=60, message="more attempts")
            found = service.status()
            assert (found["state"], found["waiting"]["since"][:18]) == ("waiting", since[:18])
            assert {each["state"] for each in found["collections"].values()} == {"waiting"}
            assert service.get("/readyz")[0] == 503
            assert f'replicator_disk_full{{stream="{source.name}"}} 1.0' in service.get("/metrics")[1]
            done = operator.replicator("status", "--url", service.url)
            assert (done.exit_code, "Waiting for PostgreSQL" in done.stdout) == (3, True)
        service.line("servers are back", timeout=40)
        told = events(service)
        assert told.count("waiting for a server") <= 2
        assert (told.count("servers are back"), told.count("leading")) == (1, 1)
        assert service.status()["state"] == "streaming"
