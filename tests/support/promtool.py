"""Prometheus' own checker of metrics, rules and configurations."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def promtool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run promtool to its end. A machine without it fails the test, since nothing else can judge."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail(
            "promtool is not installed. It is part of Prometheus: `apt-get install prometheus` on Debian and Ubuntu, "
            "`brew install prometheus` on macOS."
        )
    done = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=60, check=False)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
