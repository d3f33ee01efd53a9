"""The command: ``python -m benchmarks.replication`` measures everything in one run and prints it.

Bad numbers are printed like good ones; the exit code is 0 whenever everything could be measured.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pymongo.errors import PyMongoError
from rich.console import Console

from benchmarks.experiments import EXPERIMENTS, Results
from benchmarks.lab import running_lab
from benchmarks.report import as_plain, figures_table, verdicts_table
from devstack.errors import DevstackError

_DIRECTORY = Path(__file__).resolve().parents[1] / ".devstack" / "bench"
_PIPED_WIDTH = 130
_STANDARD = ("catch-up", "first-load", "latency")


def measure(
    only: Annotated[list[str] | None, typer.Option(help=f"Experiments: {', '.join(EXPERIMENTS)}.")] = None,
    million: Annotated[bool, typer.Option("--million", help="Add a backlog of a million changes.")] = False,  # noqa: FBT002 - a flag
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="Multiplies every volume.")] = 1.0,
    as_json: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
    program: Annotated[Path | None, typer.Option(help="The replicator to measure. Default: this checkout's.")] = None,
) -> None:
    """Measure the service against the raw limits of the same servers."""
    names = list(only or _STANDARD) + (["million"] if million and not only else [])
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(EXPERIMENTS)}.")
    # Decoding large batches would cost twice as much with the cyclic collector at work.
    gc.disable()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    results = Results()
    try:
        with running_lab(_DIRECTORY, program=program) as lab:
            for name in names:
                with console.status(f"measuring {name} (scale {scale:g}) …"):
                    EXPERIMENTS[name](lab, results, scale)
    finally:
        # What was measured before a failure is worth something, too.
        _show(console, results)
    if as_json is not None:
        as_json.write_text(json.dumps(as_plain(results), indent=2) + "\n", encoding="utf-8")


def _show(console: Console, results: Results) -> None:
    console.print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the end")
    console.print(figures_table(results))
    console.print(verdicts_table(results))


def main() -> None:
    """Run the command line; an error of the servers is one message."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(measure)
    try:
        application()
    except DevstackError as error:
        Console(stderr=True).print(str(error), style="red", markup=False)
        sys.exit(3)
    except PyMongoError as error:
        Console(stderr=True).print(f"MongoDB failed: {error}", style="red", markup=False)
        sys.exit(3)


if __name__ == "__main__":
    main()
