"""A short run of the simulator: the guarantee holds in every one of these histories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.plan import Action, Plan, Setup, plan_of
from simulation.run import run
from simulation.shrinking import shortest
from tests.support.examples import some

_SEEDS = some(400)
_PARTS = 8


@pytest.mark.parametrize("part", range(_PARTS))
def test_the_guarantee_holds_in_every_history(part: int) -> None:
    """``python -m simulation --seed N`` shows what happens in one that fails, and makes it short."""
    outcomes = {seed: run(plan_of(seed)) for seed in range(1 + part, 1 + _SEEDS, _PARTS)}
    assert {seed: each.violation for seed, each in outcomes.items() if each.violation is not None} == {}
    assert sum(each.commits for each in outcomes.values()) > 10 * len(outcomes)


def test_a_seed_is_the_same_history_every_time() -> None:
    first, second = (run(plan_of(7), is_traced=True) for _ in range(2))
    assert first.lines == second.lines


def test_a_history_that_fails_is_made_short() -> None:
    """Rows that somebody has written by hand are found, and nothing else is left in the history."""
    actions = tuple(Action(0.2, "put", ("plain", number, number)) for number in range(6))
    broken = Plan(1, Setup(instances=2), (*actions, Action(3.0, "tamper", ("plain", 3)), *actions))
    outcome = run(replace(broken))
    assert outcome.violation is not None
    plan, found = shortest(broken, outcome)
    assert found.violation is not None
    assert [action.kind for action in plan.actions] == ["put", "tamper"]
