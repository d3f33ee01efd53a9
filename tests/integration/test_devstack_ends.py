"""Whoever starts servers may end in any way: nothing is left running, no temporary file stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pymongo import MongoClient

from devstack.account import may_enter, unprivileged
from devstack.process import remove_directory, temporary_directory
from devstack.wheels import cache_directory
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.account import Account

ROOT = Path(__file__).resolve().parents[2]
Told = dict[str, Any]

OWNER = ROOT / "tests" / "support" / "server_owner.py"


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("platlib")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEVSTACK_CACHE": str(cache_directory()),
    }


@contextmanager
def _running(command: list[str], account: Account | None = None) -> Iterator[tuple[subprocess.Popen[str], Told]]:
    """Run a program that tells about its servers in one line of JSON."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    ) as program:
        try:
            assert program.stdout is not None
            yield program, json.loads(program.stdout.readline())
        finally:
            program.kill()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _assert_usable(told: Told) -> None:
    with MongoClient[dict[str, Any]](told["mongo_uri"], serverSelectionTimeoutMS=5_000) as client:
        assert client.admin.command("ping")["ok"] == 1
    with psycopg.connect(told["postgres_dsn"]) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def _assert_all_gone(told: Told) -> None:
    wait_until(lambda: not any(_alive(pid) for pid in told["pids"]), message=f"the end of {told['pids']}")
    wait_until(
        lambda: not any(Path(directory).exists() for directory in told["directories"]),
        message=f"the removal of {told['directories']}",
    )


def test_servers_outlive_the_thread_that_started_them_and_end_with_their_owner() -> None:
    with _running([sys.executable, str(OWNER)]) as (owner, told):
        _assert_usable(told)
        assert owner.stdin is not None
        owner.stdin.close()
        assert owner.wait(timeout=30) == 0
        _assert_all_gone(told)


def test_nothing_is_left_when_the_owner_is_killed() -> None:
    with _running([sys.executable, str(OWNER)]) as (owner, told):
        _assert_usable(told)
        owner.send_signal(signal.SIGKILL)
        _assert_all_gone(told)


def test_nothing_is_left_when_a_supervisor_is_killed() -> None:
    with _running([sys.executable, str(OWNER)]) as (owner, told):
        for pid in told["pids"]:
            stat = Path(f"/proc/{pid}/stat").read_text()
            os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        wait_until(lambda: not any(_alive(pid) for pid in told["pids"]), message="the servers to follow")
        assert owner.stdin is not None
        owner.stdin.close()
        _assert_all_gone(told)


def _python_for(account: Account) -> str | None:
    """Return an interpreter of this version that the account may run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [Path(sys.executable).resolve(), *(Path(place) / name for place in ("/usr/bin", "/usr/local/bin"))]
    return next((str(path) for path in candidates if path.exists() and may_enter(account, path.parent)), None)


def test_an_ordinary_user_runs_both_servers_as_itself() -> None:
    account = unprivileged()
    python = sys.executable if account is None else _python_for(account)
    if python is None or not may_enter(account, ROOT):
        pytest.skip("root keeps the interpreter or the repository to itself: no other user can run the program")
    with _running([python, str(OWNER)], account) as (owner, told):
        assert told["user"] == told["postgres_user"] == (account.uid if account else os.geteuid())
        _assert_usable(told)
        owner.kill()
        _assert_all_gone(told)


def test_the_command_runs_both_servers_until_ctrl_c_and_keeps_their_files() -> None:
    command = [str(Path(sys.executable).parent / "devstack"), "up", "--json", "--dir"]
    directory = temporary_directory()
    try:
        for _ in range(2):
            with _running([*command, str(directory)]) as (program, told):
                _assert_usable(told)
                with psycopg.connect(told["postgres_dsn"]) as connection:
                    connection.execute("create table if not exists start (at timestamptz)")
                    connection.execute("insert into start values (now())")
                    starts = connection.execute("select count(*) from start").fetchone()
                program.send_signal(signal.SIGINT)
                assert program.wait(timeout=30) == 0
        assert starts == (2,)
    finally:
        remove_directory(directory)


def test_the_command_tells_a_failure_in_words() -> None:
    broken = shutil.which("true")
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "devstack"), "binaries"],
        env={**_environment(), "MONGOD": str(broken)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert ended.stderr == f"devstack: {broken} (MONGOD) does not run as a mongod.\nSet MONGOD to one that does.\n"
