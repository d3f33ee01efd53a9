"""Prometheus' own checker of metrics, rules and configurations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def promtool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end. A machine without it fails the test, since nothing else can judge."""
    program = shutil.which("promtool", path=f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}")
    if program is None:
        pytest.fail(
            "promtool is not installed. `make test` provides it; by hand: `sh tests/tools.sh .venv/bin`, or install "
            "Prometheus."
        )
    done = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=60, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
