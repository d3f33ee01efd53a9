"""``mongo_data_generator``, executed for real."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.dag_runs import AirflowHome, Wanted, connection_variables
from tests.support.databases import fresh_source
from warehouse_jobs.generator.server import MongoSettings
from warehouse_jobs.orchestration.generation import write_history
from warehouse_jobs.orchestration.run_times import RunTimes

if TYPE_CHECKING:
    from devstack.mongo import MongoReplicaSet
    from tests.support.databases import Sink, Source

FORM = {"documents_per_day": 150, "days": 2, "seed": 7}
RUN_AFTER = "2026-03-05T10:07:00+00:00"


def contents(source: Source) -> dict[str, list[Any]]:
    return {name: list(source.db[name].find().sort("_id")) for name in sorted(source.db.list_collection_names())}


def test_a_run_that_is_repeated_does_not_double_the_shop(
    airflow_home: AirflowHome, mongo_server: MongoReplicaSet, source: Source, sink: Sink
) -> None:
    variables = connection_variables(source.uri, source.name, sink.dsn)
    first, again = airflow_home.execute(variables, *[Wanted("mongo_data_generator", RUN_AFTER, FORM)] * 2)
    assert (first.state, again.state) == ("success", "success")
    assert first.results["generate"]["inserted"] > 250
    assert first.results["generate"]["start"] == "2026-03-03T10:00:00+00:00"
    assert f"total{first.results['generate']['inserted']:>24}" in first.log

    with fresh_source(mongo_server) as once:
        form = {**FORM, "users": None, "update_share": 0.2, "delete_share": 0.05}
        times = RunTimes(datetime(2026, 3, 5, 10, 7, tzinfo=UTC))
        write_history(MongoSettings(once.uri, once.name), form, times)
        assert contents(source) == contents(once)


def test_a_server_that_is_away_fails_the_run_with_its_cause_and_the_fix(airflow_home: AirflowHome, sink: Sink) -> None:
    variables = connection_variables("mongodb://127.0.0.1:1/", "nowhere", sink.dsn)
    (done,) = airflow_home.execute(variables, Wanted("mongo_data_generator", RUN_AFTER, FORM))
    assert done.state == "failed"
    assert "MongoDB cannot be reached: 127.0.0.1:1 refuses the connection" in done.log
    assert "Check that MongoDB runs, and the host and port in the connection mongo_db_conn" in done.log
