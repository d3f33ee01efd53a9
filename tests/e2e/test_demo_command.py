"""`make demo` as a reader runs it, until the proof, on a machine where somebody has all the usual ports."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from devstack.airflow import AirflowProcesses
from devstack.airflow_configuration import AirflowOptions
from devstack.demo.airflow_steps import HTTP_PORT as AIRFLOW_PORT
from devstack.demo.stage import HTTP_PORT, MONGO_PORT, POSTGRES_PORT
from devstack.ports import PortTakenError, free_port, taken
from devstack.service import ServiceOptions, ServiceProcess
from tests.support.doc_blocks import ROOT
from tests.support.foreign import listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Sink

CONNECTION = ("HOST", "PORT", "SCHEMA", "LOGIN", "PASSWORD")
PORTS = (MONGO_PORT, POSTGRES_PORT, HTTP_PORT, AIRFLOW_PORT)


@pytest.mark.timeout(330)
def test_the_demo_ends_with_the_proof() -> None:
    # And it talks to its own programs alone.
    with ExitStack() as others:
        # A port that somebody has already is as good.
        asked = {port: others.enter_context(listening(port)) for port in PORTS if not taken(port)}
        ended = subprocess.run(
            [sys.executable, "-m", "devstack.demo", "--check", "--name", "demo-test"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Both sides are equal: 0 differences, 0 dead letters" in ended.stdout
    assert [port for port in PORTS if f"(somebody has {port})" not in ended.stdout] == []
    paths = ("/api/v2", "/auth", "/execution", "/readyz")
    assert [each for found in asked.values() for each in found if each.split()[1].startswith(paths)] == []


def test_a_service_whose_port_was_taken_meanwhile_is_not_looked_for_there(tmp_path: Path) -> None:
    port = free_port()
    options = ServiceOptions("mongodb://127.0.0.1:1/data", "postgresql://127.0.0.1:1/data", "data", port)
    with (
        listening(port) as asked,
        ServiceProcess(tmp_path, options) as service,
        pytest.raises(PortTakenError, match="port of the service") as caught,
    ):
        service.wait_until_listening()
    assert f"port {port} on 127.0.0.1 is in use by another program" in caught.value.hint
    assert asked == []


@pytest.mark.slow
@pytest.mark.timeout(330)
def test_an_airflow_whose_port_was_taken_meanwhile_is_not_looked_for_there(tmp_path: Path, sink: Sink) -> None:
    port = free_port()
    (tmp_path / "dags").mkdir()
    connections = {f"{kind}_CONN_{part}": "1" for kind in ("MONGO_DB", "POSTGRES") for part in CONNECTION}
    options = AirflowOptions(tmp_path / "dags", metadata_dsn=sink.dsn, port=port, secrets=connections)
    with (
        listening(port) as asked,
        AirflowProcesses(tmp_path / "airflow", options) as airflow,
        pytest.raises(PortTakenError, match="Airflow's api-server ended by itself"),
    ):
        airflow.wait_until_healthy()
    assert [each for each in asked if "/execution" not in each] == []
