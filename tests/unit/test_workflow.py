"""The workflow for GitHub and `make test-matrix` run the same versions, which are all that there are."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import yaml

from devstack.binaries import DEBIANS_POSTGRES, WHEELS_OF_MONGOD, WHEELS_OF_POSTGRES
from tests.matrix import PYTHONS, SERVERS, TESTS

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
