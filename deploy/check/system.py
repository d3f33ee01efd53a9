"""The whole of docker-compose.yml, up: healthy, replicating, and the same again after a restart.

A private project with its own ports and volumes. Images go by private names, and Airflow's logs into a folder that is
removed; everything else is the file as it is.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from pymongo import MongoClient

from deploy.check.images import AIRFLOW, REPLICATOR, ROOT
from deploy.check.report import CheckFailedError
from devstack.airflow_api import AirflowApi
from devstack.demo.comparison import Comparison, compare
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK
from replicator_service.configuration.mapping_file import read_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deploy.check.composition import Composition
    from deploy.check.engine import Engine
    from deploy.check.stand_ins import BaseImages

STEPS = ("mongo-init", "postgres-init", "airflow-init")
SERVERS = (
    "mongo-origin",
    "postgres-destination",
    "replicator",
    "airflow-postgres",
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
)
PORTS = ("MONGO_PORT", "POSTGRES_PORT", "REPLICATOR_PORT", "AIRFLOW_PORT", "PROMETHEUS_PORT")

_HEALTHY_SECONDS = 300.0
_RUN_SECONDS = 240.0
_EQUAL_SECONDS = 60.0
_POLL_SECONDS = 1.0
_FORM = {"documents_per_day": 300, "days": 5, "seed": 3}
_MARTS = ("user_activity", "support_efficiency")
_DAGS = ("mongo_data_generator", "mongo_pg_replicator", "pg_datamart_loader")


def override(bases: BaseImages, logs: Path) -> str:
    """A compose file, as JSON, that replaces the images and the folder of Airflow's logs."""
    images = dict.fromkeys(("mongo-origin", "mongo-init"), bases.mongo)
    images |= dict.fromkeys(("postgres-destination", "postgres-init", "airflow-postgres"), bases.postgres)
    services: dict[str, dict[str, Any]] = {name: {"image": image} for name, image in images.items()}
    services["replicator"] = {"image": REPLICATOR}
    # Debian's promtool is older than the question of the health check.
    question = ["CMD", "promtool", "query", "instant", "http://127.0.0.1:9090", "1"]
    services["prometheus"] = {"image": bases.prometheus, "healthcheck": {"test": question}}
    for name in (*STEPS, *SERVERS):
        if name.startswith("airflow-") and name not in services:
            services[name] = {"image": AIRFLOW, "volumes": [f"{logs}:/opt/airflow/logs"]}
    return json.dumps({"services": services}, indent=2)


