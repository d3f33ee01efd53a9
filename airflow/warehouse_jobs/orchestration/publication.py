"""The jobs of ``pg_datamart_loader``: make ready, and load one mart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warehouse_jobs.orchestration.task_log import say, show

if TYPE_CHECKING:
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


def load_mart(settings: MartSettings, name: str, as_of: datetime) -> dict[str, Any]:
    """Load one mart and tell in numbers what changed; the same ``as_of`` again changes nothing.

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
        )
    except ChecksFailedError as error:
        _show_checks(error.result)
        raise
    _show_checks(result)
    header = ("mart", "rows", "inserted", "versioned", "closed", "overwritten", "unchanged", "seconds")
    counts = (result.rows, result.inserted, result.versioned, result.closed, result.overwritten, result.unchanged)
    show(header, [(name, *counts, result.seconds)])
    if result.already_loaded:
        say(f"{name} had been loaded as of {as_of.isoformat()} before: nothing was done")
    return {"mart": name, "as_of": as_of.isoformat(), "rows": result.rows, "changed": result.changed}


def _show_checks(result: LoadResult) -> None:
    if result.checks:
        rows = [(check.name, "passed" if check.passed else "FAILED", check.failing) for check in result.checks]
        show(("check", "result", "failing"), rows)
