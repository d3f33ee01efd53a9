"""The shortest history that still fails: actions are left out, and the world made calmer, one thing at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simulation.run import Outcome, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.plan import Plan

_RUNS = 600


def shortest(plan: Plan, outcome: Outcome) -> tuple[Plan, Outcome]:
    """Leave out whatever can be left out without the same kind of violation going away."""
    kind = _kind(outcome)
    runs = 0
    has_shrunk = True
    while has_shrunk and runs < _RUNS:
        has_shrunk = False
        for candidate in _candidates(plan):
            runs += 1
            found = run(candidate, is_traced=True)
            if found.violation is not None and _kind(found) == kind:
                plan, outcome, has_shrunk = candidate, found, True
                break
            if runs >= _RUNS:
                break
    return plan, outcome


def _candidates(plan: Plan) -> Iterator[Plan]:
    actions, setup = plan.actions, plan.setup
    size = len(actions) // 2
    while size:
        for start in range(0, len(actions), size):
            yield replace(plan, actions=actions[:start] + actions[start + size :])
        size //= 2
    if setup.documents:
        yield replace(plan, setup=replace(setup, documents=()))
        for index in range(len(setup.documents)):
            yield replace(plan, setup=replace(setup, documents=setup.documents[:index] + setup.documents[index + 1 :]))
    calmer = ({"instances": 1}, {"mongo_loss": 0.0}, {"postgres_loss": 0.0}, {"delay": 0.0}, {"majority_lag": 0.0})
    for change in calmer:
        calm = replace(setup, **change)
        if calm != setup:
            yield replace(plan, setup=calm)


def _kind(outcome: Outcome) -> str:
    """A violation without its names: everything up to the first colon that follows a place."""
    words = (outcome.violation or "").split(": ")
    return words[2] if len(words) > 2 and words[0].startswith("at ") else words[0]
