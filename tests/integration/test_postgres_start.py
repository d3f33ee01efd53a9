"""`deploy/postgres/start.sh`: a cluster on an empty volume, and nothing half-made on any other."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.account import unprivileged
from devstack.binaries import find_postgres
from devstack.ports import LOOPBACK, free_port
from devstack.process import ServerProcess, remove_directory, temporary_directory
from tests.support.deployment import BASH, ROOT
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = ROOT / "deploy" / "postgres" / "start.sh"
PASSWORD = "administrator.1"


class Container:
    """The script on a volume, as the operating system's user whom PostgreSQL is content with."""

    def __init__(self, volume: Path) -> None:
        self.volume = volume
        self.data = volume / "18" / "docker"
        self.port = free_port()

    def started(self, password: str = PASSWORD) -> ServerProcess:
        """Start it, and wait until it takes connections or has ended."""
        # The script itself may be where this user cannot look.
        script = self.volume / "start.sh"
        script.write_text(START.read_text(encoding="utf-8"), encoding="utf-8")
        account = unprivileged()
        for path in (self.volume, *self.volume.rglob("*")):
            if account is not None:
                os.chown(path, account.uid, account.gid)
        process = ServerProcess(
            [BASH, str(script), "-c", f"unix_socket_directories={self.volume}", "-c", f"port={self.port}"],
            directory=self.volume,
            log=self.volume / "log",
            account=account,
            variables={
                "PATH": f"{find_postgres(18).bindir}{os.pathsep}{os.environ['PATH']}",
                "PGDATA": str(self.data),
                "POSTGRES_VOLUME": str(self.volume),
                "POSTGRES_USER": "postgres",
                "POSTGRES_PASSWORD": password,
            },
            stop_signal=signal.SIGQUIT,
        )
        wait_until(
            lambda: "ready to accept connections" in process.log_written() or not process.running,
            timeout=60,
            message=process.log_tail,
        )
        return process

    def connected(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection over TCP, as other containers open it."""
        return psycopg.connect(
            host=LOOPBACK, port=self.port, user="postgres", password=PASSWORD, dbname="postgres", autocommit=True
        )


@pytest.fixture
def container() -> Iterator[Container]:
    volume = temporary_directory()
    yield Container(volume)
    remove_directory(volume)


def refused(container: Container, password: str = PASSWORD) -> str:
    process = container.started(password)
    assert not process.running
    code = process.exit_code
    process.close()
    assert code == 1
    said = process.log_written()
    assert said.count("\n") == 1
    return said


def test_an_empty_volume_gets_a_cluster_that_stays(container: Container) -> None:
    first = container.started()
    try:
        with container.connected() as connection:
            connection.execute("create table kept (id int)")
    finally:
        first.stop(signal.SIGINT, timeout=30)
    assert first.exit_code == 0
    second = container.started()
    try:
        with container.connected() as connection:
            assert connection.execute("select from kept").fetchall() == []
            found = connection.execute("select datcollate, datlocprovider, encoding from pg_database").fetchall()
        assert {row[1] for row in found} == {"b"}
    finally:
        second.stop(signal.SIGINT, timeout=30)


def test_a_first_start_that_was_interrupted_is_begun_anew(container: Container) -> None:
    half = container.data.with_name("docker.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    process = container.started()
    try:
        with container.connected() as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert not half.exists()
    finally:
        process.stop(signal.SIGINT, timeout=30)


@pytest.mark.parametrize("place", ["18/docker", "17/docker", "data", "."])
def test_a_volume_of_another_version_is_named_and_left_alone(container: Container, place: str) -> None:
    older = container.volume / place
    older.mkdir(parents=True, exist_ok=True)
    (older / "PG_VERSION").write_text("17\n", encoding="ascii")
    assert "error: the volume of PostgreSQL holds data of version 17" in refused(container)
    assert (older / "PG_VERSION").read_text(encoding="ascii") == "17\n"
    assert not (container.data / "postgresql.conf").exists()


@pytest.mark.parametrize(("password", "told"), [("", "is missing"), ("p@ss", "may only have letters")])
def test_a_password_that_cannot_be_used_is_refused(container: Container, password: str, told: str) -> None:
    assert told in refused(container, password)
    assert not container.data.exists()
