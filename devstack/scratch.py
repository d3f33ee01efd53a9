"""A directory for one run of servers: empty at the start, and only logs are left at the end."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from devstack.errors import DevstackError
from devstack.stack import postgres_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def scratch_directory(directory: Path, *, postgres_version: int) -> Iterator[Path]:
    """Return an empty directory that nobody else uses; afterwards logs stay, databases and secrets go.

    Raises :class:`DevstackError` while another run has it.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = postgres_place(directory, postgres_version)
    with directory.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DevstackError(
                f"Another run is using {directory}.", hint="End it with Ctrl-C in its terminal first."
            ) from None
        _remove(directory, elsewhere)
        directory.mkdir()
        try:
            yield directory
        finally:
            _remove_all_but_logs(directory)
            if not elsewhere.is_relative_to(directory.resolve()):
                _remove(elsewhere)


def _remove_all_but_logs(directory: Path) -> None:
    _remove(*directory.glob("*/data"), *directory.glob("*/*/data"))
    for file in directory.rglob("*"):
        if file.is_file() and file.suffix != ".log":
            file.unlink(missing_ok=True)


def _remove(*places: Path) -> None:
    for place in places:
        shutil.rmtree(place, ignore_errors=True)
