"""Both servers in a directory, for a person at a terminal: they run in the background, other commands find them.

Whoever runs the servers holds a lock in the directory and keeps a note beside it with the addresses, which hold the
password of PostgreSQL and are for this user alone. A note without a lock is left over and means nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.postgres import PostgresServer

SOURCE = "origin"
SINK = "destination"

_START_SECONDS = 180.0
"""The first start may have to fetch the server programs."""
_END_SECONDS = 90.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers are; ``pid`` is the process that runs them, ``psql`` PostgreSQL's own client."""

    mongo_uri: str
    postgres_dsn: str
    pid: int
    psql: str

    def exports(self) -> str:
        """Lines for a shell, after which ``replicator`` and ``warehouse`` need nothing else."""
        variables = {
            "REPLICATOR_MONGO_URI": self.mongo_uri,
            "REPLICATOR_MONGO_DATABASE": SOURCE,
            "REPLICATOR_POSTGRES_DSN": self.postgres_dsn,
            "WAREHOUSE_MONGO_URI": self.mongo_uri,
            "WAREHOUSE_MONGO_DATABASE": SOURCE,
            "WAREHOUSE_POSTGRES_DSN": self.postgres_dsn,
        }
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


@contextmanager
def occupied(directory: Path) -> Iterator[None]:
    """Keep the directory for this process. Raises :class:`DevstackError` while another one has it."""
    directory.mkdir(parents=True, exist_ok=True)
    with _lock(directory).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DevstackError(
                f"Servers run in {directory} already.",
                hint="`devstack env` gives their addresses, `devstack down` "
                "ends them; --dir chooses another directory.",
            ) from None
        try:
            yield
        finally:
            _note(directory).unlink(missing_ok=True)


def announce(directory: Path, addresses: Addresses) -> None:
    """Let other commands know where the servers are."""
    note = _note(directory)
    new = note.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(asdict(addresses)), encoding="utf-8")
    new.replace(note)


def find(directory: Path) -> Addresses:
    """Where the servers of a directory are. Raises :class:`DevstackError` when none run."""
    # The note first: asking for the lock would be in the way of whoever is about to take it.
    with suppress(FileNotFoundError):
        note = _note(directory).read_text(encoding="utf-8")
        if _is_occupied(directory):
            return Addresses(**json.loads(note))
    raise DevstackError(f"No servers run in {directory}.", hint="Start them with `devstack up --detach`.")


def detach(directory: Path, arguments: list[str]) -> Addresses:
    """Run ``devstack up`` in the background until :func:`end`, and wait until its servers can be used."""
    if _is_occupied(directory):
        return find(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _note(directory).unlink(missing_ok=True)
    log = directory / "devstack.log"
    log.touch(mode=0o600)
    command = [sys.executable, "-c", "from devstack.cli import main; main()", "up", "--dir", str(directory)]
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(DevstackError):
            return find(directory)
        time.sleep(_POLL_SECONDS)
    if process.poll() is None:
        process.terminate()
    raise DevstackError("The servers did not start.", hint=log.read_text(encoding="utf-8").removeprefix("devstack: "))


def end(directory: Path) -> None:
    """End the servers of a directory and wait until they are gone; their files stay."""
    os.kill(find(directory).pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while _is_occupied(directory):
        if time.monotonic() > deadline:
            raise DevstackError("The servers did not end in time.", hint=f"See {directory / 'devstack.log'}.")
        time.sleep(_POLL_SECONDS)


def require_sink(server: PostgresServer) -> str:
    """Make the database of the replicated tables unless it is there and return its address."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", (SINK,)).fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(SINK)))
    return server.dsn(SINK)


def _lock(directory: Path) -> Path:
    return directory / "up.lock"


def _note(directory: Path) -> Path:
    return directory / "addresses.json"


def _is_occupied(directory: Path) -> bool:
    try:
        with _lock(directory).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
