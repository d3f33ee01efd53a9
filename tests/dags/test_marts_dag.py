"""``pg_datamart_loader`` with a mart that fails its check beside one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.dag_runs import AirflowHome, Wanted, connection_variables

if TYPE_CHECKING:
    from pathlib import Path

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
