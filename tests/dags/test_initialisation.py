"""The init step: what it makes, and that it may be repeated."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from tests.dags.conftest import SECRETS
from tests.support.dag_runs import AirflowHome

if TYPE_CHECKING:
    from pathlib import Path


def test_the_init_step_makes_the_connections_of_the_readme_the_pool_and_the_user(airflow_home: AirflowHome) -> None:
    with sqlite3.connect(airflow_home.path / "airflow.db") as database:
        connections = database.execute(
            "select conn_id, conn_type, host, port, schema, login from connection order by conn_id"
        ).fetchall()
        (encrypted,) = database.execute("select password from connection where conn_id = 'postgres_conn'").fetchone()
        slots = database.execute("select slots from slot_pool where pool = 'reconciliation'").fetchall()
    assert connections == [
        ("mongo_db_conn", "mongo", "mongo-origin", 27017, "origin", "shop"),
        ("postgres_conn", "postgres", "postgres-destination", 5433, "destination", "loader"),
    ]
    assert SECRETS["POSTGRES_CONN_PASSWORD"] not in encrypted
    assert slots == [(2,)]
    passwords = airflow_home.path / "simple_auth_manager_passwords.json.generated"
    assert json.loads(passwords.read_text()) == {"admin": SECRETS["AIRFLOW_ADMIN_PASSWORD"]}
    assert passwords.stat().st_mode & 0o077 == 0


def test_the_init_step_repeated_keeps_what_was_edited_unless_told_otherwise(airflow_home: AirflowHome) -> None:
    file = airflow_home.path / "airflow.db"
    with sqlite3.connect(file) as database:
        database.execute("update connection set host = 'elsewhere' where conn_id = 'postgres_conn'")
        database.execute("update slot_pool set slots = 7 where pool = 'reconciliation'")

    def told() -> tuple[object, object]:
        with sqlite3.connect(file) as database:
            (host,) = database.execute("select host from connection where conn_id = 'postgres_conn'").fetchone()
            (slots,) = database.execute("select slots from slot_pool where pool = 'reconciliation'").fetchone()
        return host, slots

    try:
        assert airflow_home.initialise(SECRETS).returncode == 0
        assert told() == ("elsewhere", 7)
        assert airflow_home.initialise(SECRETS, "--overwrite").returncode == 0
        assert told() == ("postgres-destination", 7)
    finally:
        with sqlite3.connect(file) as database:
            database.execute("update slot_pool set slots = 2 where pool = 'reconciliation'")


def test_missing_secrets_are_named_before_anything_is_done(tmp_path: Path) -> None:
    ended = AirflowHome(tmp_path).initialise({"MONGO_DB_CONN_LOGIN": "shop", "POSTGRES_CONN_PORT": "many"})
    assert ended.returncode == 2
    assert ended.stdout == (
        "error: MONGO_DB_CONN_PASSWORD is missing; POSTGRES_CONN_PORT is no port; "
        "POSTGRES_CONN_LOGIN is missing; POSTGRES_CONN_PASSWORD is missing\n"
    )
    assert list(tmp_path.iterdir()) == []
