"""The steps of the demo, in order. Each builds on the stage that it is given and says what it did."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from pymongo import MongoClient

from devstack.binaries import find_mongod, find_postgres
from devstack.demo import stage as places
from devstack.demo.airflow_steps import run_the_dags, start_airflow
from devstack.demo.comparison import Comparison, compare
from devstack.demo.lag import LagMeter
from devstack.demo.traffic import LiveTraffic, write_history
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK, on_free_port
from devstack.service import ServiceOptions, ServiceProcess
from devstack.stack import running_stack
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.position import to_cluster_time

if TYPE_CHECKING:
    from devstack.demo.stage import Stage

HISTORY_DOCUMENTS = 25_000
LIVE_RATE = 60.0
"""Changes a second."""

_LIVE_SECONDS = 5.0
"""How much live traffic there is before the proof."""
_READY_SECONDS = 30.0
_CATCH_UP_SECONDS = 60.0
_POLL_SECONDS = 0.05

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its title, and what it does with the stage."""

    title: str
    run: Callable[[Stage, Report], None]
    about: str = ""
    """What is to be expected where a step takes long: seconds, megabytes."""


def fetch_programs(_stage: Stage, tell: Report) -> None:
    """Find the server programs, or fetch them: only the first time that takes long."""
    mongod, postgres = find_mongod(), find_postgres(places.POSTGRES_VERSION)
    tell(f"MongoDB {mongod.version}, PostgreSQL {postgres.version}")


def start_servers(stage: Stage, tell: Report) -> None:
    """Start a replica set and PostgreSQL, empty."""
    stack = running_stack(
        stage.directory,
        postgres_version=places.POSTGRES_VERSION,
        mongo_port=places.friendly_port(places.MONGO_PORT),
        postgres_port=places.friendly_port(places.POSTGRES_PORT),
    )
    stage.stack = stage.ends.enter_context(stack)
    stage.client = stage.ends.enter_context(MongoClient[dict[str, Any]](stage.stack.mongo.uri, tz_aware=True))
    with psycopg.connect(stage.stack.postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(places.SINK)))
    stage.dsn = stage.stack.postgres.dsn(places.SINK)
    mongo = places.port_told(stage.stack.mongo.port, places.MONGO_PORT)
    postgres = places.port_told(stage.stack.postgres.port, places.POSTGRES_PORT)
    tell(f"ports {mongo} and {postgres}")


def start_service(stage: Stage, tell: Report) -> None:
    """Start the service as an operator does, and wait until it says that it is ready."""

    def started(port: int) -> ServiceProcess:
        options = ServiceOptions(
            mongo_uri=stage.stack.mongo.uri,
            postgres_dsn=stage.dsn,
            mongo_database=places.SOURCE,
            http_port=port,
            mapping=places.MAPPING,
        )
        with ExitStack() as unless_it_listens:
            service = unless_it_listens.enter_context(ServiceProcess(stage.directory, options))
            service.wait_until_listening()
            stage.ends.push(unless_it_listens.pop_all())
        return service

    port, stage.service = on_free_port(started, wanted=places.HTTP_PORT)
    stage.url = f"http://{LOOPBACK}:{port}"
    _wait(stage, lambda: _answers(port), _READY_SECONDS, "The service did not become ready.")
    tell(f"port {places.port_told(port, places.HTTP_PORT)}, log {stage.service.log.relative_to(places.ROOT)}")


