"""The parent of one server: a program of its own that ends the server when nobody needs it any more.

Run as `python -I -S supervisor.py SPECIFICATION`, where the specification is the JSON of :class:`Specification`. It
writes the server's process id to standard output and then waits for one of two ends:

1. the server ends: the supervisor ends what the server has left behind, and ends too, with the server's exit code
   (128 + signal when a signal ended it);
2. its own parent ends, which shows as the end of standard input or as a changed parent process id (a fork of the
   parent may hold the pipe open): the server gets its stop signal, then SIGKILL, and the directories are removed.

On Linux the server also dies with its supervisor: the parent-death signal belongs to the thread that forked, and here
there is only one. This file imports the standard library alone, because it runs outside the virtual environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PARENT_CHECK_SECONDS = 0.5
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Specification:
    """What to run, as whom, and what to do when the parent is gone."""

    argv: list[str]
    environment: dict[str, str]
    parent: int
    directory: str
    log: str
    uid: int | None
    gid: int | None
    stop_signal: int
    remove: list[str]

    def dump(self) -> str:
        """Return the one argument of the program."""
        return json.dumps(asdict(self))


def children(pid: int) -> list[int]:
    """Return the process ids of the direct children of `pid`; an empty list where /proc is absent."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The program's name, in parentheses, may itself hold spaces and parentheses.
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def kill_tree(pid: int) -> None:
    """End `pid` and its direct children by SIGKILL, leaving it no time to start further ones."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        for child in children(pid):
            _send(child, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def kill_session(leader: int) -> None:
    """End by SIGKILL whatever the server `leader` has left behind: it began a session, which its descendants share."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            _send(int(entry.parent.name), signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _become_server(spec: Specification, supervisor: int, libc: ctypes.CDLL | None) -> NoReturn:
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if spec.uid is not None and spec.gid is not None:
            os.setgroups([])
            os.setgid(spec.gid)
            os.setuid(spec.uid)
        if libc is not None:
            # A change of user clears the parent-death signal, so it is set last.
            libc.prctl(_PR_SET_PDEATHSIG, spec.stop_signal, 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(127)
        os.chdir(spec.directory)
        os.execve(spec.argv[0], spec.argv, spec.environment)  # noqa: S606 - a shell is not wanted
    except OSError as error:
        os.write(2, f"cannot run {spec.argv[0]}: {error}\n".encode())
    os._exit(127)


def _reaped(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _abandon(pid: int, spec: Specification) -> None:
    _send(pid, spec.stop_signal)
    deadline = time.monotonic() + _GRACE_SECONDS
    while _reaped(pid) is None:
        if time.monotonic() > deadline:
            kill_tree(pid)
            os.waitpid(pid, 0)
            break
        time.sleep(0.02)
    kill_session(pid)
    for directory in spec.remove:
        shutil.rmtree(directory, ignore_errors=True)


def supervise(spec: Specification) -> int:
    """Run the server until it or the parent ends; return the exit code."""
    supervisor = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer)
    ending: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    pid = os.fork()
    if pid == 0:
        _become_server(spec, supervisor, libc)
    os.write(1, f"{pid}\n".encode())

    while True:
        readable, _, _ = select.select([0, wake_reader], [], [], _PARENT_CHECK_SECONDS)
        if wake_reader in readable:
            os.read(wake_reader, 64)
        code = _reaped(pid)
        if code is not None:
            kill_session(pid)
            return code
        if ending or os.getppid() != spec.parent or (0 in readable and not os.read(0, 64)):
            _abandon(pid, spec)
            return 0


if __name__ == "__main__":
    sys.exit(supervise(Specification(**json.loads(sys.argv[1]))))
