"""The jobs of ``pg_datamart_loader``: make ready, and load one mart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warehouse_jobs.orchestration.run_note import say_on_page
from warehouse_jobs.orchestration.task_log import say, show

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

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


def load_mart(
    settings: MartSettings, name: str, as_of: datetime | None, *, accept: Collection[str] = ()
) -> dict[str, Any]:
    """Load one mart and tell in numbers what changed, in the log and on the run's page.

    Without ``as_of`` the mart is loaded as of the load's own clock, read under the mart's lock: a run that another one
    has overtaken is not too late. The same ``as_of`` again changes nothing. ``accept`` names checks that may
    fail this once.

    Raises :class:`~warehouse_jobs.marts.errors.MartError`; then nothing was published.
    """
    from warehouse_jobs.marts import ChecksFailedError, load

    try:
        result = load(
            settings.dsn,
            name,
            as_of,
            timezone=settings.timezone,
            work_mem=settings.work_mem,
            directory=settings.directory,
            accept=accept,
            max_lag=settings.max_lag,
        )
    except ChecksFailedError as error:
        _show_checks(error.result)
        raise
    _show_checks(result)
    header = ("mart", "rows", "inserted", "versioned", "closed", "overwritten", "unchanged", "seconds")
    counts = (result.rows, result.inserted, result.versioned, result.closed, result.overwritten, result.unchanged)
    show(header, [(name, *counts, result.seconds)])
    loaded = f"{name}: {result.rows:,} rows as of {result.as_of:%Y-%m-%d %H:%M:%S %Z}"
    if result.already_loaded:
        told = f"{loaded}, loaded before: nothing was done"
    else:
        told = (
            f"{loaded}: {result.inserted:,} inserted, {result.versioned:,} with a new version, "
            f"{result.closed:,} closed, {result.unchanged:,} unchanged"
        )
    if result.source_time is not None:
        told += f"; the source as of {result.source_time:%Y-%m-%d %H:%M:%S %Z}"
    told = "\n".join([told, *(f"Warning: {each}" for each in result.warnings)])
    say(told)
    say_on_page(told)
    return {"mart": name, "as_of": result.as_of.isoformat(), "rows": result.rows, "changed": result.changed}


def _show_checks(result: LoadResult) -> None:
    if result.checks:
        rows = [(check.name, "passed" if check.passed else "FAILED", check.failing) for check in result.checks]
        show(("check", "result", "failing"), rows)
