"""``mongo_pg_replicator`` and ``pg_datamart_loader``, executed for real on data that the service has replicated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from replicator_service.configuration.mapping_file import read_mapping
from tests.support.dag_runs import ROOT, AirflowHome, Wanted, connection_variables
from tests.support.replication import replicating
from warehouse_jobs.generator.job import generate
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.settings import MongoSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Sink, Source

MAPPING = ROOT / "mappings" / "shop.yml"


def replicated_shop(shop: Source, sink: Sink, mapping: Path) -> None:
    """Two days of a shop, replicated; the service has ended."""
    interval = Interval.of_days(datetime(2026, 3, 1, tzinfo=UTC), 2)
    generate(MongoSettings(shop.uri, shop.name), Parameters.per_day(300), interval)
    with replicating(shop, sink, read_mapping(mapping)) as replication:
        replication.catch_up()


def test_the_reconciliation_finds_what_was_planted_repairs_it_and_tells_the_marts(
    airflow_home: AirflowHome, shop: Source, sink: Sink
) -> None:
    replicated_shop(shop, sink, MAPPING)
    with sink.connect() as connection:
        connection.execute("delete from origin.event_logs where _id = (select min(_id) from origin.event_logs)")
        connection.execute(
            "update origin.product set currency = 'XXX' where _id = (select max(_id) from origin.product)"
        )
        connection.execute(
            "insert into origin.search_queries (_id, query_id, etl_valid_from) values ('planted', 'planted', now())"
        )
    variables = connection_variables(shop.uri, shop.name, sink.dsn) | {"REPLICATOR_MAPPING": str(MAPPING)}
    now = datetime.now(UTC)
    dry, repaired, proved, marts, older = airflow_home.execute(
        variables,
        Wanted("mongo_pg_replicator", now.isoformat(), {"repair": False}),
        Wanted("mongo_pg_replicator", now.isoformat()),
        Wanted(
            "mongo_pg_replicator", now.isoformat(), {"repair": False, "collections": ["EventLogs", "SearchQueries"]}
        ),
        Wanted("pg_datamart_loader", now.isoformat()),
        Wanted("pg_datamart_loader", now.isoformat(), {"as_of": (now - timedelta(days=1)).isoformat()}),
    )

    assert dry.state == "failed", dry.log[-6000:]
    assert dry.tasks["finish_run"] == "failed"
    assert dry.events == []
    assert "3 of 3 differences remain" in dry.log
    assert "planted" in dry.log

    assert repaired.state == "success", repaired.log[-6000:]
    assert repaired.results["finish_run"]["differences"] == repaired.results["finish_run"]["repaired"] == 3
    assert [(each["asset"], each["extra"]["repaired"]) for each in repaired.events] == [("replicated_tables", 3)]

    assert proved.state == "success"
    assert proved.results["finish_run"]["differences"] == 0
    assert set(proved.tasks) == {"plan_parts", "begin_run", "compare_part 0", "compare_part 1", "finish_run"}

    assert marts.state == "success", marts.log[-6000:]
    assert {marts.results[f"load_mart {index}"]["as_of"] for index in (0, 1)} == {now.isoformat()}
    assert "checks" in marts.log or "passed" in marts.log
    with sink.connect() as connection:
        counts = "select (select count(*) from user_activity), (select count(*) from support_efficiency)"
        rows = connection.execute(counts).fetchone()
    assert rows is not None
    assert min(rows) > 0
    assert rows == (marts.results["load_mart 1"]["rows"], marts.results["load_mart 0"]["rows"])

    assert older.state == "failed"
    assert "was already loaded as of" in older.log
    assert "History is not rewritten" in older.log


def test_a_reconciliation_before_anything_was_replicated_says_what_to_do(
    airflow_home: AirflowHome, source: Source, sink: Sink
) -> None:
    variables = connection_variables(source.uri, source.name, sink.dsn)
    (done,) = airflow_home.execute(variables, Wanted("mongo_pg_replicator", datetime.now(UTC).isoformat()))
    assert done.state == "failed"
    assert done.tasks["finish_run"] == "upstream_failed"
    assert "nothing has been replicated into this PostgreSQL database yet" in done.log
