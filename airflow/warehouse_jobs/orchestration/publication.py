"""The jobs of ``pg_datamart_loader``: make ready, and load one mart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicator_service.core.words import counted
from warehouse_jobs.orchestration import run_times
from warehouse_jobs.orchestration.errors import FormError
from warehouse_jobs.orchestration.run_note import say_on_page
from warehouse_jobs.orchestration.task_log import say, show

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from warehouse_jobs.marts import LoadResult
    from warehouse_jobs.marts.settings import MartSettings


def prepare(settings: MartSettings) -> list[str]:
    """Put the marts on the ``search_path``, and give the names of all that are defined."""
    from warehouse_jobs.marts import install, mart_names

    installed = install(settings.dsn)
    say(installed.warning or f"search_path: {installed.search_path}")
    names = list(mart_names(settings.directory))
    say(f"marts: {', '.join(names)}")
    return names


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the form of a run asks for. ``max_lag`` is in force where ``has_max_lag``: None is no limit."""

    as_of: datetime | None = None
    accept: tuple[str, ...] = ()
    full: bool = False
    allow_stale: bool = False
    max_lag: timedelta | None = None
    has_max_lag: bool = False


def wanted(form: Mapping[str, Any]) -> Wanted:
    """Read the form of a run; raises :class:`FormError`."""
    from warehouse_jobs.marts import SettingsError
    from warehouse_jobs.marts.settings import duration

    text = form.get("max_lag") or ""
    try:
        max_lag = duration(text, "max_lag") if text else None
    except SettingsError as error:
        raise FormError(error.message, hint=error.hint) from None
    return Wanted(
        as_of=run_times.time_of(form["as_of"]),
        accept=tuple(form["accept"]),
        full=form["full"],
        allow_stale=form["allow_stale"],
        max_lag=max_lag,
        has_max_lag=bool(text),
    )


def load_mart(settings: MartSettings, name: str, asked: Wanted) -> dict[str, Any]:
    """Load one mart and tell in numbers what changed, in the log and on the run's page.

    Without a time the mart is loaded as of the load's own clock, read under the mart's lock: a run that another one
    has overtaken is not too late. The same time again changes nothing.

    Raises :class:`~warehouse_jobs.marts.errors.MartError`; then nothing was published.
    """
    from warehouse_jobs.marts import ChecksFailedError, load
    from warehouse_jobs.marts.report import computed

    try:
        result = load(
            settings.dsn,
            name,
            asked.as_of,
            timezone=settings.timezone,
            work_mem=settings.work_mem,
            directory=settings.directory,
            accept=asked.accept,
            allow_stale=asked.allow_stale,
            max_lag=asked.max_lag if asked.has_max_lag else settings.max_lag,
            full=asked.full,
        )
    except ChecksFailedError as error:
        _show_checks(error.result)
        raise
    _show_checks(result)
    header = ("mart", "rows", "inserted", "versioned", "closed", "overwritten", "unchanged", "seconds")
    counts = (result.rows, result.inserted, result.versioned, result.closed, result.overwritten, result.unchanged)
    show(header, [(name, *counts, result.seconds)])
    loaded = f"{name}: {counted(result.rows, 'row')} as of {result.as_of:%Y-%m-%d %H:%M:%S %Z}"
    if result.already_loaded:
        told = f"{loaded}, loaded before: nothing was done"
    else:
        told = (
            f"{loaded}: {result.inserted:,} inserted, {result.versioned:,} with a new version, "
            f"{result.closed:,} closed, {result.unchanged:,} unchanged; {computed(result)}"
        )
    if result.source_time is not None:
        told += f"; the source as of {result.source_time:%Y-%m-%d %H:%M:%S %Z}"
    told = "\n".join([told, *(f"Warning: {each}" for each in result.warnings)])
    say(told)
    say_on_page(told)
    return {
        "mart": name,
        "as_of": result.as_of.isoformat(),
        "source_time": result.source_time.isoformat() if result.source_time else None,
        "rows": result.rows,
        "changed": result.changed,
        "mode": result.mode.value,
        "warnings": len(result.warnings),
        "is_published": not result.already_loaded,
    }


def _show_checks(result: LoadResult) -> None:
    if result.checks:
        rows = [(check.name, "passed" if check.passed else "FAILED", check.failing) for check in result.checks]
        show(("check", "result", "failing"), rows)
