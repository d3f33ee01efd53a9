"""A program that executes DAGs for real, in a process of its own, and says in JSON what became of them.

Airflow reads its configuration and sets up logging when it is imported, so no test imports it. Called with a JSON list
of :class:`tests.support.dag_runs.Wanted`. What Airflow logs during a run is followed by a line with its outcome.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dagrun import DagRunNote
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

OUTCOME = "=== outcome "


def execute(dag: Any, form: dict[str, Any], run_after: str) -> dict[str, Any]:
    """Run a DAG as a run by hand, without a logical date, and without retries."""
    for task in dag.tasks:
        if hasattr(task, "partial_kwargs"):
            task.partial_kwargs["retries"] = 0
        else:
            task.retries = 0
    # Airflow 3.3's dag.test() fails at the end of a run that has a deadline (apache/airflow#73428).
    dag.deadline = None
    run = dag.test(run_after=datetime.fromisoformat(run_after), logical_date=None, run_conf=form)
    with create_session() as session:
        results = session.scalars(
            select(XComModel).where(XComModel.run_id == run.run_id, XComModel.key == "return_value")
        ).all()
        events = session.execute(
            select(AssetModel.name, AssetEvent.extra)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetEvent.source_run_id == run.run_id)
        ).all()
        return {
            "state": str(run.state),
            "tasks": {_name(each): str(each.state) for each in run.get_task_instances()},
            "results": {_name(each): each.value for each in results},
            "note": session.scalar(select(DagRunNote.content).where(DagRunNote.dag_run_id == run.id)),
            "events": [{"asset": name, "extra": extra} for name, extra in events],
        }


def _name(instance: Any) -> str:
    return f"{instance.task_id} {instance.map_index}".removesuffix(" -1")


def main(wanted: list[dict[str, Any]]) -> None:
    """Run them one after another."""
    for each in wanted:
        # A fresh one every time: a run leaves its form in the parameters of the DAG.
        outcome = execute(DagBag().dags[each["dag_id"]], each["form"], each["run_after"])
        sys.stdout.write(f"\n{OUTCOME}{json.dumps(outcome)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
