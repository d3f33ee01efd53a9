"""``replicator health`` against the real routes on a real socket: the health check of a container."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from typer.testing import CliRunner, Result

from devstack.ports import free_port
from replicator_service.cli.application import application
from replicator_service.core.errors import Fatal
from replicator_service.runtime.http.routes import make_routes
from replicator_service.runtime.http.server import HttpServer
from replicator_service.runtime.judgement.probes import STUCK_SECONDS
from tests.support.foreign import listening
from tests.support.health import Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def port(around: Surroundings) -> Iterator[int]:
    routes = make_routes(around.watch.service_view, around.metrics, max_lag_seconds=30, version="1.2.3")
    with HttpServer(routes, host="0.0.0.0", port=0) as server:  # noqa: S104 - as in a container
        yield server.port


def health(*arguments: str, port: int, host: str = "0.0.0.0") -> Result:  # noqa: S104 - as in a container
    environ = {"REPLICATOR_HTTP_HOST": host, "REPLICATOR_HTTP_PORT": str(port)}
    return CliRunner().invoke(application, ["health", *arguments], env={"COLUMNS": "200", **environ})


def test_a_leader_is_alive_and_ready_without_any_other_setting(port: int, around: Surroundings) -> None:
    around.lead()
    alive, ready = health(port=port), health("--ready", port=port)
    assert (alive.exit_code, ready.exit_code) == (0, 0)
    assert alive.stdout.startswith("alive: ")
    assert ready.stdout.startswith("ready: ")
    assert len(alive.stdout.splitlines()) == 1


def test_a_service_that_waits_for_its_servers_is_alive_but_not_ready(port: int) -> None:
    assert health(port=port).exit_code == 0
    ready = health("--ready", port=port)
    assert ready.exit_code == 1
    assert ready.stdout.startswith("not ready: ")


def test_a_service_whose_threads_are_stuck_is_not_alive(port: int, around: Surroundings) -> None:
    around.lead()
    around.now += STUCK_SECONDS + 1
    result = health(port=port)
    assert result.exit_code == 1
    assert "writer" in result.stdout


def test_what_failed_is_said_as_json_too(port: int, around: Surroundings) -> None:
    around.health.failed(Fatal("the right to create schemas is missing"))
    result = health("--ready", "--json", port=port)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["ok"], found["probe"]) == (1, False, "readyz")
    assert any("the right to create schemas is missing" in each for each in found["conditions"])


def test_an_address_may_be_given(port: int) -> None:
    assert health("--url", f"127.0.0.1:{port}", port=1).exit_code == 0


def test_where_nothing_answers_the_address_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        result = health(port=port)
    assert result.exit_code == 3
    assert f"no service answers at http://127.0.0.1:{port}/" in result.stderr


def test_another_server_at_the_address_is_not_taken_for_the_service() -> None:
    with HttpServer(Starlette(), host="127.0.0.1", port=0) as server:
        result = health(port=server.port, host="127.0.0.1")
    assert result.exit_code == 3
    assert "is no replicator (status 404)" in result.stderr


@pytest.mark.parametrize("command", ["health", "status"])
def test_a_program_that_answers_everything_is_not_taken_for_the_service(command: str) -> None:
    port = free_port()
    with listening(port):
        result = CliRunner().invoke(application, [command, "--url", f"http://127.0.0.1:{port}/"])
    assert result.exit_code == 3
    assert "is no replicator" in result.stderr


def test_a_service_that_does_not_answer_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicator_service.cli.service_http._TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        result = health(port=deaf.getsockname()[1])
    assert result.exit_code == 3
    assert "nothing came within" in result.stderr


@pytest.mark.parametrize(
    ("setting", "complaint"), [("x", "REPLICATOR_HTTP_PORT is wrong"), ("0", "REPLICATOR_HTTP_PORT is 0")]
)
def test_a_port_that_cannot_be_asked_is_a_wrong_setting(setting: str, complaint: str) -> None:
    result = CliRunner().invoke(application, ["health"], env={"REPLICATOR_HTTP_PORT": setting})
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_an_address_that_is_none_is_wrong() -> None:
    result = health("--url", "http://here:there/", port=1)
    assert result.exit_code == 2
    assert "is no address" in result.stderr
