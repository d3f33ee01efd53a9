"""A short run of the simulator: the guarantee holds in every one of these histories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bson.decimal128 import Decimal128

from simulation.mongo.replication import Abilities
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


LONG = "long" * 400
FOUND = {
    "a resume of what is not known, and is then forgotten": Plan(
        3039802,
        Setup(
            Abilities(remembers_catalog=False, expanded_events=False, groups_inserts=True, takes_uuid=False),
            poll_events=2,
            batch_events=6,
            chunk_documents=4,
            range_documents=2,
            snapshot_workers=2,
            stops_on_loss=True,
            delay=0.0,
            stay=0.1,
            majority_lag=0.0,
            is_order_odd=True,
        ),
        (
            Action(0.01, "resume", ("plain",)),
            Action(0.2, "create_capped", ("plain",)),
            Action(1.5, "move_away", ("plain",)),
            Action(0.01, "forget", ("plain",)),
        ),
    ),
    "another collection takes the name of one of which chunks were loaded": Plan(
        3009934,
        Setup(
            Abilities(window_seconds=0, remembers_catalog=False, groups_inserts=True),
            instances=3,
            poll_events=2,
            batch_events=6,
            range_documents=2,
            snapshot_workers=3,
            batch_seconds=0.0,
            stops_on_loss=True,
            delay=0.1,
            stay=0.7,
            majority_lag=0.0,
            documents=(
                ("Other", "0123456789abcdef01234567", 7),
                ("Other", {"a": 1}, 8),
                ("Other", 1, 5),
                ("typed", "x", 5),
                ("typed", "0123456789abcdef01234567", 2),
                ("typed", {"a": 1}, 2),
                ("typed", Decimal128("7.5"), 5),
                ("typed", LONG, 0),
            ),
        ),
        (
            Action(0.01, "create_capped", ("Other",)),
            Action(6.0, "create_capped", ("typed",)),
            Action(6.0, "index", ("typed",)),
            Action(0.05, "to_capped", ("Other",)),
            Action(0.5, "update", ("typed", 1, 4)),
            Action(0.2, "out", ("typed", (("x", 0), ({"a": 1}, 2), (Decimal128("7.5"), 3), (1, 9), (LONG, 5)))),
            Action(0.2, "to_capped", ("typed",)),
            Action(0.0, "put", ("Other", {"a": 1}, 5)),
            Action(0.2, "index", ("typed",)),
        ),
    ),
}
"""Histories that the simulator has found. They depend on its turns: a change of those may need other seeds here."""


@pytest.mark.parametrize("name", FOUND)
def test_a_history_that_once_failed_does_not_fail(name: str) -> None:
    assert run(FOUND[name]).violation is None
