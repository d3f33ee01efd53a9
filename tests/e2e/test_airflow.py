"""The whole system: Airflow with its scheduler and two workers, the service, from the generator to the marts.

The workers are processes that share nothing but the programs. ``AIRFLOW_EXECUTOR`` says who hands them their tasks:
celery (the default) or edge; ``make test-workers`` tries both.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from bson import ObjectId
from psycopg.conninfo import conninfo_to_dict
from pymongo import MongoClient

from devstack.airflow import AirflowProcesses
from devstack.airflow_configuration import AirflowOptions
from devstack.airflow_executors import Executor
from devstack.ports import free_port
from replicator_service.configuration.mapping_file import read_mapping
from tests.support.databases import Sink, Source, fresh_sink
from tests.support.reconciliation import traffic
from tests.support.replication import replicating
from tests.support.waiting import wait_until
from warehouse_jobs.marts import load
from warehouse_jobs.marts.results import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.airflow_api import AirflowApi, DagRun
    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
MAPPING = ROOT / "mappings" / "shop.yml"
GENERATOR, REPLICATOR, MARTS = DAG_IDS = ("mongo_data_generator", "mongo_pg_replicator", "pg_datamart_loader")
FORM = {"documents_per_day": 300, "days": 3, "seed": 11}

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def shop(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    """A database ``origin``, whose tables the marts read."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_server.uri, tz_aware=True)
    with client:
        client.drop_database("origin")
        yield Source(mongo_server.uri, "origin", client, client["origin"])
        client.drop_database("origin")


@pytest.fixture(scope="module")
def warehouse(postgres_server: PostgresServer) -> Iterator[Sink]:
    """The database of the tables and marts."""
    with fresh_sink(postgres_server) as database:
        yield database


@pytest.fixture(scope="module")
def metadata(postgres_server: PostgresServer) -> Iterator[Sink]:
    """The database of Airflow itself."""
    with fresh_sink(postgres_server) as database:
        yield database


@pytest.fixture(scope="module")
def airflow(
    shop: Source, warehouse: Sink, metadata: Sink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowProcesses]:
    """A healthy Airflow whose marts are late as soon as they are wanted, with its DAGs unpaused."""
    postgres = conninfo_to_dict(warehouse.dsn)
    mongo_host, mongo_port = shop.client.address or ("", 0)
    options = AirflowOptions(
        dags=ROOT / "airflow" / "dags",
        metadata_dsn=metadata.dsn,
        port=free_port(),
        secrets={
            "MONGO_DB_CONN_HOST": mongo_host,
            "MONGO_DB_CONN_PORT": str(mongo_port),
            "MONGO_DB_CONN_LOGIN": "",
            "MONGO_DB_CONN_PASSWORD": "",
            "POSTGRES_CONN_HOST": str(postgres["host"]),
            "POSTGRES_CONN_PORT": str(postgres["port"]),
            "POSTGRES_CONN_SCHEMA": warehouse.name,
            "POSTGRES_CONN_LOGIN": str(postgres["user"]),
            "POSTGRES_CONN_PASSWORD": str(postgres["password"]),
        },
        variables={"REPLICATOR_MAPPING": str(MAPPING), "MART_LATE_AFTER_MINUTES": "0.001"},
        plugins=ROOT / "airflow" / "plugins",
        executor=Executor(os.environ.get("AIRFLOW_EXECUTOR", Executor.CELERY)),
        workers=2,
    )
    with AirflowProcesses(tmp_path_factory.mktemp("airflow"), options) as processes:
        processes.wait_until_healthy()
        api = processes.api
        wait_until(lambda: api.dags() == set(DAG_IDS), timeout=60, message="the DAGs")
        for dag_id in DAG_IDS:
            api.unpause(dag_id)
        yield processes
        pids = set(processes.pids.values())
        processes.stop()
        wait_until(lambda: not pids & sessions(), message=lambda: f"the end of {pids & sessions()}")


def ended(airflow: AirflowProcesses, run: DagRun, state: str = "success", *, timeout_seconds: float = 150) -> DagRun:
    """Wait for the end of a run, which must be as expected."""
    airflow.require_running()
    api = airflow.api
    wait_until(
        lambda: api.run(run).has_ended, timeout=timeout_seconds, message=lambda: f"the end of {run}: {api.tasks(run)}"
    )
    now = api.run(run)
    assert now.state == state, (api.tasks(run), api.note(run))
    return now


