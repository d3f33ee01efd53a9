"""One PostgreSQL server: its files, its settings, its start, kill and end."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from devstack.account import Account, require_entry, unprivileged
from devstack.binaries import PostgresBinaries, find_postgres
from devstack.errors import DevstackError
from devstack.ports import LOOPBACK, PortTakenError, on_free_port
from devstack.process import ServerProcess, remove_directory, temporary_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

SUPERUSER = "postgres"

# A crash of the server is as safe with these as without; a crash of the machine is not, so they are for tests only.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}

_START_SECONDS = 60.0
_READY = ("ready", "standby")
_LONGEST_SOCKET_PATH = 100


class PostgresServer:
    """A running server that listens on 127.0.0.1 only. It keeps its port over restarts."""

    def __init__(
        self,
        binaries: PostgresBinaries,
        directory: Path,
        *,
        port: int | None,
        password: str,
        settings: Mapping[str, str],
        temporary: Path | None,
    ) -> None:
        self.password = password
        self.version = binaries.version
        self._binaries = binaries
        self._directory = directory
        self._data = directory / "data"
        self._settings = dict(settings)
        self._temporary = temporary
        self._account = unprivileged()
        self.log = directory / "postgres.log"
        self.port, self._process = on_free_port(self._started) if port is None else (port, self._started(port))

    @classmethod
    def start(
        cls,
        directory: Path | None = None,
        *,
        version: int = 18,
        port: int | None = None,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
        binaries: PostgresBinaries | None = None,
    ) -> Self:
        """Start a server and wait until it takes connections.

        Without a directory the files are temporary. Files of an earlier start are used again; then `password` must be
        the one they were made with (it is in `superuser-password` there and used when none is given). As root the
        server runs as another OS user, who gets the directory.
        """
        temporary = temporary_directory() if directory is None else None
        root = (directory or temporary or Path()).resolve()
        try:
            program = binaries or find_postgres(version)
            secret = _initialised(program, root, password)
            return cls(program, root, port=port, password=secret, settings=settings or {}, temporary=temporary)
        except BaseException:
            if temporary is not None:
                remove_directory(temporary)
            raise

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster has not ended."""
        return self._process.running

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        """Return the address of a database as a URI, for the superuser unless another user is named."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def kill(self) -> None:
        """End the postmaster and all its processes by SIGKILL, as a crash does. Idempotent."""
        self._process.kill()

    def stop(self) -> None:
        """Shut down without waiting for clients, and remove temporary files. Idempotent."""
        if self._temporary is None:
            self._process.stop(signal.SIGINT, timeout=60)
        else:
            # A process that has something to tell a client who does not listen may keep it waiting.
            self._process.stop(signal.SIGQUIT, timeout=2)
            remove_directory(self._temporary)

    def restart(self, settings: Mapping[str, str] | None = None) -> None:
        """Start it again after a kill, or stop and start it, on the same port and files; `settings` are added."""
        self._process.stop(signal.SIGINT, timeout=60)
        self._settings.update(settings or {})
        # Only a killed server leaves this; its process id may belong to somebody else by now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._process = self._started(self.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self, port: int) -> ServerProcess:
        """Start the postmaster and wait for the word in its pid file that it takes connections."""
        self._configure(port)
        process = ServerProcess(
            [str(self._binaries.bindir / "postgres"), "-D", str(self._data)],
            directory=self._directory,
            log=self.log,
            account=self._account,
            libraries=self._binaries.libraries,
            stop_signal=signal.SIGQUIT,
            remove=[self._temporary] if self._temporary else [],
        )
        status = self._data / "postmaster.pid"
        deadline = time.monotonic() + _START_SECONDS
        while process.running and time.monotonic() < deadline:
            lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() in _READY:
                return process
            time.sleep(0.02)
        process.kill()
        failure = PortTakenError if "could not bind" in process.log_written() else DevstackError
        raise failure(
            f"PostgreSQL {self.version} on port {port} did not start (exit code {process.exit_code}).",
            hint=f"The end of {self.log}:\n{process.log_tail()}",
        )

    def _configure(self, port: int) -> None:
        sockets = str(self._directory) if len(str(self._directory)) < _LONGEST_SOCKET_PATH - 20 else ""
        values = {
            "listen_addresses": LOOPBACK,
            "port": str(port),
            "unix_socket_directories": sockets,
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self._settings,
        }
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in values.items()]
        (self._data / "devstack.conf").write_text("".join(lines), encoding="utf-8")
        change_owner(self._data / "devstack.conf", self._account)


def _initialised(program: PostgresBinaries, root: Path, password: str | None) -> str:
    """Make the data directory unless it is there; return the superuser's password."""
    account = unprivileged()
    root.mkdir(parents=True, exist_ok=True)
    require_entry(account, root, hint="Choose a directory that other OS users may enter, such as one below /var/tmp.")
    require_entry(account, program.bindir, hint="Set DEVSTACK_CACHE or PG_BINDIR to a place that others may enter.")
    change_owner(root, account)
    kept = root / "superuser-password"
    if (root / "data" / "PG_VERSION").exists():
        return password or kept.read_text(encoding="utf-8")
    secret = password or secrets.token_urlsafe(18)
    kept.touch(mode=0o600)
    kept.write_text(secret, encoding="utf-8")
    change_owner(kept, account)
    _initdb(program, root, account, kept)
    return secret


def _initdb(program: PostgresBinaries, root: Path, account: Account | None, password_file: Path) -> None:
    # Built beside its place, so that an interrupted start leaves no half-made data directory behind.
    building = Path(tempfile.mkdtemp(dir=root, prefix="initdb-"))
    change_owner(building, account)
    command = [
        str(program.bindir / "initdb"),
        "--pgdata",
        str(building),
        "--username",
        SUPERUSER,
        "--no-sync",
    ]
    command += [
        "--pwfile",
        str(password_file),
        "--auth",
        "scram-sha-256",
        "--encoding",
        "UTF8",
        "--no-locale",
    ]
    command += ["--no-instructions"]
    if program.major >= 17:
        command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    ended = subprocess.run(  # noqa: S603 - the server's own program
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,  # Ctrl-C is for the owner, who ends what was started.
    )
    if ended.returncode != 0:
        shutil.rmtree(building, ignore_errors=True)
        raise DevstackError(f"initdb of PostgreSQL {program.version} failed.", hint=ended.stderr.strip())
    with (building / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write("\ninclude 'devstack.conf'\n")
    building.rename(root / "data")


def change_owner(path: Path, account: Account | None) -> None:
    """Let the account own a file; the process itself when there is none."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
