"""One mongod process: its command line, its port, its end."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devstack.binaries import MongoBinaries
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK, free_port
from devstack.process import ServerProcess

_START_SECONDS = 60.0
_PORT_ATTEMPTS = 5
_EXIT_PORT_TAKEN = 48


@dataclass(frozen=True, slots=True)
class MongodOptions:
    """How a mongod runs. Without `replica_set` it is a standalone server, without `key_file` anybody may do anything."""

    replica_set: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    oplog_mb: int | None = None
    cache_gb: float = 0.25
    key_file: Path | None = None


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
        data = directory / "data"
        fresh = not data.exists()
        data.mkdir(parents=True, exist_ok=True)
        for attempt in range(_PORT_ATTEMPTS):
            self.port = port or free_port()
            self._process = self._launch()
            try:
                self.wait_listening()
                return
            except DevstackError:
                lost_race = port is None and self._process.exit_code == _EXIT_PORT_TAKEN
                self._process.kill()
                if not lost_race or attempt + 1 == _PORT_ATTEMPTS:
                    raise
                if fresh:
                    shutil.rmtree(data)
                    data.mkdir()

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

    def wait_listening(self) -> None:
        """Wait until the port answers; fail when the process ends first."""
        deadline = time.monotonic() + _START_SECONDS
        while self.running and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((LOOPBACK, self.port)) == 0 and self.running:
                    return
            time.sleep(0.02)
        raise DevstackError(
            f"mongod on port {self.port} did not start (exit code {self._process.exit_code}).",
            hint=f"The end of {self.log}:\n{self._process.log_tail()}",
        )

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
        self._process = self._launch()
        self.wait_listening()

    def _launch(self) -> ServerProcess:
        return ServerProcess(
            self._command(),
            directory=self._directory,
            log=self.log,
            libraries=self._binaries.libraries,
            stop_signal=signal.SIGKILL if self._temporary else signal.SIGTERM,
            remove=[self._temporary] if self._temporary else [],
        )

    def _command(self) -> list[str]:
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
            str(self.port),
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
        return command
