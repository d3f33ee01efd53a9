"""`pip install` of the wheel, as a user has it: a new environment, requirements from the registry, no checkout.

The other tests of the wheel (`test_images.py`) need no network.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from devstack.ports import LOOPBACK, free_port
from tests.support.compiled import native_or_skip
from tests.support.doc_blocks import ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.support.databases import Sink, Source

WEB = ROOT / "replicator_service" / "runtime" / "http" / "web"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_PIP = ("pip", "--quiet", "--disable-pip-version-check")


@dataclass(frozen=True)
class Installation:
    """An environment of a user's own, and a directory to work in."""

    environment: Path
    directory: Path

    def command(self, program: str) -> str:
        """A program of it."""
        return str(self.environment / "bin" / program)

    @property
    def variables(self) -> dict[str, str]:
        """Nothing of the tests' environment but the place of the system's programs."""
        return {"PATH": os.defpath, "HOME": str(self.directory), "COLUMNS": "200"}

    def ran(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            [self.command(program), *arguments],
            cwd=self.directory,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel, built as pip builds it, installed with what it asks for."""
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, "-m", *_PIP, "wheel", "--no-deps", "-w", wheels, ROOT], check=True, timeout=300)
    (wheel,) = wheels.glob("*.whl")
    made = Installation(tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("work"))
    subprocess.run([sys.executable, "-m", "venv", made.environment], check=True, timeout=60)
    subprocess.run([made.command("python"), "-m", *_PIP, "install", wheel], check=True, timeout=300)
    return made


def test_every_program_says_what_it_is(installation: Installation) -> None:
    for program in ("replicator", "warehouse"):
        shown = installation.ran(program, "--help")
        assert shown.returncode == 0, shown.stderr
    assert installation.ran("replicator", "--version").stdout.startswith("replicator ")
    assert not Path(installation.command("devstack")).exists()
    generated = installation.ran("warehouse", "generate", "--documents", "1")
    assert (generated.returncode, generated.stderr.splitlines()) == (
        2,
        [
            "error: the generator needs faker, which is not installed",
            f"hint:  {installation.command('python')} -m pip install faker",
        ],
    )


def test_it_replicates_from_one_address_to_another(installation: Installation, source: Source, sink: Sink) -> None:
    source.db["Orders"].insert_many([{"_id": number, "total": number / 2} for number in range(100)])
    origin = source.uri.replace("/?", f"/{source.name}?")
    addresses = ("--from", origin, "--to", sink.dsn)

    checked = installation.ran("replicator", "check", *addresses, "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    inferred = installation.ran("replicator", "mapping", "infer", "--from", origin, "--output", "mapping.yml")
    assert inferred.returncode == 0, inferred.stderr

    port = free_port()
    log = installation.directory / "service.log"
    with log.open("w") as output:
        service = subprocess.Popen(
            [installation.command("replicator"), "run", *addresses, "--mapping", "mapping.yml", "--json"],
            cwd=installation.directory,
            env={**installation.variables, "REPLICATOR_HTTP_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:

        def is_streaming() -> bool:
            assert service.poll() is None, log.read_text()
            return _status(port).get("state") == "streaming"

        wait_until(is_streaming, timeout=60, message="the service to stream")
        source.db["Orders"].update_one({"_id": 7}, {"$set": {"total": 1000}})
        asked = sql.SQL("select count(*), max(total) from {}").format(sql.Identifier(source.name, "orders"))

        def has_arrived() -> bool:
            with sink.connect() as connection:
                return connection.execute(asked).fetchall() == [(100, 1000)]

        wait_until(has_arrived, message="the change")
        pages = ["/", *(f"/web/{path.name}" for path in WEB.iterdir() if path.suffix != ".html")]
        assert {page: _got(port, page)[0] for page in pages} == dict.fromkeys(pages, 200)
        compiled = _status(port)["compiled"]
    finally:
        service.send_signal(signal.SIGTERM)
        code = service.wait(30)
    assert code == 0, log.read_text()
    native_or_skip()
    assert compiled.startswith("compiled: ")


def _got(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _status(port: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_got(port, "/status")[1])
    except ConnectionRefusedError:
        return {}
    return found