def write_the_past(stage: Stage, tell: Report) -> None:
    """Two weeks of a shop, replicated as they are written."""
    names = _parent_tables()
    with stage.screen.bars() as bars, psycopg.connect(stage.dsn, autocommit=True) as connection:
        written = bars.add_task("documents and changes written to MongoDB", total=HISTORY_DOCUMENTS * 5 // 4)
        visible = bars.add_task("documents visible in PostgreSQL", total=HISTORY_DOCUMENTS)

        def show(operations: int = 0) -> None:
            bars.advance(written, operations)
            bars.update(visible, completed=_count(connection, names))

        counts = write_history(stage.client[places.SOURCE], HISTORY_DOCUMENTS, datetime.now(UTC), show)
        until = to_cluster_time(stage.client[places.SOURCE].command("ping")["operationTime"])

        def has_arrived() -> bool:
            show()
            return _reached(connection, until)

        began = time.monotonic()
        _wait(stage, has_arrived, _CATCH_UP_SECONDS, "PostgreSQL did not catch up in time.")
        waited = time.monotonic() - began
    tell(
        f"{counts.inserted:,} inserts, {counts.updated:,} updates, {counts.deleted:,} deletes; "
        f"PostgreSQL had all of it {waited * 1e3:,.0f} ms later"
    )


def let_customers_in(stage: Stage, tell: Report) -> None:
    """Live inserts, updates and deletes in the background, from here to the end."""
    stage.lag = LagMeter(stage.dsn, places.SOURCE)
    stage.ends.callback(stage.lag.stop)
    stage.lag.start()
    stage.traffic = LiveTraffic(stage.stack.mongo.uri, places.SOURCE, rate=LIVE_RATE, lag=stage.lag)
    stage.ends.callback(stage.traffic.stop)
    stage.traffic.start()
    ends = time.monotonic() + _LIVE_SECONDS
    _wait(stage, lambda: time.monotonic() > ends, 2 * _LIVE_SECONDS, "Time stands still.")
    if stage.traffic.error is not None:
        raise DevstackError(
            f"The live traffic ended: {stage.traffic.error}.", hint=f"The service's log is {stage.service.log}."
        )
    tell(f"{LIVE_RATE:.0f} changes a second, in the background")


def prove(stage: Stage, tell: Report) -> None:
    """Compare both sides exactly while the traffic continues."""
    stage.comparison = compare_now(stage)
    tell(
        f"{stage.comparison.documents:,} documents against their rows, at one cluster time, while the traffic continues"
    )


STEPS = (
    Step("Find the server programs", fetch_programs, "70 MB are fetched the first time, a minute"),
    Step("Start MongoDB and PostgreSQL", start_servers, "5 seconds"),
    Step("Start the replication service", start_service, "3 seconds"),
    Step("Write two weeks of a shop", write_the_past, "5 seconds"),
    Step("Start Airflow", start_airflow, "30 seconds, the first time a minute"),
    Step("Generate, reconcile, load the marts", run_the_dags, "20 seconds"),
    Step("Let customers in", let_customers_in, "5 seconds"),
    Step("Compare both sides", prove, "2 seconds"),
)


def compare_now(stage: Stage) -> Comparison:
    """The exact comparison, at the checkpoint of this moment."""
    mapping = load_mapping(places.MAPPING.read_bytes(), name=str(places.MAPPING))
    return compare(stage.client, places.SOURCE, stage.dsn, mapping)


def dead_letters(stage: Stage) -> int:
    """How many documents PostgreSQL refused."""
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        row = connection.execute("select count(*) from replicator.dead_letter").fetchone()
    return int(row[0]) if row else 0


def _parent_tables() -> list[str]:
    mapping = load_mapping(places.MAPPING.read_bytes(), name=str(places.MAPPING))
    return [tables_of(each)[0].name for each in mapping.collections]


def _count(connection: psycopg.Connection[tuple[Any, ...]], tables: list[str]) -> int:
    counts = sql.SQL(" + ").join(
        sql.SQL("(select count(*) from {})").format(sql.Identifier(places.SOURCE, name)) for name in tables
    )
    row = connection.execute(sql.SQL("select {}").format(counts)).fetchone()
    return int(row[0]) if row else 0


def _reached(connection: psycopg.Connection[tuple[Any, ...]], cluster_time: int) -> bool:
    query = (
        "select c.cluster_time >= %s and not exists (select from replicator.collection as l where l.stream = c.stream "
        "and l.state = 'snapshotting') from replicator.checkpoint as c where c.stream = %s"
    )
    row = connection.execute(query, (cluster_time, places.SOURCE)).fetchone()
    return bool(row and row[0])


def _answers(port: int) -> bool:
    """Whether ``/readyz`` says that the service is ready."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait(stage: Stage, done: Callable[[], bool], seconds: float, failure: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        stage.require_running()
        if time.monotonic() > deadline:
            raise DevstackError(failure, hint=f"The service's log is {stage.service.log}.")
        time.sleep(_POLL_SECONDS)
