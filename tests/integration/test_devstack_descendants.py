"""What a server has started ends with it, also in process groups of its own, as Airflow's tasks are."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from devstack.process import ServerProcess
from tests.support.waiting import wait_until

PROGRAM = """
import os, pathlib, sys, time
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    time.sleep(60)
pathlib.Path(sys.argv[1]).write_text(str(child))
time.sleep(60)
"""


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_with_a_process_group_of_its_own_ends_with_the_server(tmp_path: Path, number: signal.Signals) -> None:
    told = tmp_path / "child"
    server = ServerProcess(
        [sys.executable, "-c", PROGRAM, str(told)], directory=tmp_path, log=tmp_path / "log", stop_signal=signal.SIGTERM
    )
    try:
        child = int(wait_until(lambda: told.exists() and told.read_text(), message="the child") or 0)
        assert is_there(child)
        os.kill(server.pid, number)
        wait_until(lambda: not server.running, message="the server's end")
        wait_until(lambda: not is_there(child), message="the end of the child")
    finally:
        server.kill()


def test_a_server_that_ends_while_it_is_asked_to_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ServerProcess(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        directory=tmp_path,
        log=tmp_path / "log",
        stop_signal=signal.SIGTERM,
    )

    def too_late(pid: int, number: int) -> None:
        real(pid, number)
        raise ProcessLookupError

    real = os.kill
    try:
        monkeypatch.setattr("devstack.process.os.kill", too_late)
        server.stop(signal.SIGKILL, timeout=30)
        assert not server.running
    finally:
        monkeypatch.undo()
        server.kill()
