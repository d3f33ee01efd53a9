"""
### Proof that PostgreSQL is MongoDB, and repair of what is not.

The replication service carries changes all the time. This run proves every night that nothing was lost, doubled or
changed on the way, whatever the cause; a cell that somebody edited by hand is found, too.

1. `plan_parts` cuts the collections into parts that are each read in less than a minute.
2. `begin_run` begins a run in `replicator.reconciliation_run`.
3. `compare_part`, once for each part, compares both sides **at exactly one point in time**, under live writes, without
   false alarms, and repairs what differs. The pool `reconciliation` says how many at once.
4. `finish_run` shows all parts as a table, publishes the asset `replicated_tables`, and **fails when differences
   remain**. The asset starts `pg_datamart_loader`.

| parameter | |
|---|---|
| Collections | names, one a line; none for all |
| Repair | off: a dry run that changes nothing, and fails when there are differences |
| Deep | compares every value rather than fingerprints; slower |
| Allow deletes | a repair that would delete more than this share of a table's rows is refused |

The keys that differ are in `replicator.reconciliation_difference`. The service may be running or not.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param, TriggerRule, dag, task

from warehouse_jobs.orchestration import connections, failures, reconciliation
from warehouse_jobs.orchestration.context import FromAirflow

REPLICATED_TABLES = Asset("replicated_tables")


@dag(
    dag_display_name="mongo_pg_replicator",
    description="Proves that PostgreSQL is equal to MongoDB, and repairs what is not",
    doc_md=__doc__,
    tags=["replication", "reconciliation", "mongodb", "postgres"],
    # Unpausing must not start a run by itself, as it would within a tenth of the period after a tick.
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={
        "owner": "platform",
        "retries": 3,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 2,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(minutes=10),
    },
    params={
        "collections": Param(
            [],
            type="array",
            items={"type": "string", "minLength": 1},
            title="Collections",
            description="One name a line. None: all of them.",
        ),
        "repair": Param(
            default=True,
            type="boolean",
            title="Repair",
            description="Off: a dry run, which changes nothing and fails when there are differences.",
        ),
        "deep": Param(
            default=False,
            type="boolean",
            title="Deep",
            description="Compare every value and not fingerprints of them.",
        ),
        "allow_deletes": Param(
            0.05,
            type="number",
            minimum=0,
            maximum=1,
            title="Allow deletes",
            description="The share of a table's rows that a repair may delete: 0.05 is 5 %, 1 is no limit.",
        ),
    },
)
def mongo_pg_replicator() -> None:
    """Plan, compare each part, tell."""

    @task
    def plan_parts(params: FromAirflow = None) -> list[dict[str, Any]]:
        """Cut the collections into parts."""
        with failures.explained():
            return reconciliation.plan(connections.replicator_settings(), params)

    @task
    def begin_run(params: FromAirflow = None) -> int:
        """Begin a stored run."""
        with failures.explained():
            return reconciliation.begin(connections.replicator_settings(), params)

    @task(
        multiple_outputs=False,
        pool="reconciliation",
        execution_timeout=timedelta(hours=1),
        map_index_template="{{ task.op_kwargs['part']['collection'] }} {{ task.op_kwargs['part']['number'] }}",
    )
    def compare_part(number: int, part: dict[str, Any], params: FromAirflow = None) -> dict[str, Any]:
        """Compare one part, and repair it."""
        with failures.explained():
            return reconciliation.compare(connections.replicator_settings(), params, part, number)

    @task(multiple_outputs=False, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS, outlets=[REPLICATED_TABLES])
    def finish_run(number: FromAirflow, parts: FromAirflow, outlet_events: FromAirflow = None) -> dict[str, Any]:
        """End the run, show it as a table, and fail unless both sides are equal."""
        with failures.explained():
            result = reconciliation.finish(connections.replicator_settings(), number, parts)
        outlet_events[REPLICATED_TABLES].extra = result
        return result

    parts = plan_parts()
    number = begin_run()
    compared = compare_part.partial(number=number).expand(part=parts)
    parts >> number
    compared >> finish_run(number, parts)


mongo_pg_replicator()
