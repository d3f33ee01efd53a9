"""What keeps the service from starting is told in one message, with the exit code for it and without a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from pymongo import MongoClient

from devstack.mongo import MongoReplicaSet, StandaloneMongo
from tests.support.databases import fresh_source
from tests.support.processes import Operator
from tests.support.replication import Replication, assert_same_documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink, Source

SECRET = "not-for-your-eyes"


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    return Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
        },
        tmp_path,
    )


@pytest.fixture(scope="module")
def secured_mongo() -> Iterator[MongoReplicaSet]:
    with MongoReplicaSet.start(auth=True) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.admin.command("createUser", "nobody", pwd=SECRET, roles=[])
            client.admin.command("createUser", "reader", pwd=SECRET, roles=[{"role": "readAnyDatabase", "db": "admin"}])
        yield server


@pytest.fixture
def modest_dsn(sink: Sink, postgres_server: PostgresServer) -> Iterator[str]:
    """A user without any right on the database but to connect."""
    role = f"{sink.name}_user"
    with sink.connect() as connection:
        connection.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(role), sql.Literal(SECRET))
        )
        yield postgres_server.dsn(sink.name, user=role, password=SECRET)
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def assert_told(operator: Operator, code: int, pattern: str, **environ: str) -> None:
    done = operator.run_to_its_end(REPLICATOR_HTTP_PORT="0", **environ)
    told = done.stdout + done.stderr
    assert done.returncode == code, told
    assert "Traceback" not in told
    assert SECRET not in told
    failures = [line for line in told.splitlines() if "service failed" in line]
    assert len(failures) == 1, told
    assert re.search(pattern, failures[0]), failures[0]


def test_a_standalone_mongodb_cannot_be_replicated(operator: Operator) -> None:
    with StandaloneMongo.start() as standalone:
        assert_told(operator, 2, "standalone.*--replSet", REPLICATOR_MONGO_URI=standalone.uri)


def test_a_mongodb_user_without_privileges_is_told_the_role(operator: Operator, secured_mongo: MongoReplicaSet) -> None:
    uri = f"mongodb://nobody:{SECRET}@127.0.0.1:{secured_mongo.port}/?authSource=admin"
    assert_told(operator, 2, "lacks a privilege.*role 'read'", REPLICATOR_MONGO_URI=uri)


def test_a_wrong_mongodb_password_is_told(operator: Operator, secured_mongo: MongoReplicaSet) -> None:
    uri = f"mongodb://admin:{SECRET}@127.0.0.1:{secured_mongo.port}/?authSource=admin"
    assert_told(operator, 2, "refuses the user name or password", REPLICATOR_MONGO_URI=uri)


def test_a_postgresql_user_that_may_not_create_a_schema_is_told_the_grant(operator: Operator, modest_dsn: str) -> None:
    assert_told(operator, 2, "may not create.*grant create on database", REPLICATOR_POSTGRES_DSN=modest_dsn)


def test_a_user_that_owns_its_schemas_needs_no_right_on_the_database(
    source: Source, sink: Sink, modest_dsn: str
) -> None:
    with sink.connect() as connection:
        for schema in ("replicator", source.name):
            connection.execute(
                sql.SQL("create schema {} authorization {}").format(
                    sql.Identifier(schema), sql.Identifier(f"{sink.name}_user")
                )
            )
    replication = Replication(source, sink, postgres_dsn=modest_dsn)
    replication.start()
    try:
        source.db.things.insert_one({"_id": 1})
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 1
    finally:
        replication.stop()


def test_a_mongodb_user_needs_no_more_than_to_read(sink: Sink, secured_mongo: MongoReplicaSet) -> None:
    uri = f"mongodb://reader:{SECRET}@127.0.0.1:{secured_mongo.port}/?replicaSet={secured_mongo.name}&authSource=admin"
    with fresh_source(secured_mongo) as source:
        replication = Replication(source, sink, mongo_uri=uri)
        for number in range(2):
            source.db.things.insert_one({"_id": number})
            replication.start()
            try:
                source.db.things.update_many({}, {"$set": {"n": number}})
                replication.catch_up()
            finally:
                replication.stop()
        assert assert_same_documents(source, sink, "things") == 2