def newest(api: AirflowApi, dag_id: str, run_type: str, known: set[str]) -> DagRun:
    """Wait for a run of this type that is not among the known ones."""
    found = wait_until(
        lambda: [each for each in api.runs(dag_id) if each.run_type == run_type and each.run_id not in known],
        timeout=90,
        message=f"a run of {dag_id} ({run_type})",
    )
    return found[0]


def known_runs(api: AirflowApi, dag_id: str) -> set[str]:
    return {each.run_id for each in api.runs(dag_id)}


def visitors(shop: Source, start: datetime, end: datetime) -> dict[str, list[Any]]:
    """What visitors have left in a stretch of time: the first four bytes of their ``_id`` are its time."""
    wanted = {"_id": {"$gte": ObjectId.from_datetime(start), "$lt": ObjectId.from_datetime(end)}}
    return {name: list(shop.db[name].find(wanted).sort("_id")) for name in sorted(shop.db.list_collection_names())}


def test_the_shop_goes_from_the_generator_to_the_marts_by_way_of_the_proof(
    airflow: AirflowProcesses, shop: Source, warehouse: Sink
) -> None:
    api = airflow.api
    assert api.import_errors() == []
    assert api.connection("postgres_conn")["conn_type"] == "postgres"
    assert api.connection("mongo_db_conn")["schema"] == "origin"
    marts_before = known_runs(api, MARTS)

    with replicating(shop, warehouse, read_mapping(MAPPING)) as replication:
        ended(airflow, api.trigger(GENERATOR, FORM))
        replication.catch_up()
        with warehouse.connect() as connection:
            connection.execute(
                "delete from origin.support_tickets where _id = (select min(_id) from origin.support_tickets)"
            )

        # The reconciliation repairs while the service runs, and tells the marts by its asset.
        proof = ended(airflow, api.trigger(REPLICATOR))
        marts = ended(airflow, newest(api, MARTS, "asset_triggered", marts_before))

    instances = api.instances(proof)
    labels = {each["rendered_map_index"] for each in instances if each["task_id"] == "compare_part"}
    assert labels == set(shop.db.list_collection_names())
    (event,) = [each for each in api.asset_events() if each["source_run_id"] == proof.run_id]
    facts = event["extra"]
    assert (facts["differences"], facts["repaired"], facts["not_proved"]) == (1, 1, [])
    assert f"{facts['documents']:,} documents compared, 1 difference, 1 repaired, 0 remain" in api.note(proof)
    assert facts["source_time"] in api.note(proof)
    assert "user_activity: " in api.note(marts)

    with warehouse.connect() as connection:
        run = connection.execute(
            "select state from replicator.reconciliation_run where id = %s", (facts["run_id"],)
        ).fetchall()
        assert run == [("finished",)]
        difference = connection.execute(
            "select collection, kind, repaired_at is not null from replicator.reconciliation_difference "
            "where run_id = %s",
            (facts["run_id"],),
        ).fetchall()
        assert difference == [("SupportTickets", "missing", True)]
        tickets = connection.execute("select count(*) from mart.support_efficiency").fetchone()
        assert tickets == (shop.db["SupportTickets"].count_documents({}),)

    told = f"the marts are late: run {marts.run_id} of pg_datamart_loader"
    wait_until(lambda: told in triggerer_logs(airflow.home), timeout=60, message="the deadline alert")


