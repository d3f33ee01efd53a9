"""Where the service is measured: both servers, and the service as a process seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import UndefinedTable
from pymongo import MongoClient

from benchmarks.processes import cpu_seconds, peak_bytes
from devstack.ports import free_port
from devstack.scratch import scratch_directory
from devstack.service import ServiceOptions, ServiceProcess
from devstack.stack import Stack, running_stack
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.naming import schema_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from replicator_service.core.mapping.model import TypedCollection

MAPPING = Path(__file__).resolve().parents[1] / "mappings" / "shop.yml"
POSTGRES_VERSION = 18

_POLL_SECONDS = 0.005
_LONGEST_RUN_SECONDS = 900.0
_DATABASE = "benchmark"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the control tables say of one stream."""

    epoch: int
    cluster_time: int
    is_snapshotting: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the service took: from the moment it led, and from the start of its process.

    Processor times are those between the two ends of ``seconds``.
    """

    seconds: float
    seconds_from_start: float
    service_cpu: float
    mongod_cpu: float
    postgres_cpu: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Lab:
    """Both servers, with a database for everything that is measured."""

    stack: Stack
    client: MongoClient[dict[str, Any]]
    connection: Connection
    dsn: str
    directory: Path
    program: Path | None

    def fresh_source(self, name: str) -> Database[dict[str, Any]]:
        """An empty MongoDB database."""
        self.client.drop_database(name)
        return self.client[name]

    @contextmanager
    def service(self, database: str, *, mapping: Path | None) -> Iterator[ServiceProcess]:
        """The service, replicating a database."""
        options = ServiceOptions(
            mongo_uri=self.stack.mongo.uri,
            postgres_dsn=self.dsn,
            mongo_database=database,
            http_port=free_port(),
            mapping=mapping,
            program=self.program,
        )
        with ServiceProcess(self.directory / "service", options) as process:
            yield process

    def progress(self, stream: str) -> Progress:
        """How far a stream is; zeros before its first start."""
        query = (
            "select epoch, coalesce(cluster_time, 0), exists (select from replicator.collection as l "
            "where l.stream = c.stream and l.state = 'snapshotting') from replicator.checkpoint as c where stream = %s"
        )
        try:
            row = self.connection.execute(query, (stream,)).fetchone()
        except UndefinedTable:
            row = None
        return Progress(*row) if row else Progress(0, 0, is_snapshotting=False)

    def measure(self, database: str, *, mapping: Path | None, done: Callable[[Progress], bool]) -> Run:
        """Start the service, wait until its progress is ``done``, stop it, and say what that took."""
        epoch = self.progress(database).epoch
        started = time.perf_counter()
        with self.service(database, mapping=mapping) as process:
            self.wait(process, database, lambda progress: progress.epoch > epoch)
            led, before = time.perf_counter(), self._costs(process)
            self.wait(process, database, lambda progress: progress.cluster_time > 0 and done(progress))
            ended, after = time.perf_counter(), self._costs(process)
            service, mongod, postgres = (late - early for early, late in zip(before, after, strict=True))
            return Run(ended - led, ended - started, service, mongod, postgres, peak_bytes(process.pid))

    def wait(self, process: ServiceProcess, database: str, done: Callable[[Progress], bool]) -> None:
        """Wait until the progress of a stream is ``done``."""
        deadline = time.monotonic() + _LONGEST_RUN_SECONDS
        while not done(self.progress(database)):
            process.require_running()
            if time.monotonic() > deadline:
                raise TimeoutError(f"The service was not done after {_LONGEST_RUN_SECONDS:.0f} s, see {process.log}.")
            time.sleep(_POLL_SECONDS)

    def reconcile(self, database: str, collection: str, *, mapping: Path) -> float:
        """Compare a collection of documents that are equal, with the command, and say how many seconds that took.

        The time is from the moment it has connected until the last part is compared.
        """
        program = self.program or Path(sys.executable).with_name("replicator")
        variables = {
            "REPLICATOR_MONGO_URI": self.stack.mongo.uri,
            "REPLICATOR_MONGO_DATABASE": database,
            "REPLICATOR_POSTGRES_DSN": self.dsn,
            "REPLICATOR_MAPPING": str(mapping),
        }
        done = subprocess.run(  # noqa: S603 - our own command
            [program, "reconcile", "--collection", collection, "--json"],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=_LONGEST_RUN_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"reconcile ended with {done.returncode}: {done.stdout}{done.stderr}")
        return sum(float(part["seconds"]) for part in json.loads(done.stdout)["parts"])

    def rows(self, database: str, table: str) -> int:
        """How many rows a replicated table has."""
        query = psycopg.sql.SQL("select count(*) from {}").format(psycopg.sql.Identifier(schema_name(database), table))
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _costs(self, process: ServiceProcess) -> tuple[float, float, float]:
        return (
            cpu_seconds(process.pid),
            cpu_seconds(self.stack.mongo.pid),
            cpu_seconds(self.stack.postgres.pid, with_children=True),
        )


@contextmanager
def running_lab(directory: Path, *, program: Path | None = None) -> Iterator[Lab]:
    """Start both servers with new, empty files and durable settings; only logs are left afterwards."""
    with (
        scratch_directory(directory, postgres_version=POSTGRES_VERSION) as scratch,
        running_stack(scratch, postgres_version=POSTGRES_VERSION) as stack,
    ):
        with psycopg.connect(stack.postgres.dsn(), autocommit=True) as connection:
            connection.execute(f"create database {_DATABASE}")
        dsn = stack.postgres.dsn(_DATABASE)
        with (
            MongoClient[dict[str, Any]](stack.mongo.uri, tz_aware=True) as client,
            psycopg.connect(dsn, autocommit=True) as connection,
        ):
            yield Lab(stack, client, connection, dsn, scratch, program)


def shop_collection(name: str) -> TypedCollection:
    """One collection of the shop's mapping."""
    mapping = load_mapping(MAPPING.read_bytes(), name=str(MAPPING))
    return next(each for each in mapping.collections if each.collection == name)
