"""The steps of the demo that belong to Airflow: start it, and run its three DAGs as a person would, through its API."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from devstack.airflow import AirflowProcesses
from devstack.airflow_configuration import AirflowOptions
from devstack.airflow_executors import Executor
from devstack.demo import stage as places
from devstack.errors import DevstackError
from devstack.ports import on_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.airflow_api import DagRun
    from devstack.demo.stage import Stage

METADATA = "airflow"
HTTP_PORT = 8080

GENERATOR, REPLICATOR, MARTS = "mongo_data_generator", "mongo_pg_replicator", "pg_datamart_loader"

# Another seed than that of the history, so that the DAG's shop stands beside it.
_FORM = {"documents_per_day": 500, "days": 7, "seed": 2}
_DAGS_SECONDS = 60.0
_RUN_SECONDS = 120.0
_POLL_SECONDS = 0.5
_SHOWN_ROWS = 3

_SAMPLES = {
    "user_activity": "sessions_cnt",
    "support_efficiency": "support_messages",
}


def start_airflow(stage: Stage, tell: Callable[[str], None]) -> None:
    """Start Airflow with the connections of the README, and wait until all of it is healthy."""
    with psycopg.connect(stage.stack.postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(METADATA)))

    def started(port: int) -> AirflowProcesses:
        with ExitStack() as unless_it_listens:
            airflow = AirflowProcesses(stage.directory / "airflow", _options(stage, port))
            unless_it_listens.enter_context(airflow).wait_until_healthy()
            stage.ends.push(unless_it_listens.pop_all())
        return airflow

    port, stage.airflow = on_free_port(started, wanted=HTTP_PORT)
    fleet = f"{stage.workers} workers, " if stage.workers else ""
    told = places.port_told(port, HTTP_PORT)
    tell(f"{fleet}{stage.airflow.url} on port {told}, user {stage.airflow.user}, password {stage.airflow.password}")


def _options(stage: Stage, port: int) -> AirflowOptions:
    warehouse = conninfo_to_dict(stage.dsn)
    return AirflowOptions(
        dags=places.ROOT / "airflow" / "dags",
        metadata_dsn=stage.stack.postgres.dsn(METADATA),
        port=port,
        # Another Airflow on this machine may well have admin, too: this one is told from it by its password.
        password=secrets.token_urlsafe(6),
        secrets={
            "MONGO_DB_CONN_HOST": stage.client.address[0] if stage.client.address else "",
            "MONGO_DB_CONN_PORT": str(stage.stack.mongo.port),
            "MONGO_DB_CONN_SCHEMA": places.SOURCE,
            "MONGO_DB_CONN_LOGIN": "",
            "MONGO_DB_CONN_PASSWORD": "",
            "POSTGRES_CONN_HOST": str(warehouse["host"]),
            "POSTGRES_CONN_PORT": str(warehouse["port"]),
            "POSTGRES_CONN_SCHEMA": str(warehouse["dbname"]),
            "POSTGRES_CONN_LOGIN": str(warehouse["user"]),
            "POSTGRES_CONN_PASSWORD": str(warehouse["password"]),
        },
        variables={"REPLICATOR_MAPPING": str(places.MAPPING)},
        plugins=places.ROOT / "airflow" / "plugins",
        page_url=f"{stage.url}/",
        executor=Executor.EDGE if stage.workers else Executor.LOCAL,
        workers=stage.workers,
    )


def run_the_dags(stage: Stage, tell: Callable[[str], None]) -> None:
    """Unpause the DAGs and run each once: the marts are started by the asset of the reconciliation."""
    api = stage.airflow.api
    dag_ids = {GENERATOR, REPLICATOR, MARTS}
    _wait(stage, lambda: dag_ids <= api.dags(), _DAGS_SECONDS, "Airflow did not read the DAGs")
    for dag_id in sorted(dag_ids):
        api.unpause(dag_id)
    api.trigger(GENERATOR, _FORM)
    _succeeded(stage, GENERATOR)
    api.trigger(REPLICATOR)
    _succeeded(stage, REPLICATOR)
    marts = _succeeded(stage, MARTS)
    tell(f"{GENERATOR}, then {REPLICATOR}, whose proof started {MARTS} ({marts.run_type.replace('_', ' ')})")


def show_marts(stage: Stage) -> None:
    """A few rows of each mart: the first by the column that says most."""
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        for mart, column in _SAMPLES.items():
            query = sql.SQL("select * from {} order by {} desc nulls last, 1 limit %s").format(
                sql.Identifier("mart", mart), sql.Identifier(column)
            )
            cursor = connection.execute(query, [_SHOWN_ROWS])
            names = [each.name for each in cursor.description or ()]
            stage.screen.samples(f"mart.{mart}", names, cursor.fetchall())


def _succeeded(stage: Stage, dag_id: str) -> DagRun:
    api = stage.airflow.api

    def ended() -> bool:
        runs = api.runs(dag_id)
        return bool(runs) and all(run.has_ended for run in runs)

    _wait(stage, ended, _RUN_SECONDS, f"{dag_id} did not end in time")
    run = api.runs(dag_id)[0]
    if run.state != "success":
        failed = [name for name, state in api.tasks(run).items() if state == "failed"]
        logs = stage.airflow.home / "logs" / f"dag_id={dag_id}"
        raise DevstackError(f"{dag_id} failed: {', '.join(failed)}.", hint=f"See the logs in {logs}.")
    return run


def _wait(stage: Stage, done: Callable[[], bool], seconds: float, failure: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        stage.require_running()
        if time.monotonic() > deadline:
            raise DevstackError(f"{failure}.", hint=f"Airflow's logs are in {stage.airflow.home}.")
        time.sleep(_POLL_SECONDS)
