"""The init step says in one line why Airflow's own database lets nobody in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dags.conftest import SECRETS
from tests.support.dag_runs import AirflowHome

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.postgres import PostgresServer


@pytest.mark.parametrize(
    ("database", "password", "told"),
    [
        ("postgres", "forgotten", "password authentication failed"),
        ("nowhere", None, 'database "nowhere" does not exist'),
    ],
)
def test_a_database_that_lets_nobody_in_is_one_line(
    tmp_path: Path, postgres_server: PostgresServer, database: str, password: str | None, told: str
) -> None:
    dsn = postgres_server.dsn(database, password=password)
    ended = AirflowHome(tmp_path).initialise({**SECRETS, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": dsn})
    assert ended.returncode == 3
    last = ended.stdout.splitlines()[-1]
    assert last.startswith("error: Airflow's metadata database cannot be used: ")
    assert told in last
    assert "AIRFLOW_POSTGRES_PASSWORD" in last
    assert "Traceback" not in ended.stdout
    assert "forgotten" not in ended.stdout
