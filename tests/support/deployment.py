"""The two databases as `docker-compose.yml` sets them up, by the same scripts, on servers of this machine.

MongoDB runs by `mongo-init/start.sh` and is made ready by `mongo-init/main.js` in the real shell; PostgreSQL by
`sql/roles/apply.sh` with the real psql.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from pymongo import MongoClient

from devstack.binaries import find_mongod, find_postgres
from devstack.errors import DevstackError
from devstack.mongosh import find_mongosh, search_path
from devstack.ports import LOOPBACK, PortTakenError, on_free_port
from devstack.process import ServerProcess, remove_directory, temporary_directory
from tests.support.servers import start_postgres
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
MONGO_INIT = ROOT / "mongo-init"
ROLES = ROOT / "sql" / "roles"
BASH = shutil.which("bash") or "bash"

SECRETS = {
    "MONGO_ROOT_PASSWORD": "mongo-root.1",
    "MONGO_REPLICATOR_PASSWORD": "mongo-replicator_2",
    "MONGO_DB_CONN_LOGIN": "airflow",
    "MONGO_DB_CONN_PASSWORD": "mongo-airflow~3",
    "POSTGRES_REPLICATOR_PASSWORD": "postgres-replicator_4",
    "POSTGRES_CONN_LOGIN": "airflow",
    "POSTGRES_CONN_PASSWORD": "postgres-airflow~5",
    "POSTGRES_ANALYST_PASSWORD": "postgres-analyst.6",
}

_LISTENING = '"id":23016,'
_EXIT_PORT_TAKEN = 48
_BOUND_SECONDS = 90


class MongoOrigin:
    """A mongod under `start.sh`, in a directory that outlives its process."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.key_file = directory / "keyfile"
        self._directory = directory
        (directory / "data").mkdir(exist_ok=True)
        self.port, self._process = on_free_port(self._started) if port is None else (port, self._started(port))

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port}"

    def uri(self, user: str, password: str) -> str:
        """The address of the set for a user."""
        return f"mongodb://{user}:{password}@{self.address}/?replicaSet=rs0&authSource=admin"

    @contextmanager
    def client(self, user: str, password: str) -> Iterator[MongoClient[dict[str, Any]]]:
        """A connection of a user, to this very server."""
        uri = f"mongodb://{user}:{password}@{self.address}/?directConnection=true&authSource=admin"
        client: MongoClient[dict[str, Any]] = MongoClient(uri, serverSelectionTimeoutMS=10_000)
        with client:
            yield client

    @contextmanager
    def nobody(self) -> Iterator[MongoClient[dict[str, Any]]]:
        """A connection without a user."""
        client: MongoClient[dict[str, Any]] = MongoClient(f"mongodb://{self.address}/?directConnection=true")
        with client:
            yield client

    def initialise(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the one-shot `mongo-init`."""
        wanted = {"MONGO_ADDRESS": self.address, "MONGO_MEMBER": self.address, **SECRETS, **environ}
        return run_mongosh("--nodb", "--quiet", "--norc", "--file", str(MONGO_INIT / "main.js"), **wanted)

    def health(self) -> int:
        """The exit code of the container's health check."""
        words = ("--quiet", "--norc", "--port", str(self.port), "--file", str(MONGO_INIT / "health.js"))
        return run_mongosh(*words).returncode

    def stop(self) -> int | None:
        """End it as the container engine does, and give the exit code."""
        self._process.stop(signal.SIGTERM, timeout=60)
        return self._process.exit_code

    def _started(self, port: int) -> ServerProcess:
        binaries = find_mongod()
        options = {
            "--replSet": "rs0",
            "--port": str(port),
            "--bind_ip": LOOPBACK,
            "--dbpath": str(self._directory / "data"),
            "--oplogMinRetentionHours": "24",
            "--wiredTigerCacheSizeGB": "0.25",
            "--setParameter": "shutdownTimeoutMillisForSignaledShutdown=100",
        }
        words = [word for option in options.items() for word in option]
        process = ServerProcess(
            [BASH, str(MONGO_INIT / "start.sh"), "--nounixsocket", *words],
            directory=self._directory,
            log=self._directory / "mongod.log",
            libraries=binaries.libraries,
            variables={
                "MONGO_KEY_FILE": str(self.key_file),
                "PATH": f"{binaries.mongod.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            },
            stop_signal=signal.SIGTERM,
        )
        wait_until(
            lambda: _LISTENING in process.log_written() or not process.running, timeout=60, message="mongod to listen"
        )
        if not process.running:
            process.close()
            failure = PortTakenError if process.exit_code == _EXIT_PORT_TAKEN else DevstackError
            raise failure(f"start.sh ended with {process.exit_code}: {process.log_tail()}")
        return process


class Destination:
    """PostgreSQL under `apply.sh`."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    def apply_roles(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the one-shot `postgres-init`."""
        psql = find_postgres(18).bindir
        wanted = {
            "PATH": f"{psql}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PGHOST": LOOPBACK,
            "PGPORT": str(self.server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": self.server.password,
            **SECRETS,
            **environ,
        }
        return _run(["sh", str(ROLES / "apply.sh")], wanted)

    def dsn(self, user: str, password: str) -> str:
        """The address of the warehouse for a role."""
        return self.server.dsn("destination", user=user, password=password)

    @contextmanager
    def connected(self, user: str, password: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection of a role."""
        with psycopg.connect(self.dsn(user, password), autocommit=True) as connection:
            yield connection

    @contextmanager
    def as_administrator(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection of the superuser."""
        with psycopg.connect(self.server.dsn("destination"), autocommit=True) as connection:
            yield connection


@contextmanager
def mongo_origin() -> Iterator[MongoOrigin]:
    """A mongod that nobody has initialised yet."""
    directory = temporary_directory()
    try:
        server = MongoOrigin(directory)
        try:
            yield server
        finally:
            server.stop()
    finally:
        remove_directory(directory)


@contextmanager
def postgres_destination() -> Iterator[Destination]:
    """A PostgreSQL that nobody has initialised yet."""
    with start_postgres() as server:
        yield Destination(server)


def run_mongosh(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the shell with nothing of the environment but these variables."""
    home = temporary_directory()
    try:
        return _run(
            [str(find_mongosh()), *words],
            {"PATH": search_path(), "HOME": str(home), **environ},
        )
    finally:
        remove_directory(home)


def _run(command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BOUND_SECONDS,
        stdin=subprocess.DEVNULL,
    )
