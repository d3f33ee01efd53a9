"""One mongod process: its command line, its port, its end."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.ports import LOOPBACK, PortTakenError, on_free_port
from devstack.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devstack.binaries import MongoBinaries

_START_SECONDS = 60.0
_EXIT_PORT_TAKEN = 48
_LISTENING = '"id":23016,'  # The log entry "Waiting for connections".


@dataclass(frozen=True, slots=True)
class MongodOptions:
    """How a mongod runs: without `replica_set` as a standalone server, without `key_file` open to everybody.

    `arguments` are added to its command line.
    """

    replica_set: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    oplog_mb: int | None = None
    cache_gb: float = 0.25
    key_file: Path | None = None
    arguments: Sequence[str] = ()


class Mongod:
    """A mongod in a directory of its own. It keeps its port over restarts."""

    def __init__(
        self,
        binaries: MongoBinaries,
        directory: Path,
        options: MongodOptions,
        *,
        port: int | None,
        temporary: Path | None,
    ) -> None:
        self._binaries = binaries
        self._options = options
        self._temporary = temporary
        self._directory = directory
        self.log = directory / "mongod.log"
        (directory / "data").mkdir(parents=True, exist_ok=True)
        self.port, self._process = on_free_port(self._started) if port is None else (port, self._started(port))

    @property
    def address(self) -> str:
        """Return `host:port`, as it stands in a replica set's configuration."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the mongod."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.running

    def kill(self) -> None:
        """End it by SIGKILL. Idempotent."""
        self._process.kill()

    def stop(self) -> None:
        """Shut it down in order; where its files are temporary, at once. Idempotent."""
        if self._temporary is not None:
            self.kill()
        else:
            self._process.stop(signal.SIGTERM, timeout=60)

    def start_again(self) -> None:
        """Start it after a kill or a stop, on the same port and files, and wait until it listens."""
        if self.running:
            return
        self._process = self._started(self.port)

    def _started(self, port: int) -> ServerProcess:
        """Start the process and wait until it says that it listens.

        Asking the port instead could mean asking somebody else's server.
        """
        process = ServerProcess(
            self._command(port),
            directory=self._directory,
            log=self.log,
            libraries=self._binaries.libraries,
            stop_signal=signal.SIGKILL if self._temporary else signal.SIGTERM,
            remove=[self._temporary] if self._temporary else [],
        )
        deadline = time.monotonic() + _START_SECONDS
        while process.running and time.monotonic() < deadline:
            if _LISTENING in process.log_written():
                return process
            time.sleep(0.02)
        process.kill()
        failure = PortTakenError if process.exit_code == _EXIT_PORT_TAKEN else DevstackError
        raise failure(
            f"mongod on port {port} did not start (exit code {process.exit_code}).",
            hint=f"The end of {self.log}:\n{process.log_tail()}",
        )

    def _command(self, port: int) -> list[str]:
        options = self._options
        parameters = {
            # The recorder of diagnostics wakes up every second; nobody reads it here.
            "diagnosticDataCollectionEnabled": "false",
            # By default a signalled member waits 15 seconds for its clients to look elsewhere.
            "shutdownTimeoutMillisForSignaledShutdown": "100",
            **options.parameters,
        }
        command = [
            str(self._binaries.mongod),
            "--dbpath",
            str(self._directory / "data"),
            "--port",
            str(port),
        ]
        command += ["--bind_ip", LOOPBACK, "--nounixsocket", "--wiredTigerCacheSizeGB", str(options.cache_gb)]
        for name, value in parameters.items():
            command += ["--setParameter", f"{name}={value}"]
        if options.replica_set is not None:
            command += ["--replSet", options.replica_set]
        if options.oplog_mb is not None:
            command += ["--oplogSize", str(options.oplog_mb)]
        if options.key_file is not None:
            command += ["--keyFile", str(options.key_file)]
        return [*command, *options.arguments]