def test_a_day_is_written_once_whether_by_schedule_by_hand_cleared_or_back_filled(
    airflow: AirflowProcesses, shop: Source, metadata: Sink
) -> None:
    api = airflow.api
    before = known_runs(api, GENERATOR)
    day = datetime(2026, 3, 5, 1, tzinfo=UTC)
    with metadata.connect() as connection:
        # The tick of that day is due.
        connection.execute(
            "update dag set next_dagrun = %(end)s, next_dagrun_data_interval_start = %(start)s, "
            "next_dagrun_data_interval_end = %(end)s, next_dagrun_create_after = %(end)s where dag_id = %(dag)s",
            {"start": day - timedelta(days=1), "end": day, "dag": GENERATOR},
        )
    scheduled = ended(airflow, newest(api, GENERATOR, "scheduled", before))
    first = api.result(scheduled, "generate")
    assert (first["start"], first["end"]) == ((day - timedelta(days=1)).isoformat(), day.isoformat())
    assert first["deleted"] > 0
    written = visitors(shop, day - timedelta(days=1), day)
    assert len(written["EventLogs"]) > 100

    api.clear(scheduled)
    again = api.result(ended(airflow, scheduled), "generate")
    assert (again["inserted"], again["updated"], again["deleted"]) == (0, 0, 0)

    refused = api.backfill(MARTS, "2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z")
    assert "does not allow backfill runs" in refused
    assert api.backfill(GENERATOR, "2026-03-05T00:30:00Z", "2026-03-05T02:00:00Z") == ""
    filled = ended(airflow, newest(api, GENERATOR, "backfill", before))
    third = api.result(filled, "generate")
    assert third["start"] == first["start"]
    assert (third["inserted"], third["updated"], third["deleted"]) == (0, 0, 0)
    assert visitors(shop, day - timedelta(days=1), day) == written


def test_a_misspelt_parameter_is_refused_by_name_and_nothing_is_done(
    airflow: AirflowProcesses, warehouse: Sink
) -> None:
    api = airflow.api
    with warehouse.connect() as connection:
        before = connection.execute("select to_regclass('replicator.reconciliation_run') is not null").fetchone()
    run = ended(airflow, api.trigger(REPLICATOR, {"Repair": False}), "failed")
    assert api.tasks(run)["begin_run"] == "upstream_failed"
    assert "there is no parameter 'Repair': nothing was done" in api.note(run)
    assert "Did you mean repair?" in api.note(run)
    with warehouse.connect() as connection:
        assert (
            connection.execute("select to_regclass('replicator.reconciliation_run') is not null").fetchone() == before
        )


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_time_and_nothing_else(
    airflow: AirflowProcesses, shop: Source, warehouse: Sink
) -> None:
    api = airflow.api
    with replicating(shop, warehouse, read_mapping(MAPPING)) as replication:
        ended(airflow, api.trigger(GENERATOR, {**FORM, "seed": 12}))
        replication.catch_up()
        marts_before = known_runs(api, MARTS)
        with warehouse.connect() as connection, psycopg.connect(warehouse.dsn) as blocking:
            removed = connection.execute(
                "with gone as (delete from origin.event_logs where _id in (select _id from origin.event_logs limit 20) "
                "returning 1) select count(*) from gone"
            ).fetchone()
            assert removed == (20,)
            # The comparison may read, and its repair has to wait.
            blocking.execute("lock table origin.event_logs in share mode")
            proof = api.trigger(REPLICATOR)
            kill_who_waits(airflow, connection, "event_logs")
            blocking.rollback()
            ended(airflow, proof)
            facts = api.result(proof, "finish_run")
            assert (facts["differences"], facts["repaired"], facts["is_whole"]) == (20, 20, True)
            stored = connection.execute(
                "select count(*), count(repaired_at) from replicator.reconciliation_difference where run_id = %s",
                (facts["run_id"],),
            ).fetchone()
            assert stored == (20, 20)

            # A mapped task that is cleared finds nothing any more, and the report keeps what was repaired.
            api.clear(proof, ("compare_part", 1), "finish_run")
            ended(airflow, proof)
            assert api.result(proof, "finish_run")["repaired"] == 20

            marts = newest(api, MARTS, "asset_triggered", marts_before)
            ended(airflow, marts)
            loads = "select count(*) from mart.load_run where mart = 'user_activity'"
            before = connection.execute(loads).fetchone()
            blocking.execute("lock table origin.user_sessions in access exclusive mode")
            late = api.trigger(MARTS)
            kill_who_waits(airflow, connection, "user_sessions")
            blocking.rollback()
            ended(airflow, late)
            after = connection.execute(loads).fetchone()
            assert before is not None
            assert after == (before[0] + 1,)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [int(each) for each in os.environ.get("AIRFLOW_KILL_SEEDS", "1").split(",")])
