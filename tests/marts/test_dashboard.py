"""The dashboard of the marts asks PostgreSQL for what is there, as somebody who may only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from tests.support.monitoring import GRAFANA, queries, read
from warehouse_jobs.cli import main

if TYPE_CHECKING:
    import psycopg
    import pytest

    from tests.marts.shop import Shop

STATEMENTS = {
    title: target["rawSql"]
    for title, target in queries(read(GRAFANA / "dashboards" / "marts.json"))
    if "rawSql" in target
}


def test_there_are_statements_to_try() -> None:
    assert len(STATEMENTS) >= 4


def test_every_statement_of_the_dashboard_has_an_answer(
    shop: Shop, connection: psycopg.Connection[tuple[object, ...]], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.session("u1", "s1", "2026-03-30 23:50")
    shop.ticket("t1", ("user", "2026-03-30 10:00"))
    monkeypatch.setenv("WAREHOUSE_POSTGRES_DSN", dsn)
    loaded = CliRunner().invoke(main, ["marts", "load", "--as-of", "2026-04-01"])
    assert loaded.exit_code == 0, loaded.output
    connection.execute("set default_transaction_read_only = on")
    for title, statement in STATEMENTS.items():
        assert connection.execute(statement).fetchall(), title
