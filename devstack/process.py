"""One running server process, held through its supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import supervisor
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.account import Account


TEMPORARY = "DEVSTACK_TEMPORARY"
"""The variable that names the place of temporary directories; where other programs have theirs, unless it is set."""


def temporary_directory() -> Path:
    """Make a directory that another OS user may pass through: servers may not run as the user who asks for them."""
    directory = Path(tempfile.mkdtemp(prefix="devstack-", dir=os.environ.get(TEMPORARY)))
    directory.chmod(0o711)
    return directory.resolve()


def remove_directory(directory: Path) -> None:
    """Remove a temporary directory; what a dying server still writes there does not matter."""
    shutil.rmtree(directory, ignore_errors=True)


class ServerProcess:
    """A server that is running, or has ended. `pid` is the server's own, not its supervisor's."""

    def __init__(
        self,
        argv: list[str],
        *,
        directory: Path,
        log: Path,
        account: Account | None = None,
        libraries: Path | None = None,
        variables: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGKILL,
        remove: list[Path] | None = None,
    ) -> None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        if libraries is not None:
            environment["LD_LIBRARY_PATH"] = str(libraries)
        # They show in the supervisor's command line, so secrets are handed over in files.
        environment.update(variables or {})
        specification = supervisor.Specification(
            argv=argv,
            environment=environment,
            parent=os.getpid(),
            directory=str(directory),
            log=str(log),
            uid=account.uid if account else None,
            gid=account.gid if account else None,
            stop_signal=stop_signal,
            remove=[str(path) for path in remove or []],
        )
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        # A session of its own keeps the terminal's Ctrl-C away: the owner decides the order of the end.
        self._supervisor = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", supervisor.__file__, specification.dump()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._supervisor.stdout is not None  # noqa: S101 - it is a pipe
        line = self._supervisor.stdout.readline()
        if not line:
            self.close()
            raise DevstackError(f"{argv[0]} could not be started.", hint=f"The end of {log} may say why.")
        self.pid = int(line)

    @property
    def running(self) -> bool:
        """Whether the server has not ended yet."""
        return self._supervisor.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The server's exit code, 128 + signal when a signal ended it; None while it runs."""
        return self._supervisor.poll()

    def kill(self) -> None:
        """End the server and its children by SIGKILL and wait until it is gone. Idempotent."""
        if self.running:
            supervisor.kill_tree(self.pid)
        self._gone(timeout=30)

    def stop(self, number: signal.Signals, *, timeout: float) -> None:
        """Ask the server to end, wait, and kill it after `timeout` seconds. Idempotent."""
        if self.running:
            # It may end by itself just now.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
        try:
            self._gone(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def _gone(self, *, timeout: float) -> None:
        self._supervisor.wait(timeout=timeout)
        self.close()

    def close(self) -> None:
        """Let go of the supervisor, which ends the server if it still runs. Idempotent."""
        for stream in (self._supervisor.stdin, self._supervisor.stdout):
            if stream is not None:
                stream.close()
        self._supervisor.wait(timeout=30)

    def log_written(self) -> str:
        """Return what the log has gained since this process was started."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_start)
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of this process in the log, for an error message."""
        return "\n".join(self.log_written().splitlines()[-lines:])
