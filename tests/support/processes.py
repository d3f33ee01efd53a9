"""The command line as a process, as an operator starts it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typer.testing import CliRunner, Result

from replicator_service.cli.application import application
from tests.support.json_schemas import undescribed
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMMAND = (sys.executable, "-c", "from replicator_service.cli import main; main()")


@dataclass
class Operator:
    """Somebody who runs `replicator`, always with the same environment."""

    environ: dict[str, str]
    directory: Path
    _count: int = field(default=0)

    def replicator(self, *arguments: str, **environ: str) -> Result:
        """Run a short command to its end, inside this process: starting another one takes longer than the command."""
        return CliRunner().invoke(application, arguments, env={"COLUMNS": "200", **self.environ, **environ})

    def answer(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """The JSON of a command that has to succeed."""
        done = self.replicator(*arguments, "--json", **environ)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        assert undescribed(arguments, found) == []
        return found

    def run_to_its_end(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """`replicator run` as a process of its own that is expected to end by itself."""
        return subprocess.run(
            [*_COMMAND, "run", "--json"],
            env={**_bare_environment(), "REPLICATOR_HTTP_PORT": "0", **self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def running(self, **environ: str) -> Iterator[RunningService]:
        """`replicator run` until the end of the block, on a free port."""
        self._count += 1
        log = self.directory / f"service-{self._count}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [*_COMMAND, "run", "--json"],
                env={**_bare_environment(), "REPLICATOR_HTTP_PORT": "0", **self.environ, **environ},
                cwd=self.directory,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield RunningService(process, log)
        finally:
            process.kill()
            process.wait()


@dataclass
class RunningService:
    """A started service; its lines come from its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Every whole line of the log so far."""
        whole, _, _ = self.log.read_text(encoding="utf-8").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def line(self, event: str, timeout: float = 60.0) -> dict[str, Any]:
        """Wait for a line with this message."""

        def find() -> dict[str, Any] | None:
            found = next((line for line in self.lines() if line["event"] == event), None)
            assert found or self.process.poll() is None, self.log.read_text(encoding="utf-8")
            return found

        found = wait_until(find, timeout=timeout, message=f"the line {event!r} in the log")
        assert found is not None
        return found

    @property
    def url(self) -> str:
        """Where the page is."""
        return str(self.line("service started")["page"])

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an answer."""
        host, port = self.url.removeprefix("http://").rstrip("/").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """The JSON of `/status`."""
        found: dict[str, Any] = json.loads(self.get("/status")[1])
        return found

    def wait_for_state(self, *states: str, timeout: float = 30.0) -> dict[str, Any]:
        """Wait until `/status` shows one of these states."""
        return wait_until(
            lambda: status if (status := self.status())["state"] in states else {},
            timeout=timeout,
            message=f"one of the states {states}",
        )

    def end(self, signal_number: int, timeout: float = 10.0) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(timeout)


def errors_of(told: str) -> list[dict[str, Any]]:
    """Every error in the output of a command with --json: log lines, or one object."""
    if told.startswith("{\n"):
        return [json.loads(told)["error"]]
    lines = [json.loads(line) for line in told.splitlines()]
    return [{"message": line["cause"], "hint": line["hint"]} for line in lines if line["level"] == "error"]


def _bare_environment() -> dict[str, str]:
    """The environment without settings of whoever runs the tests, but for the path that they are run for."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("REPLICATOR_") or name == "REPLICATOR_COMPILED"
    }
