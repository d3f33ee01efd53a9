"""``warehouse generate``: exit code 0 done, 2 configuration, 3 server."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Timer
from typing import TYPE_CHECKING, Annotated

import typer

from replicator_service.cli.output import Json, wants_json
from warehouse_jobs.generator import report
from warehouse_jobs.generator.errors import ParametersError
from warehouse_jobs.generator.job import generate, generate_live
from warehouse_jobs.generator.parameters import (
    DEFAULT_DELETE_SHARE,
    DEFAULT_SEED,
    DEFAULT_UPDATE_SHARE,
    Interval,
    Parameters,
)
from warehouse_jobs.generator.settings import DATABASE, DEFAULT_DATABASE, URI, MongoSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warehouse_jobs.generator.summary import Summary

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
    days: Annotated[int, typer.Option(min=1, help="Days of history.")] = _DEFAULT_DAYS,
    documents: Annotated[int, typer.Option(min=1, help="Documents to insert, in all.")] = _DEFAULT_DOCUMENTS,
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
    settings = read_settings(os.environ, uri, database)
    if rate is not None:
        _refuse_history_options(start=start)
        parameters = Parameters.live(
            rate,
            datetime.now(UTC),
            seed=seed,
            users=users,
            products=products,
            update_share=update_share,
            delete_share=delete_share,
        )
        outcome = _live(settings, parameters, duration, quiet=as_json)
    else:
        interval = _interval(start, days, datetime.now(UTC))
        parameters = Parameters.in_total(
            documents,
            interval,
            seed=seed,
            users=users,
            products=products,
            update_share=update_share,
            delete_share=delete_share,
        )
        outcome = _history(settings, parameters, interval, documents, quiet=as_json)
    report.show(outcome, as_json=as_json)


def _history(
    settings: MongoSettings, parameters: Parameters, interval: Interval, documents: int, *, quiet: bool
) -> report.Outcome:
    began = time.monotonic()
    with report.progress_shown(int(documents / parameters.insert_share), quiet=quiet) as progress:
        summary = generate(settings, parameters, interval, progress=progress)
    return report.Outcome(
        settings.database,
        parameters.seed,
        interval.start.isoformat(),
        interval.end.isoformat(),
        summary,
        time.monotonic() - began,
    )


def _live(settings: MongoSettings, parameters: Parameters, duration: float | None, *, quiet: bool) -> report.Outcome:
    began = time.monotonic()
    with _stop_on_signals(duration) as stop, report.progress_shown(None, quiet=quiet) as advance:
        shown = 0

        def progress(summary: Summary) -> None:
            nonlocal shown
            operations = summary.total.operations
            advance(operations - shown)
            shown = operations

        summary = generate_live(settings, parameters, lambda: datetime.now(UTC), stop, progress=progress)
    return report.Outcome(
        settings.database,
        parameters.seed,
        parameters.opening.isoformat(timespec="seconds") if parameters.opening else "",
        datetime.now(UTC).isoformat(timespec="seconds"),
        summary,
        time.monotonic() - began,
    )


def _interval(start: str | None, days: int, now: datetime) -> Interval:
    if start is None:
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return Interval.of_days(today - timedelta(days=days), days)
    try:
        first = datetime.fromisoformat(start)
    except ValueError:
        raise ParametersError(f"{start!r} is not a time", hint="Write it as 2026-01-31T00:00:00+00:00.") from None
    return Interval.of_days(first if first.utcoffset() is not None else first.replace(tzinfo=UTC), days)


def _refuse_history_options(*, start: str | None) -> None:
    if start is not None:
        raise ParametersError("--start and --rate exclude each other", hint="Leave one of them out: --rate begins now.")


@contextmanager
def _stop_on_signals(duration: float | None) -> Iterator[Event]:
    """An event that SIGINT, SIGTERM or the end of the duration sets."""
    stop = Event()
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = Timer(duration, stop.set) if duration is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in previous.items():
            signal.signal(number, handler)
