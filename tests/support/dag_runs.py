"""Airflow for a test: its own home, and DAGs that are executed in a process of their own against the real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "airflow" / "dags"

_SECONDS = 120
_OUTCOME = "=== outcome "


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that a test asks for. ``form`` holds values of the trigger form; the others have their defaults."""

    dag_id: str
    run_after: str
    form: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of it. Tasks are named by id, mapped ones with their index: ``load_mart 0``."""

    state: str
    tasks: dict[str, str]
    results: dict[str, Any]
    events: list[dict[str, Any]]
    note: str | None
    log: str


@dataclass(frozen=True, slots=True)
class AirflowHome:
    """A home with a metadata database of its own."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make Airflow live there."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "REPLICATOR", "MART")) or name == "REPLICATOR_COMPILED"
        }
        return inherited | {
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "airflow" / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": "ZGVtbyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXRlcyE=",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def initialise(self, variables: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
        """The init step."""
        return self.python(["-m", "warehouse_jobs.orchestration.initialisation", *options], variables)

    def python(self, arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """A Python program in this home."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment | variables,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def execute(self, variables: dict[str, str], *wanted: Wanted) -> list[Done]:
        """Execute the runs one after another."""
        told = json.dumps([asdict(each) for each in wanted])
        ended = self.python(["-m", "tests.support.dag_program", told], variables)
        assert ended.returncode == 0, ended.stdout[-5000:]
        done: list[Done] = []
        log: list[str] = []
        for line in ended.stdout.splitlines():
            if line.startswith(_OUTCOME):
                done.append(Done(**json.loads(line.removeprefix(_OUTCOME)), log="\n".join(log)))
                log.clear()
            else:
                log.append(line)
        return done


def connection_variables(mongo_uri: str, database: str, postgres_dsn: str) -> dict[str, str]:
    """Both connections as environment variables of Airflow, which win over those in its database."""
    mongo, postgres = urlsplit(mongo_uri), conninfo_to_dict(postgres_dsn)
    shop = {
        "conn_type": "mongo",
        "host": mongo.hostname,
        "port": mongo.port,
        "schema": database,
        "extra": {"srv": False, "ssl": False, "allow_insecure": False, "authSource": "admin"},
    }
    warehouse = {
        "conn_type": "postgres",
        "host": postgres["host"],
        "port": int(str(postgres["port"])),
        "login": postgres["user"],
        "password": postgres["password"],
        "schema": postgres["dbname"],
    }
    return {
        "AIRFLOW_CONN_MONGO_DB_CONN": json.dumps(shop),
        "AIRFLOW_CONN_POSTGRES_CONN": json.dumps(warehouse),
    }
