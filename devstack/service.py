"""The replication service in a process of its own, as an operator runs it: a command, an environment and a log.

It runs under a supervisor like the servers do, so it ends when whoever started it is gone. Addresses that hold
passwords reach it in files that only this user may read, never on a command line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from devstack.errors import DevstackError
from devstack.ports import PortTakenError
from devstack.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_DRAIN_SECONDS = 15.0
_LISTENING_SECONDS = 60.0
_POLL_SECONDS = 0.05
_STARTED = '"service started"'
_PORT_TAKEN = "is in use by another program"
_COMPILED = "REPLICATOR_COMPILED"
"""What whoever starts the service is told by it, the service is told, too: both paths are measured with one command."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the service is told. Without ``mapping`` every collection becomes a document table."""

    mongo_uri: str
    postgres_dsn: str
    mongo_database: str
    http_port: int
    mapping: Path | None = None
    program: Path | None = None
    """The ``replicator`` to run; by default the one beside this Python."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Other settings."""


class ServiceProcess:
    """A running ``replicator run``. ``directory`` gets its secrets and its log."""

    def __init__(self, directory: Path, options: ServiceOptions) -> None:
        program = options.program or Path(sys.executable).with_name("replicator")
        if not os.access(program, os.X_OK):
            raise DevstackError(f"There is no {program}.", hint="Run `make venv`, which installs it.")
        directory.mkdir(parents=True, exist_ok=True)
        self.log = (directory / "replicator.log").resolve()
        variables = {
            "REPLICATOR_MONGO_URI_FILE": _secret(directory / "mongo-uri", options.mongo_uri),
            "REPLICATOR_POSTGRES_DSN_FILE": _secret(directory / "postgres-dsn", options.postgres_dsn),
            "REPLICATOR_MONGO_DATABASE": options.mongo_database,
            "REPLICATOR_HTTP_PORT": str(options.http_port),
            "REPLICATOR_LOG_FORMAT": "json",
            **options.variables,
        }
        if _COMPILED in os.environ:
            variables[_COMPILED] = os.environ[_COMPILED]
        if options.mapping is not None:
            variables["REPLICATOR_MAPPING"] = str(options.mapping.resolve())
        self.url = f"http://127.0.0.1:{options.http_port}/"
        self._process = ServerProcess(
            [str(program), "run"],
            directory=directory,
            log=self.log,
            variables=variables,
            stop_signal=signal.SIGTERM,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.running

    def require_running(self) -> None:
        """Raise :class:`DevstackError` with the end of its log when it has ended by itself."""
        if not self.running:
            raise DevstackError(
                f"The service ended by itself (exit code {self._process.exit_code}).",
                hint=f"The end of {self.log}:\n{self._process.log_tail()}",
            )

    def wait_until_listening(self, seconds: float = _LISTENING_SECONDS) -> None:
        """Wait until it says itself that it listens: asking the port could mean asking somebody else's program.

        Raises :class:`PortTakenError` when somebody has the port.
        """
        deadline = time.monotonic() + seconds
        while _STARTED not in (written := self._process.log_written()):
            if _PORT_TAKEN in written:
                raise PortTakenError("Somebody has the port of the service.", hint=self._process.log_tail())
            self.require_running()
            if time.monotonic() > deadline:
                raise DevstackError(f"The service does not listen after {seconds:.0f} s.", hint=f"See {self.log}.")
            time.sleep(_POLL_SECONDS)

    def path(self) -> str:
        """Which path makes its rows, as ``/status`` says; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}status", timeout=3) as answer:  # noqa: S310 - our own address
                return str(json.load(answer).get("compiled") or "")
        except (OSError, ValueError):
            return ""

    def stop(self) -> None:
        """Let it finish what it has in hand, and end it. Idempotent."""
        self._process.stop(signal.SIGTERM, timeout=_DRAIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _secret(path: Path, value: str) -> str:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(value, encoding="utf-8")
    return str(path.resolve())
