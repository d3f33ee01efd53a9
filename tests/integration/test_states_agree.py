"""Whoever is asked says the same: ``/status``, the metrics, ``replicator status`` and the log, in each state.

The page shows what ``/status`` says, see ``tests/e2e/test_page.py``; dashboards and alerts go by the metrics.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb
from pymongo import MongoClient

from tests.support.databases import Source, fresh_sink
from tests.support.processes import Operator, RunningService
from tests.support.servers import start_mongo, start_postgres
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink

LONG_AGO = 1_600_000_000
OF_COLLECTIONS = {
    "standby": {"streaming"},
    "converging": {"streaming"},
    "snapshotting": {"snapshotting", "streaming"},
}
"""What the collections say where it is not what the service says."""
EXIT_CODES = {"waiting": 3, "resync_required": 4}


@dataclass
class Place:
    """Two servers that may be taken away, and somebody who runs services between them."""

    mongo: MongoReplicaSet
    postgres: PostgresServer
    source: Source
    sink: Sink
    operator: Operator


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with start_mongo() as mongo, start_postgres() as postgres, fresh_sink(postgres) as sink:
        client: MongoClient[dict[str, object]] = MongoClient(mongo.uri, tz_aware=True)
        with client:
            source = Source(mongo.uri, "shop", client, client["shop"])
            source.db.orders.insert_one({"_id": 1})
            environ = {
                "REPLICATOR_MONGO_URI": mongo.uri,
                "REPLICATOR_MONGO_DATABASE": source.name,
                "REPLICATOR_POSTGRES_DSN": sink.dsn,
                "REPLICATOR_ON_HISTORY_LOST": "stop",
            }
            yield Place(mongo, postgres, source, sink, Operator(environ, tmp_path))


def agree(place: Place, service: RunningService, state: str, *, server: str | None = None) -> None:
    """Wait until ``/status`` shows the state; everybody else has to say it as well, and so do the collections."""
    service.wait_for_state(state, timeout=60)
    wait_until(
        lambda: (
            {each["state"] for each in service.status()["collections"].values()} == OF_COLLECTIONS.get(state, {state})
        ),
        message=lambda: f"the collections to say so: {service.status()['collections']}",
    )
    found = service.status()
    metrics = service.get("/metrics")[1]
    shown = re.findall(r'^replicator_state\{state="(\w+)",stream="shop"\} 1\.0$', metrics, re.MULTILINE)
    away = re.findall(r'^replicator_waiting\{server="(\w+)".*\} 1\.0$', metrics, re.MULTILINE)
    told = place.operator.replicator("status", "--url", service.url)

    def states_in_the_log() -> list[str]:
        # What it begins with is no change.
        return ["starting", *(line["state"] for line in service.lines() if line["event"] == "state changed")]

    # The log looks around every few seconds.
    wait_until(lambda: states_in_the_log()[-1:] == [state], message=f"the log to say {state}")
    assert {
        "metric": shown,
        "waits for": away,
        "terminal": told.stdout.split("\n")[0].split("●")[1].strip().split("  ")[0].replace(" ", "_"),
        "exit code": told.exit_code,
        "status waits for": (found["waiting"] or {}).get("server"),
        "meaning": found["meaning"] in told.stdout.replace("\n", " "),
    } == {
        "metric": [state],
        "waits for": [server] if server else [],
        "terminal": state,
        "exit code": EXIT_CODES.get(state, 0),
        "status waits for": server,
        "meaning": True,
    }


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_everybody_says_the_same_in_each_state(place: Place) -> None:
    with place.operator.running() as service:
        agree(place, service, "streaming")
        assert place.operator.replicator("pause").exit_code == 0
        agree(place, service, "paused")
        assert place.operator.replicator("resume").exit_code == 0
        agree(place, service, "streaming")

        with place.operator.running() as second:
            agree(place, second, "standby")

        place.postgres.kill()
        agree(place, service, "waiting", server="postgresql")
        place.postgres.restart()
        agree(place, service, "streaming")

        place.mongo.kill()
        agree(place, service, "waiting", server="mongodb")
        place.mongo.restart()
        agree(place, service, "streaming")

    with place.sink.connect() as connection:
        connection.execute(
            "update replicator.checkpoint set cluster_time = %s, resume_token = %s",
            (LONG_AGO << 32, Jsonb({"_data": f"82{LONG_AGO:08X}000000012B0429296E1404"})),
        )
    with place.operator.running() as service:
        agree(place, service, "resync_required")


@contextmanager
def locked(place: Place, table: str) -> Iterator[None]:
    """Somebody else has locked a table until the end of the block: it can be read, and whoever writes waits."""
    with place.sink.connect() as connection, connection.transaction():
        connection.execute(SQL("lock table {} in exclusive mode").format(Identifier(*table.split("."))))
        yield


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_everybody_says_the_same_of_what_soon_passes(place: Place) -> None:
    place.source.db.orders.insert_many({"_id": number, "text": "x" * 50_000} for number in range(2, 22))
    place.source.db.visits.insert_one({"_id": 1})
    slow = {"REPLICATOR_CHUNK_DOCUMENTS": "1", "REPLICATOR_SNAPSHOT_MAX_MB_S": "0.001"}
    with place.operator.running(**slow) as service:
        agree(place, service, "snapshotting")
        assert place.operator.replicator("snapshot", "pace", "--max-mb-s", "1000").exit_code == 0
        agree(place, service, "streaming")

    with locked(place, "replicator.checkpoint"), place.operator.running() as service:
        agree(place, service, "starting")

    with place.operator.running(REPLICATOR_BATCH_MAX_EVENTS="1") as service:
        agree(place, service, "streaming")
        assert place.operator.replicator("pause").exit_code == 0
        service.wait_for_state("paused")
        # What cannot be read as it was is read as it is: the rows are ahead of the checkpoint until it has come there.
        place.source.client.admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)
        for collection in (place.source.db.orders, place.source.db.visits, place.source.db.orders):
            collection.update_one({"_id": 1}, {"$inc": {"changes": 1}})
        with locked(place, "shop.visits"):
            assert place.operator.replicator("resume").exit_code == 0
            agree(place, service, "converging")
        agree(place, service, "streaming")
