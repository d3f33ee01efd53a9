"""What ``warehouse generate`` prints: a bar and a table for people, one JSON document for programs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from replicator_service.cli.output import console, print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warehouse_jobs.generator.summary import Counts, Summary

_COUNTS = ("inserted", "updated", "deleted", "unchanged")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished generation: where, from which seed, what, and how long it took."""

    database: str
    seed: int
    start: str
    end: str
    summary: Summary
    seconds: float

    @property
    def rate(self) -> float:
        """Documents inserted per second."""
        return self.summary.total.inserted / self.seconds if self.seconds else 0.0

    @property
    def operation_rate(self) -> float:
        """Operations per second."""
        return self.summary.total.operations / self.seconds if self.seconds else 0.0


@contextmanager
def progress_shown(total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error that advances by operations; nothing where nobody watches.

    Without a ``total`` the bar only pulses.
    """
    errors = console(stderr=True)
    if quiet or not errors.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("generating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:,.0f}/s" if total is None else "operations"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("generating", total=total)
        yield lambda operations: bar.advance(task, operations)


def show(outcome: Outcome, *, as_json: bool) -> None:
    """Print a finished generation."""
    if as_json:
        print_json(_document(outcome))
        return
    print_text(f"{outcome.database}, seed {outcome.seed}")
    counted = [*outcome.summary.collections.items(), ("total", outcome.summary.total)]
    print_table(("collection", *_COUNTS), [(name, *_cells(counts)) for name, counts in counted], right=_COUNTS)
    print_text(
        f"{outcome.start} to {outcome.end}: {outcome.rate:,.0f} documents/s, {outcome.operation_rate:,.0f} operations/s"
        f" in {outcome.seconds:.1f} s"
    )


def _document(outcome: Outcome) -> dict[str, object]:
    return {
        "database": outcome.database,
        "seed": outcome.seed,
        "start": outcome.start,
        "end": outcome.end,
        "collections": {name: asdict(counts) for name, counts in outcome.summary.collections.items()},
        "total": asdict(outcome.summary.total),
        "seconds": round(outcome.seconds, 3),
        "documents_per_second": round(outcome.rate, 1),
        "operations_per_second": round(outcome.operation_rate, 1),
    }


def _cells(counts: Counts) -> list[str]:
    return [f"{getattr(counts, name):,}" for name in _COUNTS]