@dataclass(slots=True)
class System:
    """The composition while it is checked; ``values`` are its variables, ports among them."""

    engine: Engine
    composition: Composition
    values: Mapping[str, str]
    before: dict[str, int] = field(default_factory=dict)

    def comes_up(self) -> str:
        """One-shots succeed, and every server's own health check is content."""
        try:
            self.composition.up()
        except CheckFailedError:
            # Whoever is unwell says more than whoever waited for it.
            for name in self._unwell():
                if self._state(name).get("Status") in ("running", "restarting", "exited"):
                    raise CheckFailedError(f"{name} is not well", output=self._told(name)) from None
            raise
        self._wait(self._unwell, _HEALTHY_SECONDS, "not healthy")
        for name in STEPS:
            code = self._state(name)["ExitCode"]
            if code != 0:
                raise CheckFailedError(f"{name} ended with {code}", output=self.composition.log(name))
        return f"{len(SERVERS)} servers healthy, {len(STEPS)} steps done"

    def runs_the_dags(self) -> str:
        """The three DAGs succeed, with traffic from the first; the marts are started by the reconciliation's asset."""
        api = AirflowApi(self._port("AIRFLOW_PORT"), "admin", self.values["AIRFLOW_ADMIN_PASSWORD"])
        try:
            self._wait(lambda: set(_DAGS) - api.dags(), _RUN_SECONDS, "not read by Airflow")
            if errors := api.import_errors():
                raise CheckFailedError("Airflow cannot read its DAGs", output="\n".join(errors))
            for dag_id in _DAGS:
                api.unpause(dag_id)
            api.trigger(_DAGS[0], _FORM)
            self._succeeded(api, _DAGS[0])
            api.trigger(_DAGS[1])
            self._succeeded(api, _DAGS[1])
            self._succeeded(api, _DAGS[2])
        except DevstackError as error:
            raise CheckFailedError(error.message) from None
        return ", ".join(_DAGS)

    def is_equal(self) -> str:
        """PostgreSQL has exactly the rows of MongoDB's documents, and the analyst can read them and the marts."""
        deadline = time.monotonic() + _EQUAL_SECONDS
        while True:
            found, documents = self._compared()
            if found.documents == documents and not found.differences:
                break
            if time.monotonic() > deadline:
                raise CheckFailedError(
                    f"{documents} documents, rows for {found.documents}, {found.differences} differences",
                    output=self.composition.log("replicator"),
                )
            time.sleep(_POLL_SECONDS)
        counts = {table.table: table.rows for table in found.tables} | self._marts()
        if empty := [name for name, rows in counts.items() if not rows]:
            raise CheckFailedError(f"empty: {', '.join(empty)}")
        if changed := [name for name, rows in self.before.items() if counts.get(name) != rows]:
            raise CheckFailedError(f"not as before the restart: {', '.join(changed)}")
        self.before = counts
        return f"{documents} documents, {sum(counts.values())} rows with those of the marts, 0 differences"

    def is_ready(self) -> str:
        """The service answers at its published port that it does its work."""
        status, body = self._get("/readyz?verbose")
        if status != http.client.OK:
            raise CheckFailedError("the service is not ready", output=body)
        for path in ("/", "/web/page.js"):
            if self._get(path)[0] != http.client.OK:
                raise CheckFailedError(f"the page is not complete: {path}")
        told = json.loads(self._get("/status")[1])
        container = self.composition.container("replicator") or ""
        used = self.engine.call("stats", "--no-stream", "--format", "{{.MemUsage}}", container).split("/")[0].strip()
        return f"{told['state']}, lag {told['lag_seconds']:.0f} s, {used} of memory"

    def survives_a_restart(self) -> str:
        """Everything down and up again keeps every row, and the one-shots find nothing to do."""
        self.composition.down()
        self.comes_up()
        self.is_equal()
        return f"{sum(self.before.values())} rows as before"

    def _compared(self) -> tuple[Comparison, int]:
        secret = self.values["MONGO_REPLICATOR_PASSWORD"]
        address = f"{LOOPBACK}:{self._port('MONGO_PORT')}/?directConnection=true&authSource=admin"
        with MongoClient[dict[str, Any]](f"mongodb://replicator:{secret}@{address}") as client:
            dsn = self._dsn("replicator", self.values["POSTGRES_REPLICATOR_PASSWORD"])
            found = compare(client, "origin", dsn, read_mapping(ROOT / "mappings" / "shop.yml"))
            database = client["origin"]
            return found, sum(database[name].count_documents({}) for name in database.list_collection_names())

    def _marts(self) -> dict[str, int]:
        """Rows of the marts, read as analysts do: by their plain names."""
        counts = dict.fromkeys(_MARTS, 0)
        with psycopg.connect(self._dsn("analyst", self.values["POSTGRES_ANALYST_PASSWORD"])) as connection:
            for name in counts:
                row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(name))).fetchone()
                counts[name] = int(row[0]) if row else 0
        return counts

    def _succeeded(self, api: AirflowApi, dag_id: str) -> None:
        def running() -> list[str]:
            runs = api.runs(dag_id)
            return [run.run_id for run in runs if not run.has_ended] if runs else [dag_id]

        self._wait(running, _RUN_SECONDS, "not ended")
        run = api.runs(dag_id)[0]
        if run.state != "success":
            failed = [name for name, state in api.tasks(run).items() if state == "failed"]
            raise CheckFailedError(
                f"{dag_id} failed: {', '.join(failed)}", output=self.composition.log("airflow-scheduler")
            )

    def _unwell(self) -> list[str]:
        return [name for name in SERVERS if (self._state(name).get("Health") or {}).get("Status") != "healthy"]

    def _state(self, service: str) -> dict[str, Any]:
        container = self.composition.container(service)
        return {} if container is None else dict(self.engine.inspect("container", container)["State"])

    def _told(self, service: str) -> str:
        """The end of a server's log, and what its health check said last."""
        checks = (self._state(service).get("Health") or {}).get("Log") or [{}]
        return self.composition.log(service) + str(checks[-1].get("Output", ""))

    def _wait(self, lacking: Callable[[], Any], seconds: float, problem: str) -> None:
        """Wait until nothing is lacking; otherwise say what is, with the log of the first where it has one."""
        deadline = time.monotonic() + seconds
        while lacks := sorted(lacking()):
            if time.monotonic() > deadline:
                log = self._told(lacks[0]) if lacks[0] in SERVERS else ""
                raise CheckFailedError(f"{problem} after {seconds:.0f} s: {', '.join(lacks)}", output=log)
            time.sleep(_POLL_SECONDS)

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(LOOPBACK, self._port("REPLICATOR_PORT"), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            raise CheckFailedError(f"the published port of the service does not answer: {error}") from None
        finally:
            connection.close()

    def _dsn(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@{LOOPBACK}:{self._port('POSTGRES_PORT')}/destination"

    def _port(self, name: str) -> int:
        return int(self.values[name])
