"""Airflow's home, made ready once, and a shop whose database has the name that the marts expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient

from tests.support.dag_runs import AirflowHome
from tests.support.databases import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.mongo import MongoReplicaSet

SECRETS = {
    "MONGO_DB_CONN_LOGIN": "shop",
    "MONGO_DB_CONN_PASSWORD": "p@ss/word",
    "POSTGRES_CONN_LOGIN": "loader",
    "POSTGRES_CONN_PASSWORD": "an other",
    "AIRFLOW_ADMIN_PASSWORD": "of the page",
}


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> AirflowHome:
    """A home after the init step."""
    home = AirflowHome(tmp_path_factory.mktemp("airflow"))
    ended = home.initialise(SECRETS)
    assert ended.returncode == 0, ended.stdout[-3000:]
    return home


@pytest.fixture
def shop(mongo_server: MongoReplicaSet) -> Iterator[Source]:
    """An empty database ``origin``."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_server.uri, tz_aware=True)
    with client:
        client.drop_database("origin")
        try:
            yield Source(mongo_server.uri, "origin", client, client["origin"])
        finally:
            client.drop_database("origin")
