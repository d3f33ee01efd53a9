"""``pg_datamart_loader`` with a mart that fails its check beside one that does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dag_runs import AirflowHome, Wanted, connection_variables

if TYPE_CHECKING:
    from tests.support.databases import Sink

AS_OF = "2026-03-05T10:00:00+00:00"
DEFINITION = """
description: Numbers.
key: [number]
columns:
  - name: number
    type: integer
    description: A number.
checks:
  - expression: {name: no large numbers, sql: number < 100}
"""


def test_a_failed_check_publishes_nothing_of_its_mart_and_keeps_no_other_back(
    airflow_home: AirflowHome, sink: Sink, tmp_path: Path
) -> None:
    for name, query in (("large", "select 100 as number"), ("small", "select 1 as number")):
        (tmp_path / f"{name}.yml").write_text(DEFINITION)
        (tmp_path / f"{name}.sql").write_text(query)
    variables = connection_variables("mongodb://127.0.0.1:1/", "nowhere", sink.dsn) | {"MART_DIRECTORY": str(tmp_path)}
    (done,) = airflow_home.execute(variables, Wanted("pg_datamart_loader", AS_OF, {"as_of": AS_OF}))
    assert done.state == "failed"
    assert done.tasks == {"prepare": "success", "load_mart 0": "failed", "load_mart 1": "success"}
    assert "no large numbers" in done.log
    assert "FAILED" in done.log
    assert "What to do: Nothing was published. Fix the source or the check" in done.log
    with sink.connect() as connection:
        loaded = connection.execute("select mart, as_of::text, rows from mart.load_run").fetchall()
        versions = connection.execute("select number, etl_valid_from::text from mart.small").fetchall()
    assert loaded == [("small", "2026-03-05 10:00:00+00", 1)]
    assert versions == [(1, "2026-03-05 10:00:00+00")]


def _warehouse(sink: Sink, folder: Path) -> dict[str, str]:
    """A mart of one number, and a replicated table behind it whose source is two hours old."""
    (folder / "numbers.yml").write_text(DEFINITION)
    (folder / "numbers.sql").write_text("select number from origin.numbers")
    tables = Path(__file__).parents[2] / "sql" / "replicator" / "0001_control_tables.sql"
    with sink.connect() as connection:
        connection.execute("create schema origin; create schema replicator")
        connection.execute("create table origin.numbers (_id text primary key, number integer)")
        connection.execute("insert into origin.numbers values ('1', 1)")
        connection.execute(tables.read_text().encode())
        connection.execute(
            "insert into replicator.checkpoint (stream, cluster_time) "
            "values ('origin', (extract(epoch from now())::bigint - 7200) << 32)"
        )
    return connection_variables("mongodb://127.0.0.1:1/", "nowhere", sink.dsn) | {"MART_DIRECTORY": str(folder)}


def test_a_source_that_is_too_old_is_let_through_by_a_parameter(
    airflow_home: AirflowHome, sink: Sink, tmp_path: Path
) -> None:
    variables = _warehouse(sink, tmp_path)
    forms: list[dict[str, Any]] = [{}, {"allow_stale": True}, {"max_lag": "3h"}, {"max_lag": "off", "full": True}]
    refused, stale, patient, unlimited = airflow_home.execute(
        variables, *(Wanted("pg_datamart_loader", AS_OF, form) for form in forms)
    )
    assert refused.state == "failed"
    assert "with the parameter allow_stale" in refused.log
    assert [each.state for each in (stale, patient, unlimited)] == ["success"] * 3
    assert "Warning: origin shows MongoDB as of" in (stale.note or "")
    assert "Warning" not in (patient.note or "") + (unlimited.note or "")


def test_a_published_mart_is_an_event_of_its_asset(airflow_home: AirflowHome, sink: Sink, tmp_path: Path) -> None:
    variables = _warehouse(sink, tmp_path)
    form = {"max_lag": "off", "as_of": AS_OF}
    first, again = airflow_home.execute(variables, *(Wanted("pg_datamart_loader", AS_OF, form) for _ in range(2)))

    (event,) = first.events
    assert event["asset"] == "mart.numbers"
    assert event["extra"]["rows"] == 1
    assert event["extra"]["source_time"] is not None
    assert again.state == "success"
    assert again.events == []


@pytest.mark.parametrize("form", [{"max_lag": "soon"}, {"as_of": "soon"}])
def test_a_form_that_cannot_be_read_is_refused_by_the_first_task(
    airflow_home: AirflowHome, sink: Sink, tmp_path: Path, form: dict[str, Any]
) -> None:
    (done,) = airflow_home.execute(_warehouse(sink, tmp_path), Wanted("pg_datamart_loader", AS_OF, form))
    assert done.state == "failed"
    assert done.tasks["prepare"] == "failed"
