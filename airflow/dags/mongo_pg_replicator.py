"""
### Proof that PostgreSQL is MongoDB, and repair of what is not.

The replication service carries changes all the time. This run proves every night that nothing was lost, doubled or
changed on the way, whatever the cause; a cell that somebody edited by hand is found, too.

1. `plan_parts` cuts large collections into parts that are each read in less than a minute; many small ones share one.
2. `begin_run` begins a run in `replicator.reconciliation_run`.
3. `compare_part`, once for each part, compares both sides **at exactly one point in time**, under live writes, without
   false alarms, and repairs what differs. The pool `reconciliation` says how many at once.
4. `finish_run` shows all parts as a table and what was found in the note of the run, and **fails when differences
   remain** or a part was not compared.
5. `publish_proof` publishes the asset `replicated_tables`, which starts `pg_datamart_loader`. It is skipped unless
   everything was proved: all collections, none of them paused or otherwise left out.

A part may be cleared and compared again at any time, and a worker may be killed: what was repaired is known, and
nothing is done twice.

| parameter | |
|---|---|
| Collections | names, one a line; none for all |
| Repair | off: a dry run that changes nothing, and fails when there are differences |
| Deep | compares every value with all its digits; slower |
| Allow deletes | a repair that would delete more than this share of a table's rows is refused |

The keys that differ are in `replicator.reconciliation_difference`. The service should be running: MongoDB can be read
at the time of the replicated rows for five minutes only. Names of parameters that do not exist are refused.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param, TriggerRule, dag, task

from warehouse_jobs.orchestration import connections, dag_defaults, failures, reconciliation, trigger_form
from warehouse_jobs.orchestration.context import FromAirflow

REPLICATED_TABLES = Asset("replicated_tables")

PARAMETERS = {
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
        description="Compare every value with all its digits; slower.",
    ),
    "allow_deletes": Param(
        0.05,
        type="number",
        minimum=0,
        maximum=1,
        title="Allow deletes",
        description="The share of a table's rows that a repair may delete: 0.05 is 5 %, 1 is no limit.",
    ),
}


@dag(
    dag_display_name="mongo_pg_replicator",
    description="Proves that PostgreSQL is equal to MongoDB, and repairs what is not",
    doc_md=__doc__,
    tags=["replication", "reconciliation", "mongodb", "postgres"],
    schedule=dag_defaults.every_day("0 2 * * *"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=dag_defaults.of_tasks("platform", execution_timeout=timedelta(minutes=10)),
    params=PARAMETERS,
)
def mongo_pg_replicator() -> None:
    """Plan, compare each part, tell."""

    @task
    def plan_parts(params: FromAirflow = None, dag_run: FromAirflow = None) -> list[dict[str, Any]]:
        """Cut the collections into parts."""
        with failures.explained():
            trigger_form.require_known(PARAMETERS, dag_run.conf)
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
        map_index_template="{{ task.op_kwargs['part']['label'] }}",
    )
    def compare_part(number: int, part: dict[str, Any], params: FromAirflow = None) -> dict[str, Any]:
        """Compare one part, and repair it."""
        with failures.explained():
            return reconciliation.compare(connections.replicator_settings(), params, part, number)

    @task(multiple_outputs=False, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def finish_run(number: FromAirflow, parts: FromAirflow) -> dict[str, Any]:
        """End the run, show it as a table and in the run's note, and fail unless both sides are equal."""
        with failures.explained():
            return reconciliation.finish(connections.replicator_settings(), number, parts)

    @task(outlets=[REPLICATED_TABLES])
    def publish_proof(proof: FromAirflow, outlet_events: FromAirflow = None) -> None:
        """Publish the asset, for a whole proof only: otherwise this is skipped."""
        reconciliation.require_whole(proof)
        outlet_events[REPLICATED_TABLES].extra = proof

    parts = plan_parts()
    number = begin_run()
    compared = compare_part.partial(number=number).expand(part=parts)
    parts >> number
    finished = finish_run(number, parts)
    compared >> finished
    publish_proof(finished)


mongo_pg_replicator()
