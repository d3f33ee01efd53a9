"""The whole system: Airflow with its scheduler, the service in between, from the generator to the marts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from pymongo import MongoClient

from devstack.airflow import AirflowOptions, AirflowProcesses
from devstack.ports import free_port
from replicator_service.configuration.mapping_file import read_mapping
from tests.support.databases import Sink, Source, fresh_sink
from tests.support.replication import replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.airflow_api import AirflowApi, DagRun
    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
MAPPING = ROOT / "mappings" / "shop.yml"
DAG_IDS = {"mongo_data_generator", "mongo_pg_replicator", "pg_datamart_loader"}
FORM = {"documents_per_day": 300, "days": 3, "seed": 11}


@pytest.fixture
def shop(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    """An empty database ``origin``, whose tables the marts read."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_server.uri, tz_aware=True)
    with client:
        client.drop_database("origin")
        yield Source(mongo_server.uri, "origin", client, client["origin"])
        client.drop_database("origin")


@pytest.fixture
def metadata(postgres_server: PostgresServer) -> Iterator[Sink]:
    """The database of Airflow itself."""
    with fresh_sink(postgres_server) as database:
        yield database


@pytest.fixture
def airflow(shop: Source, sink: Sink, metadata: Sink, tmp_path: Path) -> Iterator[AirflowProcesses]:
    """A healthy Airflow whose marts are late as soon as they are wanted."""
    postgres = conninfo_to_dict(sink.dsn)
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
            "POSTGRES_CONN_SCHEMA": sink.name,
            "POSTGRES_CONN_LOGIN": str(postgres["user"]),
            "POSTGRES_CONN_PASSWORD": str(postgres["password"]),
        },
        variables={"REPLICATOR_MAPPING": str(MAPPING), "MART_LATE_AFTER_MINUTES": "0.001"},
    )
    with AirflowProcesses(tmp_path / "airflow", options) as processes:
        processes.wait_until_healthy()
        yield processes


def ended(api: AirflowApi, dag_id: str) -> list[DagRun]:
    """The runs of a DAG, when there is one and all have ended."""
    runs = api.runs(dag_id)
    return runs if runs and all(run.has_ended for run in runs) else []


def succeeded(airflow: AirflowProcesses, dag_id: str) -> DagRun:
    """Wait for the only run of a DAG, which must have succeeded."""
    airflow.require_running()
    (run,) = wait_until(lambda: ended(airflow.api, dag_id), timeout=90, message=f"the end of {dag_id}")
    assert run.state == "success", airflow.api.tasks(run)
    return run


@pytest.mark.timeout(360)
def test_the_shop_goes_from_the_generator_to_the_marts_by_way_of_the_proof(
    airflow: AirflowProcesses, shop: Source, sink: Sink
) -> None:
    api = airflow.api
    wait_until(lambda: api.dags() == DAG_IDS, timeout=60, message="the DAGs")
    assert api.import_errors() == []
    assert api.connection("postgres_conn")["conn_type"] == "postgres"
    assert api.connection("mongo_db_conn")["schema"] == "origin"
    for dag_id in sorted(DAG_IDS):
        api.unpause(dag_id)

    with replicating(shop, sink, read_mapping(MAPPING)) as replication:
        api.trigger("mongo_data_generator", FORM)
        succeeded(airflow, "mongo_data_generator")
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute(
                "delete from origin.support_tickets where _id = (select min(_id) from origin.support_tickets)"
            )

        # The reconciliation repairs while the service runs, and tells the marts by its asset.
        proof = succeeded(airflow, api.trigger("mongo_pg_replicator").dag_id)
        assert set(api.tasks(proof)) == {"plan_parts", "begin_run", "finish_run"} | {
            f"compare_part {index}" for index in range(7)
        }
        marts = succeeded(airflow, "pg_datamart_loader")
        assert marts.run_type == "asset_triggered"

    with sink.connect() as connection:
        run = connection.execute("select state from replicator.reconciliation_run").fetchall()
        assert run == [("finished",)]
        difference = connection.execute(
            "select collection, kind, repaired_at is not null from replicator.reconciliation_difference"
        ).fetchall()
        assert difference == [("SupportTickets", "missing", True)]
        tickets = connection.execute("select count(*) from mart.support_efficiency").fetchone()
        assert tickets == (shop.db["SupportTickets"].count_documents({}),)
        users = connection.execute("select count(*), count(distinct etl_valid_from) from mart.user_activity").fetchone()
        assert users is not None
        assert users[0] > 10
        assert users[1] == 1

    told = f"the marts are late: run {marts.run_id} of pg_datamart_loader"
    wait_until(lambda: told in triggerer_logs(airflow.home), timeout=60, message="the deadline alert")

    pids = set(airflow.pids.values())
    airflow.stop()
    wait_until(lambda: not pids & sessions(), message=lambda: f"the end of {pids & sessions()}")


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