def test_workers_that_are_killed_at_random_under_traffic_leave_whole_reports_and_do_nothing_twice(
    airflow: AirflowProcesses, shop: Source, warehouse: Sink, seed: int
) -> None:
    api, chance = airflow.api, random.Random(seed)  # noqa: S311 - the same kills again
    with replicating(shop, warehouse, read_mapping(MAPPING)) as replication:
        ended(airflow, api.trigger(GENERATOR, {**FORM, "seed": 100 + seed}))
        replication.catch_up()
        marts_before = known_runs(api, MARTS)
        with warehouse.connect() as connection, traffic(lambda number: visit(shop, number)):
            query = (
                "with gone as (delete from origin.{0} where _id in (select _id from origin.{0} limit 5) returning 1) "
                "select count(*) from gone"
            )
            for table in ("event_logs", "user_sessions", "search_queries"):
                assert connection.execute(query.format(table).encode()).fetchone() == (5,)

            proof = api.trigger(REPLICATOR)
            kill_at_random(airflow, proof, chance, times=2)
            ended(airflow, proof, timeout_seconds=400)
            facts = api.result(proof, "finish_run")
            assert (facts["differences"], facts["repaired"], facts["is_whole"]) == (15, 15, True)

            marts = newest(api, MARTS, "asset_triggered", marts_before)
            kill_at_random(airflow, marts, chance, times=1)
            ended(airflow, marts, timeout_seconds=400)
            twice = connection.execute(
                "select user_id from mart.user_activity_history where etl_valid_to is null "
                "group by user_id having count(*) > 1"
            ).fetchall()
            assert twice == []
        # Of the first loads the journal is not complete.
        replication.catch_up()
        load(warehouse.dsn, "user_activity")
        result = load(warehouse.dsn, "user_activity")
        full = load(warehouse.dsn, "user_activity", full=True)
        assert (result.mode, full.changed) == (Mode.INCREMENTAL, 0)


def visit(shop: Source, number: int) -> None:
    """One event more, of some user."""
    event = {"timestamp": datetime.now(UTC), "event_type": "login", "details": {"user_id": f"visitor {number % 50}"}}
    shop.db["EventLogs"].insert_one(event)


def kill_at_random(airflow: AirflowProcesses, run: DagRun, chance: random.Random, *, times: int) -> None:
    """Kill a worker, and start another one in its place, whenever some more tasks of the run have begun."""
    api, begun = airflow.api, 0
    for _ in range(times):
        begun += chance.randrange(1, 4)

        def is_time(wanted: int = begun) -> bool:
            states = api.tasks(run).values()
            return sum(state in {"running", "success"} for state in states) >= wanted or api.run(run).has_ended

        wait_until(is_time, timeout=200, message=f"task {begun} of {run}")
        airflow.kill_worker(chance.choice(airflow.workers))
        airflow.start_worker()


def kill_who_waits(airflow: AirflowProcesses, connection: psycopg.Connection[Any], table: str) -> None:
    """Kill the worker whose task waits for a lock on the table, and start another one in its place."""
    query = (
        "select a.client_port from pg_locks as l join pg_stat_activity as a using (pid) "
        "where not l.granted and l.relation = %s::regclass and a.application_name <> 'replicator'"
    )

    def waiting() -> str:
        for (port,) in connection.execute(query, (f"origin.{table}",)).fetchall():
            session = session_of_port(port)
            for name, pid in airflow.pids.items():
                if name.startswith("worker-") and session == pid:
                    return name
        return ""

    name = wait_until(waiting, timeout=90, message=f"a task that waits for {table}")
    airflow.kill_worker(name)
    airflow.start_worker()


def session_of_port(port: int) -> int | None:
    """The session of the process that has a TCP connection from this port."""
    wanted = f":{port:04X} "
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if wanted in line.split()[1] + " "
    }
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            fields = (entry.parents[1] / "stat").read_text().rpartition(")")[2].split()
            return int(fields[3])
    return None


def triggerer_logs(home: Path) -> str:
    """All that the triggerer has logged, in its own log and in those of its triggers."""
    files = [home / "triggerer.log", *home.glob("logs/**/*.log")]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files if file.exists())


def sessions() -> set[int]:
    """The sessions of all processes that have not ended."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if state != "Z":
            found.add(int(session))
    return found
