"""Runs other programs, bounded in time, and tells the end of what they said when they fail."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from deploy.check.report import CheckFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TAIL_LINES = 25


def ran(
    command: Sequence[str | Path],
    *,
    seconds: float,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code; raises :class:`CheckFailedError` when it takes too long."""
    words = [str(word) for word in command]
    try:
        return subprocess.run(  # noqa: S603 - programs of this check
            words,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=environ,
            cwd=directory,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise CheckFailedError(f"{' '.join(words[:3])} did not end within {seconds:.0f} s") from None


def succeeded(
    command: Sequence[str | Path],
    *,
    seconds: float,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> str:
    """Run a program that must succeed and give its output."""
    ended = ran(command, seconds=seconds, environ=environ, directory=directory)
    if ended.returncode != 0:
        said = tail(ended.stdout + ended.stderr)
        raise CheckFailedError(f"{' '.join(str(word) for word in command[:3])} failed", output=said)
    return ended.stdout


def tail(text: str) -> str:
    """The last lines."""
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])
