"""What the DAGs have in common."""

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable


def every_day(cron: str, interval: timedelta = timedelta(0)) -> CronTriggerTimetable:
    """Return a timetable in UTC; each run is of the ``interval`` before it.

    Unpausing does not start a run by itself, as it would within a tenth of the period after a tick.
    """
    return CronTriggerTimetable(cron, timezone="UTC", interval=interval, run_immediately=timedelta(0))


def of_tasks(owner: str, execution_timeout: timedelta) -> dict[str, Any]:
    """Return the ``default_args`` of a DAG: three more attempts, after 20 and 40 seconds and so on."""
    return {
        "owner": owner,
        "retries": 3,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": execution_timeout,
    }
