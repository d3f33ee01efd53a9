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
from benchmarks.results import Run
from devstack.ports import free_port
from devstack.scratch import scratch_directory
from devstack.service import ServiceOptions, ServiceProcess
from devstack.stack import Stack, running_stack
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.naming import schema_name
from replicator_service.core.position import to_cluster_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymongo.database import Database

    from replicator_service.core.mapping.model import TypedCollection

MAPPING = Path(__file__).resolve().parents[1] / "mappings" / "shop.yml"
POSTGRES_VERSION = 18

_POLL_SECONDS = 0.005
_LONGEST_RUN_SECONDS = 900.0
_SAY_SECONDS = 15.0
_PASSED_ON = ("REPLICATOR_COMPILED",)
_DATABASE = "benchmark"

_TABLES_BY_STREAM = """
select table_schema || '.' || table_name from information_schema.columns join information_schema.tables
    using (table_schema, table_name)
where table_schema = 'replicator' and column_name = 'stream' and table_type = 'BASE TABLE'
"""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Progress:
    """What the control tables say of one stream."""

    epoch: int
    cluster_time: int
    is_snapshotting: bool


@dataclass(frozen=True, slots=True)
class Lab:
    """Both servers, with a database for everything that is measured."""

    stack: Stack
    client: MongoClient[dict[str, Any]]
    connection: Connection
    dsn: str
    directory: Path
    program: Path | None
    variables: dict[str, str]
    """Settings of the service under measure, from the environment of the benchmark."""
    say: Callable[[str], None]
    """Tells somebody who waits how far things are."""

    def fresh_source(self, name: str) -> Database[dict[str, Any]]:
        """An empty MongoDB database, of which PostgreSQL knows nothing: in each round it is read for the first time."""
        self.client.drop_database(name)
        schema = psycopg.sql.Identifier(schema_name(name))
        self.connection.execute(psycopg.sql.SQL("drop schema if exists {} cascade").format(schema))
        for (table,) in self.connection.execute(_TABLES_BY_STREAM).fetchall():
            query = psycopg.sql.SQL("delete from {} where stream = %s").format(
                psycopg.sql.Identifier(*table.split("."))
            )
            self.connection.execute(query, (name,))
        return self.client[name]

    @contextmanager
    def service(
        self, database: str, *, mapping: Path | None, mongo_uri: str | None = None, dsn: str | None = None
    ) -> Iterator[ServiceProcess]:
        """The service, replicating a database; at other addresses of the same servers, if they are given."""
        options = ServiceOptions(
            mongo_uri=mongo_uri or self.stack.mongo.uri,
            postgres_dsn=dsn or self.dsn,
            mongo_database=database,
            http_port=free_port(),
            mapping=mapping,
            program=self.program,
            variables=self.variables,
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
            led, before = time.perf_counter(), self.costs(process)
            self.wait(process, database, lambda progress: progress.cluster_time > 0 and done(progress))
            ended, after = time.perf_counter(), self.costs(process)
            service, mongod, postgres = (late - early for early, late in zip(before, after, strict=True))
            return Run(ended - led, ended - started, service, mongod, postgres, peak_bytes(process.pid), process.path())

    def wait(self, process: ServiceProcess, database: str, done: Callable[[Progress], bool]) -> None:
        """Wait until the progress of a stream is ``done``."""
        began = told = time.monotonic()
        while not done(self.progress(database)):
            process.require_running()
            now = time.monotonic()
            if now - told > _SAY_SECONDS:
                told = now
                self.say(f"the service has worked on {database} for {now - began:.0f} s")
            if now - began > _LONGEST_RUN_SECONDS:
                raise TimeoutError(f"The service was not done after {_LONGEST_RUN_SECONDS:.0f} s, see {process.log}.")
            time.sleep(_POLL_SECONDS)

    def reconcile(self, database: str, collection: str, *, mapping: Path) -> float:
        """Compare a collection of documents that are equal, with the command, and say how many seconds that took.

        The time is from the moment it has connected until the last part is compared.
        """
        told = self.replicator(database, "reconcile", "--collection", collection, mapping=mapping)
        return sum(float(part["seconds"]) for part in told["parts"])

    def replicator(self, database: str, *arguments: str, mapping: Path | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Run a command of the service and give the JSON that it prints."""
        program = self.program or Path(sys.executable).with_name("replicator")
        variables = {
            "REPLICATOR_MONGO_URI": self.stack.mongo.uri,
            "REPLICATOR_MONGO_DATABASE": database,
            "REPLICATOR_POSTGRES_DSN": self.dsn,
            **({"REPLICATOR_MAPPING": str(mapping)} if mapping else {}),
        }
        done = subprocess.run(  # noqa: S603 - our own command
            [program, *arguments, "--json"],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=_LONGEST_RUN_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def now(self) -> int:
        """The cluster time of now: everything that was acknowledged is not later."""
        return to_cluster_time(self.client.admin.command("ping")["operationTime"])

    def peak(self, process: ServiceProcess) -> int:
        """The most memory that the service has held so far, in bytes."""
        return peak_bytes(process.pid)

    def resyncs(self, stream: str) -> int:
        """How many requests of operators the service has taken from the table."""
        query = "select count(*) from replicator.request where stream = %s and handled_at is not null"
        row = self.connection.execute(query, (stream,)).fetchone()
        return int(row[0]) if row else 0

    def rows(self, database: str, table: str) -> int:
        """How many rows a replicated table has."""
        query = psycopg.sql.SQL("select count(*) from {}").format(psycopg.sql.Identifier(schema_name(database), table))
        row = self.connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def costs(self, process: ServiceProcess) -> tuple[float, float, float]:
        """The processor time so far of the service, mongod and PostgreSQL."""
        return (
            cpu_seconds(process.pid),
            cpu_seconds(self.stack.mongo.pid),
            cpu_seconds(self.stack.postgres.pid, with_children=True),
        )


@contextmanager
def running_lab(
    directory: Path, *, program: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Iterator[Lab]:
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
            variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            yield Lab(stack, client, connection, dsn, scratch, program, variables, say)


def shop_collection(name: str) -> TypedCollection:
    """One collection of the shop's mapping."""
    mapping = load_mapping(MAPPING.read_bytes(), name=str(MAPPING))
    return next(each for each in mapping.collections if each.collection == name)
