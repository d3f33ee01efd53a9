"""The job of ``mongo_data_generator``: a stretch of the shop's history, the same at every attempt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from warehouse_jobs.generator.parameters import Parameters
from warehouse_jobs.orchestration.task_log import say, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warehouse_jobs.generator.server import MongoSettings
    from warehouse_jobs.orchestration.run_times import RunTimes


def write_history(settings: MongoSettings, form: Mapping[str, Any], times: RunTimes) -> dict[str, Any]:
    """Write what the form of the run asks for, and tell in numbers what was done.

    The documents follow from the seed, the volume and the interval, and the interval from the run: an attempt that is
    repeated completes what the one before it has begun, and doubles nothing. Days of one seed and volume continue each
    other, whichever runs have written them.
    """
    from warehouse_jobs.generator.job import generate

    interval = times.history(form["days"])
    parameters = Parameters.per_day(
        form["documents_per_day"],
        seed=form["seed"],
        users=form["users"],
        update_share=form["update_share"],
        delete_share=form["delete_share"],
    )
    say(
        f"writing {interval.start:%Y-%m-%d %H:%M} to {interval.end:%Y-%m-%d %H:%M} UTC of a shop with "
        f"{parameters.users:,} users, {parameters.products:,} products and {form['documents_per_day']:,} documents "
        f"a day, seed {parameters.seed}, to database {settings.database}"
    )
    began = time.monotonic()
    summary = generate(settings, parameters, interval)
    seconds = time.monotonic() - began
    show(("collection", "inserted", "updated", "deleted", "unchanged"), summary.rows())
    total = summary.total
    say(f"{total.operations:,} operations in {seconds:.1f} s, of which {total.unchanged:,} had been done before")
    return {
        "start": interval.start.isoformat(),
        "end": interval.end.isoformat(),
        "inserted": total.inserted,
        "updated": total.updated,
        "deleted": total.deleted,
        "unchanged": total.unchanged,
    }
