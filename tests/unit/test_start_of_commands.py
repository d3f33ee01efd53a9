"""What commands that run every few seconds import: names, since times are another machine's."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import typer

from replicator_service.cli.application import COMMANDS, application

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAVY = {
    "asyncio",
    "bson",
    "prometheus_client",
    "psycopg",
    "pymongo",
    "starlette",
    "tenacity",
    "uvicorn",
    "yaml",
}
"""What the service is made of, and nobody else needs."""

_ASK = """
import json, sys
from replicator_service.cli import main
sys.argv = ["replicator", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print(json.dumps({"code": end.code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""

_COMMON = {
    "replicator_service.cli.application",
    "replicator_service.cli.errors",
    "replicator_service.cli.lazy",
    "replicator_service.cli.output",
    "replicator_service.configuration.environment",
    "replicator_service.core.addresses",
    "replicator_service.core.errors",
    "replicator_service.core.times",
    "replicator_service.runtime.log.masking",
    "replicator_service.runtime.log.traces",
}
_HEALTH = _COMMON | {"replicator_service.cli.health", "replicator_service.cli.service_http"}
_STATUS = _COMMON | {
    "replicator_service.cli.service_http",
    "replicator_service.cli.status_source",
    "replicator_service.cli.status",
    "replicator_service.core.read_from",
    "replicator_service.pipeline.observer",
    "replicator_service.runtime.state.health",
    "replicator_service.runtime.state.waiting",
}
_SCREEN = {
    "replicator_service.cli.status_lines",
    "replicator_service.cli.screen",
    "replicator_service.cli.sparkline",
    "replicator_service.core.words",
}


@pytest.fixture
def address() -> Iterator[str]:
    """A service that lives and streams nothing."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = {"stream": "shop", "state": "streaming", "meaning": "", "role": "leader", "collections": {}}
            body = b"alive\nok\n" if self.path.startswith("/livez") else json.dumps(status).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def _imported(*arguments: str) -> tuple[int, set[str]]:
    done = subprocess.run([sys.executable, "-c", _ASK, *arguments], capture_output=True, text=True, check=True)
    told = json.loads(done.stderr.splitlines()[-1])
    return told["code"] or 0, set(told["modules"])


def _ours(modules: set[str]) -> set[str]:
    """Modules of ours that are none of the packages around them."""
    ours = {name for name in modules if name.startswith("replicator_service.")}
    return {name for name in ours if not any(other.startswith(f"{name}.") for other in ours)}


@pytest.mark.parametrize(
    ("command", "ours", "also_without"),
    [
        (("health",), _HEALTH, {"rich"}),
        (("health", "--json"), _HEALTH, {"rich"}),
        (("status", "--json"), _STATUS, {"rich"}),
        (("status",), _STATUS | _SCREEN, set()),
    ],
)
def test_a_command_that_asks_the_service_imports_what_asking_takes(
    command: tuple[str, ...], ours: set[str], also_without: set[str], address: str
) -> None:
    code, modules = _imported(*command, "--url", address)
    assert code == 0
    assert _ours(modules) == ours
    assert not modules & (_HEAVY | also_without)


def test_the_list_of_commands_imports_none_of_them() -> None:
    code, modules = _imported("--help")
    assert code == 0
    assert _ours(modules) == _COMMON
    assert not modules & _HEAVY


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    root = typer.main.get_command(application)
    command = root.commands[name]  # type: ignore[attr-defined]  # it is a group
    assert " ".join(command.help.split("\n\n")[0].split()) == COMMANDS[name].line
    assert command.name == name
