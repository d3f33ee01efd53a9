"""
### Synthetic shop traffic for MongoDB.

Writes a plausible shop into the database of the connection `mongo_db_conn`: users return and popularity is skewed,
sessions have ordered actions, tickets open, get answers and close, prices change, reviews are moderated,
recommendations are replaced, and some documents are deleted.

| started | what is written |
|---|---|
| by the schedule, every night, or as a back-fill | the day since the night before |
| by hand | the last **Days of history** |

**Nothing is ever doubled.** What is written follows from the seed, the volume and the time of the run, so a retry
completes what was begun, days that overlap meet the same documents, and a day that is written again, whether cleared or
back-filled, changes nothing. For other data choose another seed.

The log of the task has the numbers for each collection. The replication service carries everything to PostgreSQL
within milliseconds.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from warehouse_jobs.orchestration import connections, dag_defaults, failures, generation, run_times, trigger_form
from warehouse_jobs.orchestration.context import FromAirflow

PARAMETERS = {
    "documents_per_day": Param(
        1_000,
        type="integer",
        minimum=1,
        maximum=5_000_000,
        title="Documents a day",
        description="What visitors leave on an average day; weekends and evenings are busier.",
    ),
    "days": Param(
        14,
        type="integer",
        minimum=1,
        maximum=3_650,
        title="Days of history",
        description="For runs that are started by hand. A scheduled run writes one day.",
    ),
    "users": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=1_000_000,
        title="Users",
        description="Empty: as many as suit the volume.",
    ),
    "seed": Param(
        1,
        type="integer",
        minimum=0,
        title="Seed",
        description="The same seed and volume give the same shop; another seed gives another one beside it.",
    ),
    "update_share": Param(
        0.2,
        type="number",
        minimum=0,
        exclusiveMaximum=1,
        title="Share of updates",
        description="Of all operations. Tickets are answered, sessions end, prices change.",
    ),
    "delete_share": Param(
        0.05,
        type="number",
        minimum=0,
        maximum=0.5,
        title="Share of deletions",
        description="Of all operations. With the updates it must leave at least as many insertions.",
    ),
}


@dag(
    dag_display_name="mongo_data_generator",
    description="Writes a plausible synthetic shop into MongoDB",
    doc_md=__doc__,
    tags=["shop", "mongodb", "generator"],
    schedule=dag_defaults.every_day("0 1 * * *", interval=timedelta(days=1)),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=dag_defaults.of_tasks("shop", execution_timeout=timedelta(hours=1)),
    params=PARAMETERS,
)
def mongo_data_generator() -> None:
    """One task: a run is one stretch of history."""

    @task(multiple_outputs=False)
    def generate(params: FromAirflow = None, dag_run: FromAirflow = None) -> dict[str, Any]:
        """Write the history of the run."""
        with failures.explained():
            trigger_form.require_known(PARAMETERS, dag_run.conf)
            return generation.write_history(connections.mongo_settings(), params, run_times.RunTimes.of(dag_run))

    generate()


mongo_data_generator()
