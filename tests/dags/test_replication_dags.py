"""``mongo_pg_replicator`` and ``pg_datamart_loader``, executed for real on data that the service has replicated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from replicator_service.configuration.mapping_file import read_mapping
from tests.support.dag_runs import ROOT, AirflowHome, Wanted, connection_variables
from tests.support.replication import replicating
from warehouse_jobs.generator.job import generate
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings

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
    assert "planted" in dry.log
    assert dry.note is not None
    assert "3 differences, 0 repaired, 3 remain" in dry.note

    assert repaired.state == "success", repaired.log[-6000:]
    assert repaired.results["finish_run"]["differences"] == repaired.results["finish_run"]["repaired"] == 3
    ((asset, extra),) = [(each["asset"], each["extra"]) for each in repaired.events]
    assert asset == "replicated_tables"
    assert (extra["repaired"], extra["not_proved"], extra["is_whole"]) == (3, [], True)
    assert repaired.note is not None
    assert f"{extra['documents']:,} documents compared, 3 differences, 3 repaired, 0 remain" in repaired.note
    assert f"The source as of {extra['source_time']}" in repaired.note

    assert proved.state == "success"
    assert proved.results["finish_run"]["differences"] == 0
    assert set(proved.tasks) == {"plan_parts", "begin_run", "compare_part 0", "compare_part 1", "finish_run"} | {
        "publish_proof"
    }
    assert (proved.tasks["publish_proof"], proved.events) == ("skipped", [])
    assert proved.note is not None
    assert "Only these collections: EventLogs, SearchQueries." in proved.note

    assert marts.state == "success", marts.log[-6000:]
    assert {marts.results[f"load_mart {index}"]["as_of"] > now.isoformat() for index in (0, 1)} == {True}
    assert marts.note is not None
    assert "user_activity: " in marts.note
    assert "the source as of " in marts.note
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


def test_what_is_paused_is_named_and_keeps_the_asset_back(airflow_home: AirflowHome, shop: Source, sink: Sink) -> None:
    replicated_shop(shop, sink, MAPPING)
    with sink.connect() as connection:
        connection.execute("update replicator.collection set state = 'paused' where collection = 'EventLogs'")
    variables = connection_variables(shop.uri, shop.name, sink.dsn) | {"REPLICATOR_MAPPING": str(MAPPING)}
    (done,) = airflow_home.execute(variables, Wanted("mongo_pg_replicator", datetime.now(UTC).isoformat()))
    assert done.state == "success", done.log[-6000:]
    assert (done.tasks["publish_proof"], done.events) == ("skipped", [])
    assert done.results["finish_run"]["not_proved"] == [
        "EventLogs: paused: 'replicator resume EventLogs' reads it again"
    ]
    assert done.note is not None
    assert "Not proved: EventLogs: paused" in done.note


def test_an_empty_database_ends_with_zero_and_a_misspelt_parameter_with_nothing(
    airflow_home: AirflowHome, shop: Source, sink: Sink
) -> None:
    with replicating(shop, sink, read_mapping(MAPPING)) as replication:
        shop.db["Nothing"].insert_one({})
        replication.catch_up()
    shop.db["Nothing"].drop()
    with sink.connect() as connection:
        connection.execute("delete from replicator.collection")
    variables = connection_variables(shop.uri, shop.name, sink.dsn) | {"REPLICATOR_MAPPING": str(MAPPING)}
    now = datetime.now(UTC).isoformat()
    empty, misspelt, marts = airflow_home.execute(
        variables,
        Wanted("mongo_pg_replicator", now),
        Wanted("mongo_pg_replicator", now, {"Repair": False}),
        Wanted("pg_datamart_loader", now, {"as-of": now}),
    )
    assert empty.state == "success", empty.log[-6000:]
    assert empty.results["finish_run"]["documents"] == 0
    with sink.connect() as connection:
        runs = connection.execute("select state, documents from replicator.reconciliation_run").fetchall()
    assert runs == [("finished", 0)]

    assert misspelt.state == "failed"
    assert misspelt.tasks["plan_parts"] == "failed"
    assert misspelt.note == "there is no parameter 'Repair': nothing was done\nWhat to do: Did you mean repair?"
    assert marts.tasks["prepare"] == "failed"
    assert marts.note is not None
    assert "Did you mean as_of?" in marts.note
