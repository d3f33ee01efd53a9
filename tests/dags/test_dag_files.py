"""The DAG files as Airflow reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dag_runs import DAGS, ROOT

if TYPE_CHECKING:
    from tests.support.dag_runs import AirflowHome

DAG_IDS = ["mongo_data_generator", "mongo_pg_replicator", "pg_datamart_loader"]


@pytest.fixture(scope="module")
def listing(airflow_home: AirflowHome) -> dict[str, Any]:
    ended = airflow_home.python(["-m", "tests.support.dag_listing"], {})
    assert ended.returncode == 0, ended.stdout[-3000:]
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def test_airflow_reads_exactly_three_dags_without_errors(listing: dict[str, Any]) -> None:
    assert listing["errors"] == {}
    assert sorted(listing["dags"]) == DAG_IDS


def test_the_dag_files_are_read_in_less_than_a_second_and_import_no_driver(listing: dict[str, Any]) -> None:
    assert sorted(listing["seconds"]) == [f"{name}.py" for name in DAG_IDS]
    assert sum(listing["seconds"].values()) < 1
    assert not {"pymongo", "psycopg", "faker"} & {name.partition(".")[0] for name in listing["imported"]}
    # Of the service nothing but what an error is, and how things are counted.
    of_service = {name for name in listing["imported"] if name.partition(".")[0] == "replicator_service"}
    light = {f"replicator_service.core.{name}" for name in ("errors", "words")}
    assert of_service <= {"replicator_service", "replicator_service.core"} | light


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_a_dag_is_documented_owned_retried_and_bounded_in_time(listing: dict[str, Any], dag_id: str) -> None:
    dag = listing["dags"][dag_id]
    assert len(dag["doc"]) > 500
    assert len(dag["tags"]) >= 3
    assert len(dag["owners"]) == 1
    assert "airflow" not in dag["owners"]
    assert dag["retries"] >= 2
    assert dag["backoff"] > 1
    assert (dag["max_active_runs"], dag["catchup"]) == (1, False)
    assert dag["has_timeout"]
    assert dag["has_task_timeouts"]
    assert dag["is_serializable"]


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_every_parameter_has_a_type_a_title_and_a_description(listing: dict[str, Any], dag_id: str) -> None:
    for name, schema in listing["dags"][dag_id]["params"].items():
        assert {"type", "title"} <= set(schema), name


def test_the_forms_ask_for_what_the_readme_says(listing: dict[str, Any]) -> None:
    forms = {name: set(dag["params"]) for name, dag in listing["dags"].items()}
    assert forms == {
        "mongo_data_generator": {"documents_per_day", "days", "users", "seed", "update_share", "delete_share"},
        "mongo_pg_replicator": {"collections", "repair", "deep", "allow_deletes"},
        "pg_datamart_loader": {"as_of", "accept", "full", "allow_stale", "max_lag"},
    }


def test_only_the_comparisons_wait_for_the_pool(listing: dict[str, Any]) -> None:
    pools = {name: pool for dag in listing["dags"].values() for name, pool in dag["pools"].items()}
    assert [name for name, pool in pools.items() if pool != "default_pool"] == ["compare_part"]
    assert pools["compare_part"] == "reconciliation"


def test_the_marts_have_a_deadline(listing: dict[str, Any]) -> None:
    assert [name for name, dag in listing["dags"].items() if dag["has_deadline"]] == ["pg_datamart_loader"]


def test_nothing_of_airflow_2_is_left_in_the_dag_files() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "AIR", "--preview", str(DAGS)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_the_folder_airflow_does_not_shadow_the_package() -> None:
    assert not (ROOT / "airflow" / "__init__.py").exists()
