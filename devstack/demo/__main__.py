"""The command: ``python -m devstack.demo`` runs until Ctrl-C, with ``--check`` until the proof.

Exit codes: 0 both sides are equal, 1 they are not, 3 something could not be started or ended by itself, 130 Ctrl-C
before the proof.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from devstack.demo.airflow_steps import show_marts
from devstack.demo.screen import Screen
from devstack.demo.stage import DIRECTORY, POSTGRES_VERSION, ROOT, SOURCE, Stage
from devstack.demo.steps import STEPS, compare_now, dead_letters
from devstack.errors import DevstackError
from devstack.scratch import scratch_directory

if TYPE_CHECKING:
    from pathlib import Path

_EQUAL, _DIFFERENT, _FAILED, _INTERRUPTED = 0, 1, 3, 130
_REFRESH_SECONDS = 0.5
_RATE_SECONDS = 4.0
_COMPARE_AGAIN_SECONDS = 30.0


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog="devstack.demo", description="The whole system on this machine.")
    parser.add_argument("--check", action="store_true", help="end after the proof, with an exit code")
    parser.add_argument("--name", default=DIRECTORY.name, help="another name runs beside a demo that runs already")
    parser.add_argument("--workers", type=int, default=0, help="so many processes beside Airflow run its tasks")
    arguments = parser.parse_args()
    screen = Screen()
    # `kill` and the end of the terminal take everything down in order, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with scratch_directory(DIRECTORY.with_name(arguments.name), postgres_version=POSTGRES_VERSION) as directory:
            ends = ExitStack()
            try:
                return _run(Stage(directory, screen, ends, arguments.workers), goes_on=not arguments.check)
            finally:
                _take_down(screen, ends, directory)
    except DevstackError as error:
        screen.failed(error.message, error.hint)
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(stage: Stage, *, goes_on: bool) -> int:
    screen = stage.screen
    screen.opening()
    for step in STEPS:
        with screen.step(step.title, step.about) as line:
            step.run(stage, line.tell)
    show_marts(stage)
    screen.proof(stage.comparison)
    is_good = _verdict(stage)
    screen.addresses(_addresses(stage))
    if goes_on:
        _go_on(stage)
    return _EQUAL if is_good else _DIFFERENT


def _verdict(stage: Stage) -> bool:
    """Say whether both sides are equal, and how fast changes arrive."""
    refused = dead_letters(stage)
    differences = stage.comparison.differences
    empty = [table.table for table in stage.comparison.tables if not table.rows]
    is_good = not (differences or refused or empty)
    text = "Both sides are equal" if is_good else "Both sides are not equal"
    text += f": {differences} differences, {refused} dead letters"
    if empty:
        text += f", nothing in {', '.join(empty)}"
    stage.screen.verdict(f"{text}; {_lag(stage)}.", good=is_good)
    return is_good


def _go_on(stage: Stage) -> None:
    """Refresh one line until Ctrl-C, and compare again every now and then."""
    comparison, compared = stage.comparison, time.monotonic()
    before, counted_at = stage.traffic.counts.effective, time.monotonic()
    stage.screen.said("Customers keep coming; both sides are compared every half minute. Ctrl-C ends everything.")
    try:
        with stage.screen.status_line() as line:
            while True:
                time.sleep(_REFRESH_SECONDS)
                stage.require_running()
                now = time.monotonic()
                if now - compared > _COMPARE_AGAIN_SECONDS:
                    comparison, compared = compare_now(stage), time.monotonic()
                counts = stage.traffic.counts
                rate = (counts.effective - before) / (now - counted_at)
                if now - counted_at > _RATE_SECONDS:
                    before, counted_at = counts.effective, now
                colour = "red" if comparison.differences else "green"
                line.show(
                    f"[bold]live[/bold]  {rate:.0f} changes/s, {counts.effective:,} so far · {_lag(stage)} · "
                    f"[{colour}]{comparison.differences} differences[/{colour}]"
                )
    except KeyboardInterrupt:
        return


def _lag(stage: Stage) -> str:
    measured = stage.lag.milliseconds
    if measured is None:
        return "lag not measured yet"
    median, most = measured
    return f"lag {median:.0f} ms (99 %: {most:.0f} ms)"


def _addresses(stage: Stage) -> dict[str, str]:
    return {
        "page": f"{stage.url}/",
        "status": f"{stage.url}/status",
        "metrics": f"{stage.url}/metrics",
        "Airflow": f"{stage.airflow.url}/  user {stage.airflow.user}, password {stage.airflow.password}",
        "MongoDB": stage.stack.mongo.uri.replace("/?", f"/{SOURCE}?"),
        "PostgreSQL": stage.dsn,
        "log": str(stage.service.log.relative_to(ROOT)),
    }


def _take_down(screen: Screen, ends: ExitStack, directory: Path) -> None:
    """End everything in reverse order; another Ctrl-C does not interrupt this."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with screen.step("Stop everything") as line:
        ends.close()
        line.tell(f"the logs stay in {directory.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
