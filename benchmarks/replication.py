"""The command: ``python -m benchmarks.replication`` measures everything in one run, in interleaved rounds.

Bad numbers are printed like good ones; the exit code is 0 whenever everything could be measured. It ends in a bounded
time: what does not fit into ``--minutes`` is named as left out.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pymongo.errors import PyMongoError
from rich.console import Console

from benchmarks.distance import commits, far_servers
from benchmarks.experiments import catch_up, first_load, growth, large_documents, latency, million
from benchmarks.lab import running_lab
from benchmarks.many import many_collections, starting
from benchmarks.marts import USERS, incremental_marts
from benchmarks.masks import masks
from benchmarks.peers import peers
from benchmarks.report import as_plain, rows_table, verdicts_table
from benchmarks.results import Results
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.lab import Lab

_DIRECTORY = Path(__file__).resolve().parents[1] / ".devstack" / "bench"
_PIPED_WIDTH = 150

EXPERIMENTS: dict[str, Callable[[Lab, Results, float], None]] = {
    "start": starting,
    "catch-up": catch_up,
    "first-load": first_load,
    "masks": masks,
    "latency": latency,
    "commits": commits,
    "far": far_servers,
    "large-documents": large_documents,
    "many": many_collections,
    "million": million,
    "marts": incremental_marts,
    "marts-10": partial(incremental_marts, users=USERS),
    "growth": growth,
    "growth-10": partial(growth, sizes=(1_000_000, 10_000_000)),
    "peers": peers,
}


def measure(
    only: Annotated[list[str] | None, typer.Option(help=f"Experiments: {', '.join(EXPERIMENTS)}.")] = None,
    ten_million: Annotated[bool, typer.Option("--ten-million", help="Add a load, and marts, of ten million.")] = False,  # noqa: FBT002 - a flag
    with_peers: Annotated[bool, typer.Option("--peers", help="Add ingestr, Sling and dlt.")] = False,  # noqa: FBT002 - a flag
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="Multiplies every volume.")] = 1.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often everything is measured, in turn.")] = 3,
    minutes: Annotated[float, typer.Option(min=1, help="After so many, nothing more is begun.")] = 90.0,
    as_json: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
    program: Annotated[Path | None, typer.Option(help="The replicator to measure. Default: this checkout's.")] = None,
) -> None:
    """Measure the service against the raw limits of the same servers."""
    wanted = {"growth-10": ten_million, "marts-10": ten_million, "peers": with_peers}
    names = list(only or [name for name in EXPERIMENTS if wanted.get(name, True)])
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(EXPERIMENTS)}.")
    # Decoding large batches would cost twice as much with the cyclic collector at work.
    gc.disable()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    results = Results()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{(time.monotonic() - began) / 60:6.1f} min  {text}", style="dim", highlight=False)

    try:
        with running_lab(_DIRECTORY, program=program, say=say) as lab:
            for number in range(1, rounds + 1):
                left = list(names)
                while left and time.monotonic() - began < minutes * 60:
                    name = left.pop(0)
                    say(f"round {number} of {rounds}: {name}")
                    EXPERIMENTS[name](lab, results, scale)
                    gc.collect()
                if left:
                    results.left_out.append(f"{', '.join(left)} of round {number}: {minutes:g} minutes were over")
    finally:
        # What was measured before a failure is worth something, too.
        about = {
            "command": " ".join(["python -m benchmarks.replication", *sys.argv[1:]]),
            "taken": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "processors": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "load_average_at_the_end": round(os.getloadavg()[0], 1),
            "scale": scale,
            "rounds": rounds,
            "compiled": os.environ.get("REPLICATOR_COMPILED", "as delivered"),
            "minutes": round((time.monotonic() - began) / 60, 1),
        }
        if as_json is not None:
            as_json.write_text(json.dumps(as_plain(results, about), indent=2) + "\n", encoding="utf-8")
        _show(console, results, about)


def _show(console: Console, results: Results, about: Mapping[str, object]) -> None:
    console.print(", ".join(f"{name} {value}" for name, value in about.items()), highlight=False)
    console.print(rows_table(results))
    console.print(verdicts_table(results))
    if about["scale"] != 1:
        console.print("The bounds are meant for --scale 1: at a smaller one, the start of the service weighs more.")
    for each in results.left_out:
        console.print(f"left out: {each}", highlight=False, markup=False)


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
