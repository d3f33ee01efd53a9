"""A terminal that a command runs in, as a person's would be: what it draws, and keys that are pressed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENTERS_OWN_SCREEN = b"\x1b[?1049h"
LEAVES_OWN_SCREEN = b"\x1b[?1049l"
HIDES_CURSOR = b"\x1b[?25l"
SHOWS_CURSOR = b"\x1b[?25h"
CTRL_C = b"\x03"

_HOME = b"\x1b[H"
_CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")
_LEAST_FRAME = 100


@dataclass
class Terminal:
    """One command in its terminal."""

    pid: int
    descriptor: int
    output: bytes = b""
    exit_code: int | None = field(default=None)

    def read(self, seconds: float = 0.1) -> bytes:
        """Everything that was drawn so far."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and select.select([self.descriptor], [], [], left)[0]:
            try:
                chunk = os.read(self.descriptor, 65_536)
            except OSError:
                # Linux tells the end of a terminal's last program so.
                break
            if not chunk:
                break
            self.output += chunk
        return self.output

    def lines(self) -> list[str]:
        """The last whole screen, without colours."""
        frames = [frame for frame in self.read().split(_HOME)[:-1] if len(frame) > _LEAST_FRAME]
        if not frames:
            return []
        text = _CONTROLS.sub(b"", frames[-1]).decode()
        return [line.rstrip() for line in text.replace("\r", "").split("\n")]

    def screen_with(self, text: str, timeout: float = 30.0) -> list[str]:
        """Wait for a screen that shows ``text``."""
        return wait_until(
            lambda: lines if text in "\n".join(lines := self.lines()) else [],
            timeout=timeout,
            message=f"{text!r} on the screen",
        )

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self.descriptor, keys)

    def wait(self, timeout: float = 20.0) -> int:
        """The exit code."""

        def ended() -> bool:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_code = os.waitstatus_to_exitcode(status)
            return bool(pid)

        wait_until(ended, timeout=timeout, message="the command to end")
        assert self.exit_code is not None
        return self.exit_code


@contextmanager
def terminal(command: Sequence[str], environ: Mapping[str, str], *, columns: int, rows: int) -> Iterator[Terminal]:
    """Run a command in a terminal of this size, until the end of the block at the latest."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    pid = os.posix_spawn(
        command[0],
        list(command),
        {"PATH": os.environ["PATH"], "TERM": "xterm-256color", **environ},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.ttyname(other), os.O_RDWR, 0)]
        + [(os.POSIX_SPAWN_DUP2, 0, number) for number in (1, 2)],
        setsid=True,
    )
    os.close(other)
    opened = Terminal(pid, main)
    try:
        yield opened
    finally:
        if opened.exit_code is None:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(main)
