"""``warehouse generate``: exit code 0 done, 2 configuration, 3 server."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from threading import Event, Timer
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from replicator_service.cli.output import Json, console, print_json, print_table, print_text, wants_json
from replicator_service.core.times import time_text
from warehouse_jobs.generator.errors import ParametersError
from warehouse_jobs.generator.job import generate, run_live
from warehouse_jobs.generator.parameters import (
    DEFAULT_DELETE_SHARE,
    DEFAULT_SEED,
    DEFAULT_UPDATE_SHARE,
    Interval,
    Options,
    Parameters,
)
from warehouse_jobs.generator.server import DATABASE, DEFAULT_DATABASE, URI, connect, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warehouse_jobs.generator.writer import Summary

_DEFAULT_DOCUMENTS = 10_000
_DEFAULT_DAYS = 7


def generate_command(
    context: typer.Context,
    *,
    uri: Annotated[str | None, typer.Option(help=f"Address of MongoDB; {URI} by default.")] = None,
    database: Annotated[
        str | None, typer.Option(help=f"Database; {DATABASE} by default, else {DEFAULT_DATABASE}.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and interval give the same documents.")] = DEFAULT_SEED,
    start: Annotated[
        str | None,
        typer.Option(help="First instant (ISO 8601, UTC without an offset); by default the days end with yesterday."),
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help=f"Days of history; by default {_DEFAULT_DAYS}.")] = None,
    documents: Annotated[
        int | None, typer.Option(min=1, help=f"Documents to insert, in all; by default {_DEFAULT_DOCUMENTS}.")
    ] = None,
    users: Annotated[
        int | None, typer.Option(help="Users of the shop; by default a twentieth of the documents.")
    ] = None,
    products: Annotated[
        int | None, typer.Option(help="Products of the shop; by default a hundredth of the documents.")
    ] = None,
    update_share: Annotated[float, typer.Option(help="Share of updates in all operations.")] = DEFAULT_UPDATE_SHARE,
    delete_share: Annotated[float, typer.Option(help="Share of deletes in all operations.")] = DEFAULT_DELETE_SHARE,
    rate: Annotated[
        float | None,
        typer.Option(help="Continuous mode: so many operations per second from now on, until Ctrl-C."),
    ] = None,
    duration: Annotated[float | None, typer.Option(help="With --rate: stop by itself after so many seconds.")] = None,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Write a plausible synthetic shop into MongoDB.

    Repeating a command changes nothing; a command that was interrupted is completed by repeating it. Consecutive
    intervals of one seed continue each other. With --rate, it goes on from now in real time.
    """
    as_json = wants_json(context)
    _refuse_other_mode(rate, {"--duration": duration}, {"--start": start, "--days": days, "--documents": documents})
    settings = read_settings(os.environ, uri, database)
    options = Options(seed=seed, users=users, products=products, update_share=update_share, delete_share=delete_share)
    began, now = time.monotonic(), datetime.now(UTC)
    if rate is None:
        documents = documents or _DEFAULT_DOCUMENTS
        interval = _interval(start, days or _DEFAULT_DAYS, now)
        parameters = Parameters.in_total(documents, interval, **options)
        first, end = interval.start, interval.end
        with _progress_shown(int(documents / parameters.insert_share), quiet=as_json) as advance:
            summary = generate(settings, parameters, interval, progress=advance)
    else:
        parameters = Parameters.live(rate, now, **options)
        with (
            _stop_on_signals(duration) as stop,
            _progress_shown(None, quiet=as_json) as advance,
            connect(settings) as target,
        ):
            summary = run_live(target, parameters, lambda: datetime.now(UTC), stop, progress=_growth(advance))
        first, end = now.replace(microsecond=0), datetime.now(UTC).replace(microsecond=0)
    seconds = time.monotonic() - began
    outcome = {
        "database": settings.database,
        "seed": seed,
        "start": first.isoformat(),
        "end": end.isoformat(),
        "collections": {name: asdict(counts) for name, counts in summary.collections.items()},
        "total": asdict(summary.total),
        "seconds": round(seconds, 3),
        "documents_per_second": round(summary.total.inserted / seconds, 1),
        "operations_per_second": round(summary.total.operations / seconds, 1),
    }
    if as_json:
        print_json(outcome)
        return
    counts = ("inserted", "updated", "deleted", "unchanged")
    rows = [(name, *(f"{count:,}" for count in row)) for name, *row in summary.rows()]
    print_text(f"{settings.database}, seed {seed}")
    print_table(("collection", *counts), rows, right=counts)
    print_text(
        f"{time_text(first)} to {time_text(end)}: {outcome['documents_per_second']:,.0f} documents/s,"
        f" {outcome['operations_per_second']:,.0f} operations/s in {seconds:.1f} s"
    )


def _growth(advance: Callable[[int], None]) -> Callable[[Summary], None]:
    """Return what tells ``advance`` of the operations that came since it was called before."""
    shown = 0

    def progress(summary: Summary) -> None:
        nonlocal shown
        advance(summary.total.operations - shown)
        shown = summary.total.operations

    return progress


def _interval(start: str | None, days: int, now: datetime) -> Interval:
    if start is None:
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return Interval.of_days(today - timedelta(days=days), days)
    try:
        first = datetime.fromisoformat(start)
    except ValueError:
        raise ParametersError(f"{start!r} is not a time", hint="Write it as 2026-01-31T00:00:00+00:00.") from None
    return Interval.of_days(first if first.utcoffset() is not None else first.replace(tzinfo=UTC), days)


def _refuse_other_mode(rate: float | None, live: dict[str, object], history: dict[str, object]) -> None:
    """An option of the mode that was not chosen would do nothing, without a word."""
    if conflicting := [name for name, value in history.items() if rate is not None and value is not None]:
        raise ParametersError(
            f"{', '.join(conflicting)} and --rate exclude each other", hint="Leave one of them out: --rate begins now."
        )
    if conflicting := [name for name, value in live.items() if rate is None and value is not None]:
        raise ParametersError(f"{', '.join(conflicting)} needs --rate", hint="Give --rate, or leave it out.")


@contextmanager
def _stop_on_signals(duration: float | None) -> Iterator[Event]:
    """Yield an event that SIGINT, SIGTERM or the end of the duration sets."""
    stop = Event()
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = Timer(duration or 0, stop.set)
    timer.daemon = True
    if duration is not None:
        timer.start()
    try:
        yield stop
    finally:
        timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress_shown(total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error that advances by operations; nothing where nobody watches.

    Without a ``total`` the bar only pulses.
    """
    errors = console(stderr=True)
    columns = (
        TextColumn("generating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:,.0f}/s" if total is None else "operations"),
        TimeElapsedColumn(),
    )
    is_shown = errors.is_terminal and not quiet
    with Progress(*columns, console=errors, transient=True, disable=not is_shown) as bar:
        task = bar.add_task("generating", total=total)
        yield lambda operations: bar.advance(task, operations)
