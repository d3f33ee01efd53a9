"""
### Data marts with history.

Loads `mart.user_activity` and `mart.support_efficiency` (and every other mart of `sql/marts/`) from the replicated
tables, after each reconciliation that proved them equal to MongoDB (asset `replicated_tables`), and every morning
whatever became of that.

1. `prepare` puts the schema `mart` on the database's `search_path` and lists the marts.
2. `load_mart`, once for each mart, is **one transaction**: select, data checks, publication. A failed check publishes
   nothing, and the versions before stay as they were. The log says how many rows began, changed and ended. A load that
   was published is an event of the asset `mart.NAME`, for which other DAGs may wait.

**as_of** is the time from which the rows are valid: the parameter, or else the time of the load, taken when its turn
comes. So a run that another one has overtaken, or an old one that is cleared, loads what is there now. The same `as_of`
twice changes nothing; one that was asked for and is older than the last load is refused, since history is not
rewritten. For the same reason there are no back-fills.

A mart that says how (the section `incremental` of its file) is computed for the keys that have changed alone. Every
week everything is computed and compared: a key that would have been left wrong is a failed check. **full** computes
everything at once.

**allow_stale** and **max_lag** are for a source that is not ready: half read, paused, converging or old. A load is
refused then, unless somebody says that it may be, and it carries a warning.

**accept** names checks that may fail for once: after a look at the rows, a purge or a column that went away is let
through, and nobody has to change the definition.

A load that has not ended in time is reported by the deadline alert: see the log of the triggerer.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import (  # type: ignore[attr-defined]  # the stubs of 3.3 lack the deadlines
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    AsyncCallback,
    DeadlineAlert,
    DeadlineReference,
    Param,
    dag,
    task,
)

from warehouse_jobs.orchestration import connections, dag_defaults, failures, publication, trigger_form
from warehouse_jobs.orchestration.context import FromAirflow

# A mart is loaded as it is now: the days before cannot be loaded any more, so Airflow refuses back-fills.
RUN_TYPES: FromAirflow = ["scheduled", "manual", "asset_triggered", "operator_triggered", "asset_materialization"]

MARTS = AssetAlias("marts")

LATE_AFTER_MINUTES = float(os.environ.get("MART_LATE_AFTER_MINUTES") or 60)

PARAMETERS = {
    "as_of": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="As of",
        description="The time from which the rows are valid. Empty: the time of the load.",
    ),
    "accept": Param(
        [],
        type="array",
        items={"type": "string", "minLength": 1},
        title="Accept",
        description="Names of checks that may fail for once, one a line, after a look at the rows.",
    ),
    "full": Param(
        default=False,
        type="boolean",
        title="Full",
        description="Compute every row, not only those of keys that have changed.",
    ),
    "allow_stale": Param(
        default=False,
        type="boolean",
        title="Allow stale",
        description="Load although the replicated tables are not whole, or too old. The load has a warning then.",
    ),
    "max_lag": Param(
        None,
        type=["null", "string"],
        title="Max lag",
        description="How old the replicated tables may be: 90s, 15m, 2h, 1d, or off. Empty: MART_MAX_LAG, or an hour.",
    ),
}


@dag(
    dag_display_name="pg_datamart_loader",
    description="Loads the data marts and keeps their history",
    doc_md=__doc__,
    tags=["marts", "scd2", "postgres"],
    schedule=AssetOrTimeSchedule(
        timetable=dag_defaults.every_day("0 6 * * *"),
        assets=[Asset("replicated_tables")],
    ),
    catchup=False,
    allowed_run_types=RUN_TYPES,
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
    default_args=dag_defaults.of_tasks("analytics", execution_timeout=timedelta(hours=1)),
    params=PARAMETERS,
)
def pg_datamart_loader() -> None:
    """A task a mart."""

    @task(execution_timeout=timedelta(minutes=5))
    def prepare(params: FromAirflow = None, dag_run: FromAirflow = None) -> list[str]:
        """Put the marts on the search_path and list them."""
        with failures.explained():
            trigger_form.require_known(PARAMETERS, dag_run.conf)
            publication.wanted(params)
            return publication.prepare(connections.mart_settings())

    @task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['name'] }}", outlets=[MARTS])
    def load_mart(name: str, params: FromAirflow = None, outlet_events: FromAirflow = None) -> dict[str, Any]:
        """Load one mart in one transaction, and publish its asset."""
        with failures.explained():
            loaded = publication.load_mart(connections.mart_settings(), name, publication.wanted(params))
        if loaded["is_published"]:
            outlet_events[MARTS].add(Asset(f"mart.{name}"), extra=loaded)
        return loaded

    load_mart.expand(name=prepare())


pg_datamart_loader()
