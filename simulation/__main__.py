"""``python -m simulation``: run histories by their seeds, and make the shortest of one that fails."""

from __future__ import annotations

import argparse
import gc
import sys
import time

from simulation.plan import plan_of
from simulation.run import run
from simulation.shrinking import shortest


def main() -> int:
    """Run what was asked for; 1 when a history broke the guarantee."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", default="1..300", help="which histories to run, FIRST..LAST")
    parser.add_argument("--seed", type=int, help="one history, with all that happens in it")
    parser.add_argument("--verbose", action="store_true", help="tell what happens")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first violation")
    parser.add_argument("--no-shrink", action="store_true", help="leave a history that fails as it is")
    asked = parser.parse_args()
    gc.freeze()
    if asked.seed is not None:
        return _one(asked.seed, is_shrunk=not asked.no_shrink, is_told=asked.verbose)
    first, _, last = asked.seeds.partition("..")
    return _many(int(first), int(last or first), keeps_going=asked.keep_going, is_shrunk=not asked.no_shrink)


def _many(first: int, last: int, *, keeps_going: bool, is_shrunk: bool) -> int:
    began, commits, found, count = time.perf_counter(), 0, 0, 0
    for seed in range(first, last + 1):
        outcome = run(plan_of(seed))
        count += 1
        commits += outcome.commits
        if outcome.violation is not None:
            found += 1
            _say(f"seed {seed}: {outcome.violation}")
            if not keeps_going:
                _one(seed, is_shrunk=is_shrunk, is_told=False)
                break
        if count % 10_000 == 0:
            _say(f"{count} histories so far, {found} violations")
    seconds = time.perf_counter() - began
    _say(f"{count} histories, {commits} commits, {found} violations; {count / seconds:.0f} histories a second")
    return 1 if found else 0


def _one(seed: int, *, is_shrunk: bool, is_told: bool) -> int:
    plan = plan_of(seed)
    outcome = run(plan, is_traced=True)
    if outcome.violation is not None and is_shrunk:
        plan, outcome = shortest(plan, outcome)
    _say(f"seed {seed}: {plan.setup}")
    if is_told or outcome.violation is not None:
        for action in plan.actions:
            _say(f"  {action}")
    if is_told:
        _say(*outcome.lines)
    _say(outcome.violation or "everything held")
    return 0 if outcome.violation is None else 1


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
