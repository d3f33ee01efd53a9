"""``make test-matrix``: the tests that need servers, on every server and every Python that this machine can have.

What it cannot have is named at the end, with the reason. Exit code 1 when something failed, or nothing ran.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from devstack.binaries import find_mongod, find_postgres
from devstack.errors import DevstackError

ROOT = Path(__file__).resolve().parents[1]
SERVERS = (("5.0", 15), ("5.0", 18), ("6.0", 15), ("6.0", 16), ("6.0", 18))
"""Versions of MongoDB and PostgreSQL; the last pair is that of ``make test``."""

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TESTS = ("tests/contract", "tests/faults", "tests/integration", "tests/marts")
_PROCESSES = ("--numprocesses", "2", "--dist", "worksteal")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tests: with which program, and against what."""

    python: Path
    name: str
    environment: dict[str, str]


def main() -> int:
    """Run what can be run and show a line for each; words of the command line are more words for pytest."""
    runs, lines = [], []
    for mongod, postgres in SERVERS:
        name = f"Python {_own_version()}, MongoDB {mongod}, PostgreSQL {postgres}"
        environment = {"DEVSTACK_MONGOD": mongod, "DEVSTACK_POSTGRES": str(postgres)}
        try:
            found = find_mongod({**os.environ, **environment}).version, find_postgres(postgres).version
        except DevstackError as error:
            lines.append(f"not run  {name}: {error.message}")
            continue
        runs.append(Run(Path(sys.executable), f"{name} ({found[0]}, {found[1]})", environment))
    for version in PYTHONS:
        if version != _own_version():
            python = _other_python(version)
            name = f"Python {version}, MongoDB {SERVERS[-1][0]}, PostgreSQL {SERVERS[-1][1]}"
            if python is None:
                lines.append(f"not run  {name}: there is no python{version} on the PATH")
            else:
                runs.append(Run(python, name, {}))
    codes = []
    for run in runs:
        _say(f"== {run.name}")
        codes.append(_tested(run))
        lines.append(f"{'failed ' if codes[-1] else 'passed '}  {run.name}")
    _say("\n".join(["", *sorted(lines)]))
    return int(any(codes) or not codes)


def _tested(run: Run) -> int:
    command = [str(run.python), "-m", "pytest", *_PROCESSES, *TESTS, *sys.argv[1:]]
    environment = {**os.environ, **run.environment}
    return subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _other_python(version: str) -> Path | None:
    """Return a Python of that version with all that the tests need, in an environment beside `.venv`."""
    program = _program(version)
    if program is None:
        return None
    place = ROOT / f".venv-{version}"
    python = place / "bin" / "python"
    if not (place / ".installed").exists():
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        for command in (
            [program, "-m", "venv", "--clear", str(place)],
            [*pip, "--require-hashes", "--requirement", "requirements/dev.txt"],
            [*pip, "--no-build-isolation", "--editable", "."],
            [str(python), "-m", "replicator_service.core.compiled.build"],
            ["sh", "tests/tools.sh", str(place / "bin")],
        ):
            subprocess.run(command, check=True, cwd=ROOT)
        (place / ".installed").touch()
    return python


def _program(version: str) -> str | None:
    """A name on the PATH may be a version manager's stand-in for a Python that it does not have."""
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return found if re.match(rf"Python {re.escape(version)}\.", told) else None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
