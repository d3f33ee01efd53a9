"""What the demo and the tests ask of Airflow's REST API: health, unpausing, runs and their outcome."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from devstack.errors import DevstackError
from devstack.ports import LOOPBACK

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
_ENDED = ("success", "failed")


@dataclass(frozen=True, slots=True)
class DagRun:
    """A run. ``run_type`` is manual, scheduled or asset_triggered."""

    dag_id: str
    run_id: str
    run_type: str
    state: str

    @property
    def has_ended(self) -> bool:
        """Whether it has succeeded or failed."""
        return self.state in _ENDED


class AirflowApi:
    """The API of one server on this machine, as one user."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._port = port
        self._credentials = {"username": user, "password": password}
        self._token: str | None = None

    def unhealthy(self) -> tuple[str, ...]:
        """The components that do not say that they are healthy; all of them while nobody answers."""
        try:
            status, health = self._send("GET", "/api/v2/monitor/health")
        except (OSError, http.client.HTTPException):
            return ("api-server",)
        if status != http.client.OK or not isinstance(health, dict):
            return ("api-server",)
        return tuple(name for name in COMPONENTS if (health.get(name) or {}).get("status") != "healthy")

    def log_in(self) -> None:
        """Get a token with the password that this Airflow was started with."""
        self._token = None
        status, answer = self._send("POST", "/auth/token", self._credentials)
        if status >= http.client.BAD_REQUEST or not isinstance(answer, dict) or "access_token" not in answer:
            raise DevstackError(
                f"What answers on port {self._port} is not the Airflow that was started here: it refuses the login "
                f"({status}).",
                hint="Another program has the port. Start again: a free port is taken then.",
            )
        self._token = str(answer["access_token"])

    def dags(self) -> set[str]:
        """The ids of the DAGs that the dag processor has read."""
        return {each["dag_id"] for each in self._ask("GET", "/api/v2/dags")["dags"]}

    def import_errors(self) -> list[str]:
        """What the dag processor could not read."""
        return [each["stack_trace"] for each in self._ask("GET", "/api/v2/importErrors")["import_errors"]]

    def connection(self, name: str) -> dict[str, Any]:
        """A connection as the UI shows it."""
        found: dict[str, Any] = self._ask("GET", f"/api/v2/connections/{quote(name)}")
        return found

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self._ask("PATCH", f"/api/v2/dags/{quote(dag_id)}", {"is_paused": False})

    def trigger(self, dag_id: str, form: dict[str, Any] | None = None) -> DagRun:
        """Start a run by hand, without a logical date."""
        told = {"logical_date": None, "conf": form or {}}
        return _run(self._ask("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", told))

    def runs(self, dag_id: str) -> list[DagRun]:
        """The runs of a DAG, the latest first."""
        query = urlencode({"order_by": "-run_after", "limit": 20})
        return [_run(each) for each in self._ask("GET", f"/api/v2/dags/{quote(dag_id)}/dagRuns?{query}")["dag_runs"]]

    def run(self, run: DagRun) -> DagRun:
        """The run as it is now."""
        return _run(self._ask("GET", _path(run)))

    def note(self, run: DagRun) -> str:
        """The note on the run's page; empty when there is none."""
        return self._ask("GET", _path(run))["note"] or ""

    def backfill(self, dag_id: str, start: str, end: str) -> str:
        """Ask for the runs of a stretch of time and return why Airflow refuses, or nothing."""
        told = {"dag_id": dag_id, "from_date": start, "to_date": end, "reprocess_behavior": "completed"}
        try:
            self._ask("POST", "/api/v2/backfills", told)
        except DevstackError as error:
            return error.message
        return ""

    def clear(self, run: DagRun, *tasks: str | tuple[str, int]) -> None:
        """Let tasks of a run be run again, all of them when none is named; a mapped one by its index."""
        told: dict[str, Any] = {"dry_run": False, "dag_run_id": run.run_id, "only_failed": False}
        if tasks:
            told["task_ids"] = list(tasks)
        self._ask("POST", f"/api/v2/dags/{quote(run.dag_id)}/clearTaskInstances", told)

    def result(self, run: DagRun, task_id: str) -> Any:  # noqa: ANN401 - JSON
        """What a task of a run has returned."""
        found = self._ask("GET", f"{_path(run)}/taskInstances/{quote(task_id)}/xcomEntries/return_value")
        value = found["value"]
        return json.loads(value) if isinstance(value, str) else value

    def instances(self, run: DagRun) -> list[dict[str, Any]]:
        """The task instances of a run with everything that Airflow tells of them."""
        found: list[dict[str, Any]] = self._ask("GET", f"{_path(run)}/taskInstances")["task_instances"]
        return found

    def asset_events(self) -> list[dict[str, Any]]:
        """The events of all assets, the latest first."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/v2/assets/events?order_by=-timestamp")["asset_events"]
        return found

    def tasks(self, run: DagRun) -> dict[str, str]:
        """The states of a run's tasks, by id; mapped ones with their index."""
        found = self.instances(run)
        return {f"{each['task_id']} {each['map_index']}".removesuffix(" -1"): str(each["state"]) for each in found}

    def _ask(self, method: str, path: str, told: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        if self._token is None:
            self.log_in()
        status, answer = self._send(method, path, told)
        if status >= http.client.BAD_REQUEST:
            raise DevstackError(
                f"Airflow refused {method} {path}: {status} {answer}.", hint="Look at the log of its api-server."
            )
        return answer

    def _send(self, method: str, path: str, told: dict[str, Any] | None = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)
        try:
            connection.request(method, path, None if told is None else json.dumps(told), headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(body or "null")
        except ValueError:
            return response.status, body.decode(errors="replace")


def _run(found: dict[str, Any]) -> DagRun:
    return DagRun(found["dag_id"], found["dag_run_id"], found["run_type"], str(found["state"]))


def _path(run: DagRun) -> str:
    return f"/api/v2/dags/{quote(run.dag_id)}/dagRuns/{quote(run.run_id, safe='')}"
