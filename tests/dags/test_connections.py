"""Airflow's connections as the addresses that the drivers get."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from pymongo.uri_parser import parse_uri

from tests.support.dag_runs import connection_variables

if TYPE_CHECKING:
    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer
    from tests.support.dag_runs import AirflowHome

README = {"srv": False, "ssl": False, "allow_insecure": False, "authSource": "admin"}
PROGRAM = """
import json
from warehouse_jobs.orchestration import connections, failures
with failures.explained():
    mongo, settings = connections.mongo_settings(), connections.replicator_settings()
    marts = connections.mart_settings()
told = [mongo.uri, mongo.database, settings.mongo_database, str(settings.mapping), marts.dsn, marts.timezone]
print(json.dumps(told))
"""


def addresses(home: AirflowHome, extra: dict[str, Any], **fields: Any) -> list[str]:
    mongo = {
        "conn_type": "mongo",
        "host": "shop.example",
        "login": "us:er",
        "password": "p@ss/w%rd",
        "schema": "origin",
    }
    postgres = {
        "conn_type": "postgres",
        "host": "warehouse.example",
        "port": 5433,
        "login": "loader",
        "password": "it's \\ @ secret",
        "schema": "destination",
        "extra": {"sslmode": "require", "cursor": "dictcursor"},
    }
    variables = {
        "AIRFLOW_CONN_MONGO_DB_CONN": json.dumps({**mongo, "port": 27017, "extra": extra, **fields}),
        "AIRFLOW_CONN_POSTGRES_CONN": json.dumps(postgres),
        "REPLICATOR_MAPPING": "mappings/shop.yml",
        "MART_TIMEZONE": "Europe/Moscow",
    }
    ended = home.python(["-c", PROGRAM], variables)
    assert ended.returncode == 0, ended.stdout[-3000:]
    told: list[str] = json.loads(ended.stdout.splitlines()[-1])
    return told


def test_the_connections_of_the_readme_become_addresses_with_every_character_of_the_passwords(
    airflow_home: AirflowHome,
) -> None:
    uri, database, replicated, mapping, dsn, timezone = addresses(airflow_home, README)
    parsed = parse_uri(uri)
    assert (parsed["username"], parsed["password"]) == ("us:er", "p@ss/w%rd")
    assert parsed["nodelist"] == [("shop.example", 27017)]
    assert parsed["options"]["authSource"] == "admin"
    assert parsed["options"]["tls"] is False
    assert (database, replicated, mapping, timezone) == ("origin", "origin", "mappings/shop.yml", "Europe/Moscow")
    assert conninfo_to_dict(dsn) == {
        "host": "warehouse.example",
        "port": "5433",
        "user": "loader",
        "password": "it's \\ @ secret",
        "dbname": "destination",
        "sslmode": "require",
    }


@pytest.mark.parametrize(("allow_insecure", "verified"), [(True, False), (False, True)])
def test_tls_is_verified_unless_the_connection_allows_otherwise(
    airflow_home: AirflowHome, *, allow_insecure: bool, verified: bool
) -> None:
    extra = {**README, "ssl": True, "allow_insecure": allow_insecure, "replicaSet": "rs0"}
    uri, database, *_ = addresses(airflow_home, extra, schema="")
    options = parse_uri(uri)["options"]
    assert options["tls"] is True
    assert options.get("tlsAllowInvalidCertificates", False) is not verified
    assert options["replicaSet"] == "rs0"
    assert database == "origin"


def test_a_connection_that_is_not_there_says_where_to_make_it(airflow_home: AirflowHome) -> None:
    renamed = "from warehouse_jobs.orchestration import connections\nconnections.MONGO = 'absent'\n"
    ended = airflow_home.python(["-c", renamed + PROGRAM], {})
    assert ended.returncode != 0
    assert "absent" in ended.stdout
    assert "What to do: The init step makes" in ended.stdout


REFUSED = """
from warehouse_jobs.orchestration import connections, failures, reconciliation
try:
    with failures.explained():
        reconciliation.plan(connections.replicator_settings(), {"collections": []})
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_refused_password_needs_a_person_and_the_hint_names_the_connection(
    airflow_home: AirflowHome, mongo_server: MongoReplicaSet, postgres_server: PostgresServer
) -> None:
    dsn = postgres_server.dsn("postgres", password="forgotten")
    variables = connection_variables(mongo_server.uri, "origin", dsn)
    ended = airflow_home.python(["-c", REFUSED], variables)
    assert "AirflowFailException PostgreSQL refuses the user name or password" in ended.stdout
    assert "What to do: Check both in the connection postgres_conn (Admin, Connections).\n" in ended.stdout
    assert "REPLICATOR_POSTGRES_DSN" not in ended.stdout
