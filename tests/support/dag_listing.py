"""A program that says in JSON what Airflow has read from the DAG files, and how long that took."""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization


def _described(dag: Any) -> dict[str, Any]:
    tasks = [{**getattr(task, "partial_kwargs", {}), **vars(task)} for task in dag.tasks]
    return {
        "doc": dag.doc_md or "",
        "tags": sorted(dag.tags),
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "has_timeout": dag.dagrun_timeout is not None,
        "has_deadline": bool(dag.deadline),
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
        "owners": sorted({task.owner for task in dag.tasks}),
        "pools": {task.task_id: task.pool for task in dag.tasks},
        "retries": min(int(task.retries) for task in dag.tasks),
        "backoff": min(float(task["retry_exponential_backoff"]) for task in tasks),
        "has_task_timeouts": all(task["execution_timeout"] is not None for task in tasks),
        "is_serializable": bool(DagSerialization.serialize_dag(dag)),
    }


def main() -> None:
    """Read the DAG files, and which modules that has imported."""
    before = set(sys.modules)
    bag = DagBag()
    told = {
        "errors": bag.import_errors,
        "seconds": {each.file.strip("/"): each.duration.total_seconds() for each in bag.dagbag_stats},
        "imported": sorted(set(sys.modules) - before),
        "dags": {name: _described(dag) for name, dag in bag.dags.items()},
    }
    sys.stdout.write("\n" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
