"""Where the demo and the tests can run is asked before anything is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devstack.machine import problem

ROOT = Path(__file__).resolve().parents[2]
HERE: dict[str, Any] = {
    "system": "Linux",
    "machine": "x86_64",
    "libc": "glibc",
    "python": (3, 11),
    "has_venv": True,
}


def test_linux_on_x86_64_is_all_that_is_needed() -> None:
    assert problem({}, **HERE) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"system": "Darwin", "machine": "arm64", "libc": ""}, "this is macOS on arm64"),
        ({"system": "Windows", "machine": "AMD64", "libc": ""}, "this is Windows on AMD64"),
        ({"machine": "aarch64"}, "this is Linux on aarch64"),
        ({"libc": ""}, "without glibc"),
        ({"python": (3, 9)}, "this is 3.9. Another one: make ... PYTHON="),
        ({"has_venv": False}, "apt-get install python3-venv"),
    ],
)
def test_another_machine_is_named_with_the_ways_on(changes: dict[str, Any], told: str) -> None:
    found = problem({}, **HERE | changes)
    assert found is not None
    assert told in found
    if changes.keys() <= {"system", "machine", "libc"}:
        assert "docker compose up" in found
        for way in ({"MONGOD": "/m", "PG_BINDIR": "/p"}, {"DEVSTACK_UNTESTED": "1"}):
            assert problem(way, **HERE | changes) is None


@pytest.mark.parametrize("target", ["demo", "demo-check", "test", "test-matrix", "test-workers", "bench"])
def test_make_asks_before_it_installs(target: str) -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(f"{target}: machine ")]


def test_this_machine_is_one_that_will_do() -> None:
    ran = subprocess.run([sys.executable, "-I", "devstack/machine.py"], cwd=ROOT, check=False)
    assert ran.returncode == 0
