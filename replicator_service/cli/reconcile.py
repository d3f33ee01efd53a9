"""``reconcile``: proves that both sides are equal, shows what is not, and repairs it when asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from replicator_service.cli.output import Json, console, print_json, print_table, print_text, wants_json
from replicator_service.configuration.configuration import load_configuration
from replicator_service.core.position import wall_time
from replicator_service.core.times import time_text
from replicator_service.core.words import counted
from replicator_service.reconcile import Difference, Options, Part, PartResult, RunResult, differences_of, reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

SHOWN = 20
_DIFFERENCE_FOUND = 1
_DEFAULTS = Options()

Collections = Annotated[
    list[str] | None, typer.Option("--collection", "-c", help="Only this collection; may be given again.")
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Write what is missing or different, delete what is unexpected.")
]
Deep = Annotated[
    bool, typer.Option("--deep", help="Compare how values are written as well: 1 and 1.0, the scale of numbers.")
]
AllowDeletes = Annotated[
    float,
    typer.Option("--allow-deletes", min=0.0, max=1.0, help="The share of a table's rows that a repair may delete."),
]
Timeout = Annotated[
    float, typer.Option("--patience", min=0.0, help="Seconds to wait until a collection can be compared exactly.")
]

Processes = Annotated[
    int, typer.Option("--processes", min=1, max=64, help="So many processes, each of which compares parts of its own.")
]


def reconcile_command(
    context: typer.Context,
    collection: Collections = None,
    allow_deletes: AllowDeletes = _DEFAULTS.allow_deletes,
    timeout_seconds: Timeout = _DEFAULTS.timeout_seconds,
    processes: Processes = 1,
    *,
    repair: Repair = False,
    deep: Deep = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Compare PostgreSQL with MongoDB exactly, under live writes. Exit code 1 when differences remain."""
    settings, mapping = load_configuration()
    options = Options(repair=repair, deep=deep, allow_deletes=allow_deletes, timeout_seconds=timeout_seconds)
    with Bars() as bars:
        result = reconcile(
            settings, mapping, collections=collection, options=options, progress=bars, processes=processes
        )
    found = differences_of(settings, result.id, limit=SHOWN) if result.differences else []
    if wants_json(context):
        print_json(report(result, found))
    else:
        show(result, found)
    raise typer.Exit(_DIFFERENCE_FOUND if result.remaining else 0)


class Bars:
    """One bar for each part that is being compared, on standard error, when that is a terminal."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console(stderr=True),
            transient=True,
            disable=not console(stderr=True).is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def planned(self, parts: Sequence[Part]) -> None:  # noqa: ARG002 - there may be thousands: none is shown yet
        """Begin to show bars: not before, since they bring a thread along."""
        self._bars.start()

    def advanced(self, part: Part, documents: int) -> None:
        """Move the part's bar."""
        if part.label not in self._tasks:
            self._tasks[part.label] = self._bars.add_task(part.label, total=part.documents or None)
        self._bars.advance(self._tasks[part.label], documents)

    def finished(self, part: Part, result: PartResult) -> None:  # noqa: ARG002 - the table tells the result
        """Remove the part's bar."""
        task = self._tasks.pop(part.label, None)
        if task is not None:
            self._bars.remove_task(task)


def report(result: RunResult, found: Sequence[tuple[str, Difference]]) -> dict[str, Any]:
    """The run as JSON, with the first differences."""
    return {
        "run": result.id,
        "state": result.state.value,
        "stream": result.stream,
        "documents": result.documents,
        "differences": result.differences,
        "repaired": result.repaired,
        "remaining": result.remaining,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
        "parts": [
            {
                "part": part.label,
                "collection": part.collection,
                "cluster_time": part.cluster_time,
                "documents": part.documents,
                "differences": part.differences,
                "repaired": part.repaired,
                "seconds": part.seconds,
                "skipped": part.skipped,
            }
            for part in result.parts
        ],
        "first_differences": [
            {
                "collection": collection,
                "source_id": each.key,
                "kind": each.kind.value,
                "detail": each.detail or None,
                "repaired": each.repaired,
            }
            for collection, each in found
        ],
    }


def show(result: RunResult, found: Sequence[tuple[str, Difference]]) -> None:
    """The run for people: a line for each part, the first differences, and what it all means."""
    columns = ("part", "documents", "differences", "repaired", "at", "seconds", "")
    rows = [
        (
            part.label,
            f"{part.documents:,}",
            f"{part.differences:,}",
            f"{part.repaired:,}",
            "" if part.cluster_time is None else time_text(wall_time(part.cluster_time)),
            f"{part.seconds:.1f}",
            f"not compared: {part.skipped}" if part.skipped else "",
        )
        for part in result.parts
    ]
    print_table(columns, rows, right=("documents", "differences", "repaired", "seconds"))
    if found:
        print_text("")
        print_table(
            ("collection", "source id", "kind", "repaired", "detail"),
            [(name, each.key, each.kind.value, "yes" if each.repaired else "no", each.detail) for name, each in found],
        )
        if result.differences > len(found):
            print_text(f"... of {result.differences:,}: see replicator.reconciliation_difference, run {result.id}")
    print_text("")
    print_text(_verdict(result))


def _verdict(result: RunResult) -> str:
    compared = f"{counted(result.documents, 'document')} compared"
    skipped = sum(part.skipped is not None for part in result.parts)
    left_out = f" {skipped} not compared." if skipped else ""
    if not result.differences:
        return f"{compared}: no difference.{left_out}"
    found = counted(result.differences, "difference")
    if not result.repair:
        return f"{compared}: {found}. Repair with --repair.{left_out}"
    told = f"{compared}: {found}, {result.repaired:,} repaired, {result.remaining:,} remain."
    return told + left_out
