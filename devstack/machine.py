"""Whether this machine can run the demo and the tests: asked by ``make`` before anything is installed.

Runs on any Python 3, with nothing but itself: ``python devstack/machine.py``.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST_PYTHON = (3, 11)

_WAYS_OUT = """\
Ways on:
  * docker compose up: needs no more than Docker, see docs/how-to/production-compose.md
  * Linux on x86-64 in a virtual machine (on Windows: WSL 2, with the checkout inside it)
  * your own servers: MONGOD=PATH/mongod PG_BINDIR=PATH/bin make ..., of MongoDB 5.0 and PostgreSQL 15 or newer
  * DEVSTACK_UNTESTED=1 make ... tries it: for Linux on ARM64 and for macOS there are packages that nobody has run"""


def problem(
    environment: Mapping[str, str],
    *,
    system: str,
    machine: str,
    libc: str,
    python: tuple[int, int],
    has_venv: bool,
) -> str | None:
    """What keeps the servers from running here, with the ways on; None when nothing does."""
    if python < OLDEST_PYTHON:
        told = ".".join(str(part) for part in python)
        return f"Python 3.11 or newer is needed, and this is {told}. Another one: make ... PYTHON=python3.12"
    if not has_venv:
        return "This Python cannot make environments. Debian and Ubuntu have that apart: apt-get install python3-venv"
    if environment.get("DEVSTACK_UNTESTED") or (environment.get("MONGOD") and environment.get("PG_BINDIR")):
        return None
    if (system, machine) == ("Linux", "x86_64") and libc == "glibc":
        return None
    place = f"{'macOS' if system == 'Darwin' else system or 'an unknown system'} on {machine or 'an unknown processor'}"
    if system == "Linux" and libc != "glibc":
        place += " without glibc (Alpine, for instance)"
    return (
        f"The demo and the tests run real servers from packages for Linux on x86-64 with glibc; this is {place}.\n"
        f"{_WAYS_OUT}"
    )


def main() -> int:
    """Say what is wrong with this machine; exit code 1 then."""
    found = problem(
        os.environ,
        system=platform.system(),
        machine={"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine()),
        libc=platform.libc_ver()[0],
        python=(sys.version_info[0], sys.version_info[1]),
        has_venv=importlib.util.find_spec("ensurepip") is not None,
    )
    if found is None:
        return 0
    sys.stderr.write(f"error: {found}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
