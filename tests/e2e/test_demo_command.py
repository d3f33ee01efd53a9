"""`make demo` as a reader runs it, until the proof: `python -m devstack.demo --check`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.doc_blocks import ROOT


@pytest.mark.timeout(330)
def test_the_demo_ends_with_the_proof() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "devstack.demo", "--check", "--name", "demo-test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Both sides are equal: 0 differences, 0 dead letters" in ended.stdout
