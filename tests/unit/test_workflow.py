"""The workflow for GitHub and `make test-matrix` run the same versions, which are all that there are."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from devstack.binaries import DEBIANS_POSTGRES, WHEELS_OF_MONGOD, WHEELS_OF_POSTGRES
from tests.matrix import NO_SERVERS, PYTHONS, SERVERS, TESTS, Result, Run, program_of, result_of

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))


def test_every_server_that_the_tests_can_have_is_in_the_matrix() -> None:
    assert {mongod for mongod, _ in SERVERS} == set(WHEELS_OF_MONGOD)
    assert {postgres for _, postgres in SERVERS} == {DEBIANS_POSTGRES, *WHEELS_OF_POSTGRES}


def test_the_workflow_runs_at_least_what_the_matrix_runs() -> None:
    job = WORKFLOW["jobs"]["servers"]
    matrix = job["strategy"]["matrix"]
    default = [{"python": "3.11", "mongod": SERVERS[-1][0], "postgres": str(SERVERS[-1][1])}]
    assert matrix["exclude"] == default, "the pair of make test, which is a job of its own"
    pairs = set(product(matrix["mongod"], map(int, matrix["postgres"])))
    assert set(SERVERS) <= pairs
    assert {each["python"] for each in matrix["include"]} | set(matrix["python"]) == set(PYTHONS)
    (command,) = [step["run"] for step in job["steps"] if "pytest" in step.get("run", "")]
    assert all(folder in command for folder in TESTS)


def test_what_lands_runs_the_same_targets_in_both_places() -> None:
    wanted = {"make lint", "make types", "make test"}
    assert wanted <= set((ROOT / ".ci/run").read_text(encoding="utf-8").splitlines())
    told = [step.get("run", "") for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    assert {"make lint types", "make test"} <= set(told)


def test_what_is_left_out_of_the_matrix_is_there() -> None:
    for name in NO_SERVERS:
        assert list((ROOT / "tests" / "integration").glob(f"test_{name}.py")), name


def test_a_run_is_counted_and_one_that_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    lines = ["import time", "import pytest", "def test_1(): pass", "def test_2(): assert False"]
    (tmp_path / "test_some.py").write_text(
        "\n".join([*lines, "@pytest.mark.skip", "def test_3(): pass"]), encoding="utf-8"
    )
    # As one that needs no servers.
    (tmp_path / "test_devstack_some.py").write_text("def test_1(): assert False", encoding="utf-8")
    run = Run(Path(sys.executable), "here", {"PYTEST_ADDOPTS": f"--rootdir={tmp_path}"})
    words = ["-p", "no:randomly", "--numprocesses", "0"]
    whole = result_of(run, words, minutes=2, folders=(str(tmp_path),))
    assert whole == Result(passed=1, failed=1, skipped=1)
    assert not whole.is_good
    (tmp_path / "test_some.py").write_text("import time\ndef test_1(): time.sleep(60)\n", encoding="utf-8")
    late = result_of(run, words, minutes=0.1, folders=(str(tmp_path),))
    assert late.ended == "broken off after 0.1 minutes"
    assert not late.is_good


def test_a_python_that_only_looks_as_if_it_were_there_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, says in (("bin", ""), ("pyenv/versions/3.99.1/bin", "Python 3.99.1")):
        (tmp_path / place).mkdir(parents=True)
        program = tmp_path / place / "python3.99"
        program.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "nowhere"))
    assert program_of("3.99") is None
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert program_of("3.99") == str(tmp_path / "pyenv/versions/3.99.1/bin/python3.99")
