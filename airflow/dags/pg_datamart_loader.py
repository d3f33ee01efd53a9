"""
### Data marts with history.

Loads `mart.user_activity` and `mart.support_efficiency` (and every other mart of `sql/marts/`) from the replicated
tables, after each reconciliation that proved them equal to MongoDB (asset `replicated_tables`), and every morning
whatever became of that.

1. `prepare` puts the schema `mart` on the database's `search_path` and lists the marts.
2. `load_mart`, once for each mart, is **one transaction**: select, data checks, publication. A failed check publishes
   nothing, and the versions before stay as they were. The log says how many rows began, changed and ended.

**as_of** is the time from which the rows are valid: the parameter, or else the time of the run (`run_after`; a run that
an asset starts has no logical date). The same `as_of` twice changes nothing; one that is older than the last load is
refused, since history is not rewritten.

A load that has not ended in time is reported by the deadline alert: see the log of the triggerer.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import (  # type: ignore[attr-defined]  # the stubs of 3.3 lack the deadlines
    Asset,
    AssetOrTimeSchedule,
    AsyncCallback,
    CronTriggerTimetable,
    DeadlineAlert,
    DeadlineReference,
    Param,
    dag,
    task,
)

from warehouse_jobs.orchestration import connections, failures, publication, run_times
from warehouse_jobs.orchestration.context import FromAirflow

LATE_AFTER_MINUTES = float(os.environ.get("MART_LATE_AFTER_MINUTES") or 60)


@dag(
    dag_display_name="pg_datamart_loader",
    description="Loads the data marts and keeps their history",
    doc_md=__doc__,
    tags=["marts", "scd2", "postgres"],
    schedule=AssetOrTimeSchedule(
        # Unpausing must not start a run by itself, as it would within a tenth of the period after a tick.
        timetable=CronTriggerTimetable("0 6 * * *", timezone="UTC", run_immediately=timedelta(0)),
        assets=[Asset("replicated_tables")],
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    deadline=DeadlineAlert(
        name="marts are late",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=LATE_AFTER_MINUTES),
        callback=AsyncCallback(
            "warehouse_jobs.orchestration.lateness.marts_are_late", kwargs={"minutes": LATE_AFTER_MINUTES}
        ),
    ),
    default_args={
        "owner": "analytics",
        "retries": 3,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=1),
    },
    params={
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="As of",
            description="The time from which the rows are valid. Empty: the time of the run.",
        ),
    },
)
def pg_datamart_loader() -> None:
    """A task a mart."""

    @task(execution_timeout=timedelta(minutes=5))
    def prepare() -> list[str]:
        """Put the marts on the search_path and list them."""
        with failures.explained():
            return publication.prepare(connections.mart_settings())

    @task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['name'] }}")
    def load_mart(name: str, params: FromAirflow = None, dag_run: FromAirflow = None) -> dict[str, Any]:
        """Load one mart in one transaction."""
        with failures.explained():
            as_of = run_times.RunTimes.of(dag_run).as_of(params["as_of"])
            return publication.load_mart(connections.mart_settings(), name, as_of)

    load_mart.expand(name=prepare())


pg_datamart_loader()
