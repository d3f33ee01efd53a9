"""`replicator check` against real servers, healthy and not: each failing line names its cause, and nothing changes."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from pymongo import MongoClient

from devstack.mongo import MongoReplicaSet, StandaloneMongo
from replicator_service.app.preflight import preflight
from replicator_service.configuration.settings import Settings
from replicator_service.core.findings import Finding, Level, exit_code
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.migrations import migrate
from tests.support.replication import replicating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink, Source

PASSWORD = "not-to-be-seen"


def settings_of(source: Source, sink: Sink, **others: object) -> Settings:
    values = {"mongo_uri": source.uri, "mongo_database": source.name, "postgres_dsn": sink.dsn}
    return Settings.model_validate(values | others)


def settings(mongo_uri: str, postgres_dsn: str) -> Settings:
    return Settings.model_validate({"mongo_uri": mongo_uri, "mongo_database": "shop", "postgres_dsn": postgres_dsn})


def check(settings: Settings) -> list[Finding]:
    found = preflight(settings, now=time.time())
    for each in found:
        assert PASSWORD not in each.cause + each.fix
    return found


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    named = {found.name: found for found in findings}
    assert len(named) == len(findings), "every check has one line"
    return named


def failing(findings: list[Finding]) -> set[str]:
    return {found.name for found in findings if found.level is Level.FAIL}


@contextmanager
def role(sink: Sink, *, may_create: bool) -> Iterator[str]:
    """A PostgreSQL user of its own; returns its address."""
    name = f"user_{sink.name}"
    with sink.connect() as connection:
        connection.execute(
            sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(PASSWORD))
        )
        if may_create:
            connection.execute(
                sql.SQL("grant create on database {} to {}").format(sql.Identifier(sink.name), sql.Identifier(name))
            )
    info = psycopg.conninfo.conninfo_to_dict(sink.dsn)
    yield f"postgresql://{name}:{PASSWORD}@{info['host']}:{info['port']}/{sink.name}"
    with sink.connect() as connection:
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def secured_mongo() -> Iterator[MongoReplicaSet]:
    """A replica set with users: `reader` may read the database shop, `nobody` may do nothing."""
    with MongoReplicaSet.start(auth=True) as server:
        with MongoClient[dict[str, Any]](server.uri) as client:
            client.shop.orders.insert_one({"_id": 1})
            client.admin.command("createUser", "reader", pwd=PASSWORD, roles=[{"role": "read", "db": "shop"}])
            client.admin.command("createUser", "nobody", pwd=PASSWORD, roles=[])
        yield server


def address(server: MongoReplicaSet, user: str, password: str = PASSWORD) -> str:
    return f"mongodb://{user}:{quote(password)}@127.0.0.1:{server.port}/?replicaSet={server.name}&authSource=admin"


def test_healthy_servers_pass_more_than_20_checks(source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 1})
    findings = check(settings_of(source, sink))
    assert failing(findings) == set()
    assert exit_code(findings) == 0
    assert sum(found.level is Level.OK for found in findings) > 20


def test_checking_changes_nothing(source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 1})

    def state() -> tuple[object, object]:
        with sink.connect() as connection:
            tables = connection.execute("select count(*) from pg_class").fetchone()
            locks = connection.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone()
        return (tables, locks), (source.db.list_collection_names(), source.db.orders.count_documents({}))

    before = state()
    check(settings_of(source, sink))
    assert state() == before


def test_after_a_start_the_position_and_the_tables_are_looked_at(source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
    found = by_name(check(settings_of(source, sink)))
    assert found["position in history"].cause == "the stream can continue from the checkpoint"
    assert found["control tables"].cause.startswith("version")
    assert found["lease"].cause.startswith("free")
    assert found["tables fit the mapping"].cause == "all as they should be: 1"


def test_a_lost_position_asks_for_a_resync(source: Source, sink: Sink) -> None:
    elsewhere = source.client[f"{source.name}_other"]
    with elsewhere.watch() as events:
        elsewhere.things.insert_one({"_id": 1})
        token = next(events)["_id"]
    source.db.things.insert_one({"_id": 1})
    source.client.drop_database(elsewhere.name)
    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
        connection.execute(
            "insert into replicator.checkpoint (stream, resume_token, cluster_time, epoch) values (%s, %s, 1, 1)",
            (source.name, json.dumps(token)),
        )
    findings = check(settings_of(source, sink))
    assert failing(findings) == {"position in history"}
    assert exit_code(findings) == 4


def test_a_standalone_server_is_named_with_the_way_out(sink: Sink) -> None:
    with StandaloneMongo.start() as server:
        found = by_name(check(settings(server.uri, sink.dsn)))
    assert found["mongodb replica set"].level is Level.FAIL
    assert "standalone" in found["mongodb replica set"].cause
    assert "rs.initiate()" in found["mongodb replica set"].fix
    assert found["privilege changeStream"].level is Level.SKIP


def test_another_replica_set_name_is_told_with_the_right_one(source: Source, sink: Sink) -> None:
    other = source.uri.replace("replicaSet=rs0", "replicaSet=other")
    found = by_name(check(settings_of(source, sink, mongo_uri=other)))
    assert found["mongodb replica set name"].level is Level.FAIL
    assert "replicaSet=rs0" in found["mongodb replica set name"].fix


def test_a_wrong_mongodb_password_is_a_matter_of_configuration(secured_mongo: MongoReplicaSet, sink: Sink) -> None:
    findings = check(settings(address(secured_mongo, "reader", "wrong"), sink.dsn))
    assert failing(findings) == {"mongodb credentials"}
    assert exit_code(findings) == 2


def test_a_user_without_privileges_fails_at_each_thing_it_may_not_do(
    secured_mongo: MongoReplicaSet, sink: Sink
) -> None:
    findings = check(settings(address(secured_mongo, "nobody"), sink.dsn))
    assert failing(findings) == {"privilege listCollections", "privilege find", "privilege changeStream"}
    assert "role 'read'" in by_name(findings)["privilege find"].fix


def test_the_role_read_is_enough_and_what_it_cannot_see_is_a_warning(
    secured_mongo: MongoReplicaSet, sink: Sink
) -> None:
    findings = check(settings(address(secured_mongo, "reader"), sink.dsn))
    assert failing(findings) == set()
    warned = {found.name for found in findings if found.level is Level.WARN}
    # "snapshot history" is no more than seen without the privilege to ask for it, so it depends on the server's age.
    assert {"oplog readable", "oplog retention"} <= warned


def test_collections_that_have_no_change_events_are_named(source: Source, sink: Sink) -> None:
    source.db.create_collection("measurements", timeseries={"timeField": "at"})
    source.db.create_collection("ring", capped=True, size=4096)
    source.db.create_collection("names", collation={"locale": "de", "strength": 2})
    source.db.command("create", "recent", viewOn="names", pipeline=[])
    found = by_name(check(settings_of(source, sink)))
    assert found["collections without change events"].level is Level.WARN
    assert "measurements" in found["collections without change events"].cause
    assert "recent" in found["collections without change events"].cause
    assert "ring" in found["capped collections"].cause
    assert "names" in found["collections with a collation"].cause


def test_a_wrong_postgresql_password_is_a_matter_of_configuration(
    source: Source, sink: Sink, postgres_server: PostgresServer
) -> None:
    dsn = postgres_server.dsn(sink.name, password="wrong")
    findings = check(settings_of(source, sink, postgres_dsn=dsn))
    assert failing(findings) == {"postgresql reachable"}
    assert exit_code(findings) == 2


def test_a_user_that_may_not_create_schemas_is_told_the_grant(source: Source, sink: Sink) -> None:
    with role(sink, may_create=False) as dsn:
        findings = check(settings_of(source, sink, postgres_dsn=dsn))
        assert failing(findings) == {"privilege create"}
        fix = by_name(findings)["privilege create"].fix
        assert fix == f'grant create on database "{sink.name}" to "user_{sink.name}"'
        with sink.connect() as connection:
            connection.execute(fix.encode())
        assert failing(check(settings_of(source, sink, postgres_dsn=dsn))) == set()


def test_a_user_needs_no_more_than_create_on_the_database(source: Source, sink: Sink) -> None:
    with role(sink, may_create=True) as dsn:
        assert failing(check(settings_of(source, sink, postgres_dsn=dsn))) == set()


def test_an_encoding_that_cannot_hold_every_text_fails(
    source: Source, sink: Sink, postgres_server: PostgresServer
) -> None:
    name = f"{sink.name}_latin"
    with sink.connect() as connection:
        connection.execute(
            sql.SQL("create database {} encoding 'LATIN1' locale_provider libc locale 'C' template template0").format(
                sql.Identifier(name)
            )
        )
        try:
            findings = check(settings_of(source, sink, postgres_dsn=postgres_server.dsn(name)))
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    assert failing(findings) == {"postgresql encoding"}


def test_a_column_of_another_type_than_the_mapping_wants_fails(source: Source, sink: Sink, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.yml"
    mapping.write_text("version: 1\ncollections:\n  Orders:\n    columns:\n      total: numeric\n")
    with sink.connect() as connection:
        schema = sql.Identifier(source.name)
        connection.execute(sql.SQL("create schema {}").format(schema))
        connection.execute(
            sql.SQL(
                "create table {}.orders (_id text primary key, total text, _extra jsonb, _bson bytea, "
                "etl_valid_from timestamptz)"
            ).format(schema)
        )
    found = by_name(check(settings_of(source, sink, mapping=mapping)))
    assert found["tables fit the mapping"].level is Level.FAIL
    assert "orders.total: the column is text" in found["tables fit the mapping"].cause


def test_a_mapping_that_cannot_be_read_fails_and_the_servers_are_still_checked(
    source: Source, sink: Sink, tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.yml"
    mapping.write_text("version: 1\ncolections: {}\n")
    findings = check(settings_of(source, sink, mapping=mapping))
    assert failing(findings) == {"mapping"}
    assert by_name(findings)["tables fit the mapping"].level is Level.SKIP


def test_what_would_refuse_rows_or_forget_them_is_a_warning(source: Source, sink: Sink) -> None:
    source.db.orders.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
    with sink.connect() as connection:
        table = sql.Identifier(source.name, "orders")
        connection.execute(sql.SQL("alter table {} add constraint small check (length(_id) < 99)").format(table))
        connection.execute(sql.SQL("alter table {} set unlogged").format(table))
    found = by_name(check(settings_of(source, sink)))
    assert found["tables accept every row"].level is Level.WARN
    assert "orders: constraint small" in found["tables accept every row"].cause
    assert found["tables are durable"].level is Level.WARN


def test_a_newer_release_that_was_here_before_fails(source: Source, sink: Sink) -> None:
    with connect(sink.dsn, application_name="test") as connection:
        migrate(connection)
        connection.execute(
            "insert into replicator.schema_migration (version, name, checksum) values (9999, 'later', 'x')"
        )
    findings = check(settings_of(source, sink))
    assert failing(findings) == {"control tables"}


def test_servers_that_are_away_are_a_matter_of_the_connection() -> None:
    findings = check(settings("mongodb://127.0.0.1:9/", "postgresql://u:p@127.0.0.1:9/d"))
    assert failing(findings) == {"mongodb reachable", "postgresql reachable"}
    assert exit_code(findings) == 3
    assert by_name(findings)["position in history"].level is Level.SKIP


def test_the_host_that_was_tried_is_named(source: Source, sink: Sink) -> None:
    info = psycopg.conninfo.conninfo_to_dict(sink.dsn)
    found = by_name(check(settings_of(source, sink)))["postgresql reachable"]
    assert found.cause.endswith(f"at {info['host']}:{info['port']}")
    wrong = psycopg.conninfo.make_conninfo(sink.dsn, password="wrong")
    for dsn, places in (
        (wrong, {f"{info['host']}:{info['port']}"}),
        ("postgresql://u:p@127.0.0.1:9,127.0.0.1:10/d", {"127.0.0.1:9", "127.0.0.1:10"}),
    ):
        found = by_name(check(settings_of(source, sink, postgres_dsn=dsn)))["postgresql reachable"]
        assert found.level is Level.FAIL
        assert all(place in found.cause for place in places)
