"""``make test-matrix``: the tests that need servers, on every server and every Python that this machine can have.

Each of the two sides meets each of its versions, since neither knows of the other; the oldest two and the newest two
meet as well. What cannot be had, and what was left out, is named at the end, with the reason. Exit code 1 when
something failed or took too long, or nothing ran.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from devstack.binaries import find_mongod, find_postgres
from devstack.errors import DevstackError

ROOT = Path(__file__).resolve().parents[1]
SERVERS = (("5.0", 15), ("6.0", 16), ("6.0", 18))
"""Versions of MongoDB and PostgreSQL; the last pair is that of ``make test``."""

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TESTS = ("tests/contract", "tests/faults", "tests/integration", "tests/marts")
NO_SERVERS = (
    "alerts",
    "component_health",
    "demo",
    "deployment_users",
    "devstack*",
    "generate*",
    "http_server",
    "images",
    "kubernetes",
    "mongo_init",
    "runbooks",
    "webhook",
)
"""Files of tests that ask nothing of a server that another version could answer otherwise."""

_CHOICE = ("--numprocesses", "2", "--dist", "worksteal", "-m", "not slow", "-q")
_GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the tests: with which program, and against what."""

    python: Path
    name: str
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    ended: str = ""
    """Why it has no whole result, if so."""

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to do."""
        return bool(self.passed) and not self.failed and not self.ended

    def __str__(self) -> str:
        """One line."""
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{counts}; {self.ended}" if self.ended else counts


def main() -> int:
    """Run what can be run and show a line for each; words that are not known here are more words for pytest."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only what has this in its name: 'MongoDB 5.0'")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long one run may take (60)")
    chosen, words = parser.parse_known_args()
    runs, lines = found(chosen.only)
    results = []
    for run in runs:
        _say(f"== {run.name}")
        results.append(result_of(run, words, minutes=chosen.minutes, folders=TESTS))
        lines.append(f"{'passed ' if results[-1].is_good else 'FAILED '}  {run.name}: {results[-1]}")
    left_out = ", ".join(f"test_{name}" for name in NO_SERVERS)
    _say("\n".join(["", *sorted(lines), f"left out: tests marked slow (make test-slow), and {left_out}"]))
    return int(not results or not all(each.is_good for each in results))


def found(only: str) -> tuple[list[Run], list[str]]:
    """What can be run, and a line for each that cannot."""
    runs, lines = [], []
    for mongod, postgres in SERVERS:
        name = f"Python {_own_version()}, MongoDB {mongod}, PostgreSQL {postgres}"
        if only not in name:
            continue
        environment = {"DEVSTACK_MONGOD": mongod, "DEVSTACK_POSTGRES": str(postgres)}
        try:
            versions = find_mongod({**os.environ, **environment}).version, find_postgres(postgres).version
        except DevstackError as error:
            lines.append(f"not run  {name}: {error.message}")
            continue
        runs.append(Run(Path(sys.executable), f"{name} ({', '.join(versions)})", environment))
    for version in PYTHONS:
        name = f"Python {version}, MongoDB {SERVERS[-1][0]}, PostgreSQL {SERVERS[-1][1]}"
        if version == _own_version() or only not in name:
            continue
        python = _other_python(version)
        if python is None:
            lines.append(f"not run  {name}: there is no python{version} on the PATH, and pyenv has none")
        else:
            runs.append(Run(python, name, {}))
    return runs, lines


def result_of(run: Run, words: list[str], *, minutes: float, folders: tuple[str, ...]) -> Result:
    """Run the tests, and end them with all that they have started when they take longer than ``minutes``."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        left_out = [f"--ignore-glob={folder}/test_{name}.py" for folder in folders for name in NO_SERVERS]
        command = [str(run.python), "-m", "pytest", *_CHOICE, f"--junitxml={report}", *left_out, *folders, *words]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **run.environment})
        ended = ""
        try:
            process.wait(minutes * 60)
        except subprocess.TimeoutExpired:
            ended = f"broken off after {minutes:g} minutes"
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return counted(report, ended or (f"exit code {process.returncode}" if process.returncode not in (0, 1) else ""))


def counted(report: Path, ended: str) -> Result:
    """Read pytest's report, if it got so far."""
    if not report.exists():
        return Result(ended=ended or "without a report")
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - pytest wrote it a moment ago
    if suite is None:
        return Result(ended=ended or "without a report")
    tests, failed, errors, skipped = (int(suite.get(each, "0")) for each in ("tests", "failures", "errors", "skipped"))
    return Result(tests - failed - errors - skipped, failed + errors, skipped, ended)


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _other_python(version: str) -> Path | None:
    """Return a Python of that version with all that the tests need, in an environment beside `.venv`."""
    program = program_of(version)
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


def program_of(version: str) -> str | None:
    """The program of this version, if there is one.

    A name on the PATH may be a version manager's stand-in for a Python that it does not have at present.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    for program in (shutil.which(f"python{version}"), *map(str, reversed(installed))):
        if program is not None:
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
            if re.match(rf"Python {re.escape(version)}\.", told):
                return program
    return None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
