"""What happens when a load of the marts misses its deadline: a line in the triggerer's log that names the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOG = logging.getLogger("warehouse_jobs")


async def marts_are_late(context: Mapping[str, Any], minutes: float) -> None:
    """Called by Airflow's triggerer ``minutes`` after a run was queued that has not ended by then.

    ``context`` is the short one that the scheduler gives: the run and the deadline.
    """
    run = context["dag_run"]
    _LOG.error(
        "the marts are late: run %s of %s has not ended %g minutes after it was queued; see its tasks in the Airflow "
        "UI, and /status of the service",
        run["dag_run_id"],
        run["dag_id"],
        minutes,
    )
