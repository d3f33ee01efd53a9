"""`devstack` at a terminal: servers in the background that other commands find."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.process import remove_directory, temporary_directory
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = str(Path(sys.executable).with_name("devstack"))


def devstack(command: str, directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, command, "--dir", str(directory), *more], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def directory() -> Iterator[Path]:
    path = temporary_directory()
    yield path
    devstack("down", path)
    remove_directory(path)


def test_servers_in_the_background_are_found_used_ended_and_keep_their_rows(directory: Path) -> None:
    started = devstack("up", directory, "--detach", "--json")
    assert started.returncode == 0, started.stderr
    dsn = json.loads(started.stdout)["postgres_dsn"]
    assert json.loads(devstack("up", directory, "--detach", "--json").stdout)["postgres_dsn"] == dsn
    exports = subprocess.run(
        ["/bin/bash", "-c", f"eval \"$('{PROGRAM}' env --dir '{directory}')\" && echo $REPLICATOR_POSTGRES_DSN"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert exports.stdout.strip() == dsn
    assert devstack("psql", directory, "-c", "create table kept as select 7 as id").returncode == 0
    assert devstack("down", directory).returncode == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    assert devstack("up", directory, "-d").returncode == 0
    assert devstack("psql", directory, "-At", "-c", "select id from kept").stdout == "7\n"


def test_a_directory_belongs_to_one_pair_of_servers(directory: Path) -> None:
    assert devstack("up", directory, "-d").returncode == 0
    second = devstack("up", directory)
    assert second.returncode == 3
    assert "run in" in second.stderr


def test_a_note_that_a_killed_program_has_left_behind_means_nothing(directory: Path) -> None:
    assert devstack("up", directory, "-d").returncode == 0
    os.kill(json.loads((directory / "addresses.json").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: devstack("env", directory).returncode == 3, message="the lock to be free")
    assert "devstack up --detach" in devstack("env", directory).stderr
    assert devstack("up", directory, "-d").returncode == 0


def test_a_start_in_the_background_that_fails_tells_why(directory: Path) -> None:
    failed = devstack("up", directory, "-d", "--pg", "9")
    assert failed.returncode == 3
    assert "There is no PostgreSQL 9 here" in failed.stderr
