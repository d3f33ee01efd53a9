"""Mistakes of a tired operator: each is told once, with its cause and its fix, and repaired by correcting it alone."""

from __future__ import annotations

import re
import signal
import socket
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from devstack.mongo import StandaloneMongo
from replicator_service.core.errors import (
    ConfigurationError,
    ReplicatorError,
    Retryable,
    SinkUnavailable,
    SourceUnavailable,
)
from replicator_service.sink.connect import connection as sink_connection
from replicator_service.sink.connect.connection import connect as connect_sink
from replicator_service.sink.control.migrations import migrate, read_migrations
from replicator_service.sink.errors import translated
from replicator_service.source.connect.connection import connect as connect_source
from replicator_service.source.connect.connection import disconnect, server_info
from tests.support.processes import Operator, errors_of
from tests.support.servers import POSTGRES_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.mongo import MongoReplicaSet
    from devstack.postgres import PostgresServer
    from tests.support.databases import Sink, Source

SECRET = "n0t-f0r-your-eyes"


@pytest.fixture
def operator(source: Source, sink: Sink, tmp_path: Path) -> Operator:
    return Operator(
        {
            "REPLICATOR_MONGO_URI": source.uri,
            "REPLICATOR_MONGO_DATABASE": source.name,
            "REPLICATOR_POSTGRES_DSN": sink.dsn,
            "REPLICATOR_HTTP_PORT": "0",
        },
        tmp_path,
    )


@pytest.fixture
def role(sink: Sink) -> Iterator[str]:
    """A role that may do nothing yet, with the secret as its password."""
    name = sql.Identifier(f"{sink.name}_user")
    with sink.connect() as connection:
        connection.execute(sql.SQL("create role {} password {}").format(name, sql.Literal(SECRET)))
        yield f"{sink.name}_user"
        connection.execute(sql.SQL("drop role {}").format(name))


MISTAKES = {
    "a slip in a variable's name": (
        {"REPLICATOR_MONGO_URI": "", "REPLICATOR_MONGO_URL": "{mongo}"},
        "MONGO_URI is missing, and REPLICATOR_MONGO_URL is set but unknown",
    ),
    "an address in quotation marks": ({"REPLICATOR_POSTGRES_DSN": '"{postgres}"'}, "quotation marks.*Remove them"),
    "the addresses exchanged": (
        {"REPLICATOR_MONGO_URI": "{postgres}", "REPLICATOR_POSTGRES_DSN": "{mongo}"},
        "MONGO_URI is wrong: it is an address of PostgreSQL; REPLICATOR_POSTGRES_DSN is wrong: it is an address of Mon",
    ),
    "a password that is not encoded": (
        {"REPLICATOR_POSTGRES_DSN": f"postgresql://u:{SECRET}@{SECRET}@127.0.0.1/d"},
        "stands for something else.*@ is %40",
    ),
    "an empty secret's file": (
        {"REPLICATOR_MONGO_URI": "", "REPLICATOR_MONGO_URI_FILE": "/dev/null"},
        "REPLICATOR_MONGO_URI_FILE is empty",
    ),
    "a value and a file": (
        {"REPLICATOR_MONGO_URI_FILE": "/dev/null"},
        "REPLICATOR_MONGO_URI and REPLICATOR_MONGO_URI_FILE are both set",
    ),
    "a database that is not the user's": ({"REPLICATOR_MONGO_DATABASE": "admin"}, "database of MongoDB's own"),
    "a slip in an option of MongoDB's": (
        {"REPLICATOR_MONGO_URI": "{mongo}&replicasett=rs0"},
        "does not take: replicasett",
    ),
    "a certificate that is not there": (
        {"REPLICATOR_MONGO_URI": "{mongo}&tls=true&tlsCAFile=/nowhere/ca.pem"},
        "tlsCAFile names in the MongoDB address cannot be read: No such file",
    ),
    "a certificate that is none": (
        {"REPLICATOR_MONGO_URI": "{mongo}&tls=true&tlsCAFile=/etc/hostname"},
        "certificate or key file of the MongoDB address cannot be used",
    ),
    "a slip in an option of PostgreSQL's": (
        {"REPLICATOR_POSTGRES_DSN": "{postgres}?sslmod=prefer"},
        "has an option that does not exist",
    ),
    "a value that PostgreSQL's option has not": (
        {"PGSSLMODE": "always"},
        "value that does not exist.*variables that begin with PG",
    ),
    "a PostgreSQL without TLS": ({"PGSSLMODE": "require"}, "does not speak TLS.*sslmode=prefer"),
    "a database that is not there": (
        {"REPLICATOR_POSTGRES_DSN": "{postgres}_nowhere"},
        "database of the connection does not exist.*Create it",
    ),
    "a mapping that is not YAML": ({"REPLICATOR_MAPPING": "/etc/passwd"}, "mapping /etc/passwd"),
}


@pytest.mark.parametrize(("changes", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_ends_run_and_check_with_its_cause_and_fix(
    operator: Operator, source: Source, sink: Sink, changes: dict[str, str], told: str
) -> None:
    environ = {name: value.format(mongo=source.uri, postgres=sink.dsn) for name, value in changes.items()}
    done = operator.run_to_its_end(**environ)
    output = done.stdout + done.stderr
    assert done.returncode == ConfigurationError.exit_code, output
    (error,) = errors_of(output)
    assert re.search(told, f"{error['message']} {error['hint']}", re.DOTALL), error
    assert error["hint"]
    checked = operator.replicator("check", **environ)
    assert checked.exit_code == ConfigurationError.exit_code, checked.output
    for text in (output, checked.output):
        assert "Traceback" not in text
        assert SECRET not in text


def test_an_unknown_variable_is_named_with_the_one_that_was_meant(operator: Operator) -> None:
    with operator.running(REPLICATOR_BATCH_MAX_EVENT="1") as service:
        line = service.line("unknown setting")
        assert (line["variable"], line["hint"]) == (
            "REPLICATOR_BATCH_MAX_EVENT",
            "Did you mean REPLICATOR_BATCH_MAX_EVENTS?",
        )
        service.wait_for_state("streaming")
    checked = operator.replicator("check", REPLICATOR_BATCH_MAX_EVENT="1")
    assert "REPLICATOR_BATCH_MAX_EVENT is not a setting" in checked.output


def test_a_slip_in_the_name_of_the_database_is_noticed_by_its_emptiness(operator: Operator, source: Source) -> None:
    source.db.things.insert_one({"_id": 1})
    slip = f"{source.name}x"
    findings = operator.answer("check", REPLICATOR_MONGO_DATABASE=slip)["checks"]
    (found,) = [each for each in findings if each["name"] == "mongodb database"]
    assert found["level"] == "warn"
    assert f"nothing in the database {slip}" in found["cause"]
    assert source.name in found["fix"]
    with operator.running(REPLICATOR_MONGO_DATABASE=slip) as service:
        line = service.line("nothing to replicate yet")
        assert f"no collection in the database {slip}" in line["cause"]
        assert "REPLICATOR_MONGO_DATABASE" in line["hint"]


@pytest.mark.parametrize(
    ("uri", "kind", "told"),
    [
        ("mongodb://127.0.0.1:1/?replicaSet=rs0", SourceUnavailable, "127.0.0.1:1 refuses the connection"),
        (
            "mongodb://no-such-host.invalid/",
            SourceUnavailable,
            "no-such-host.invalid:27017 has a name that does not resolve",
        ),
        ("mongodb://127.0.0.1:{postgres}/", SourceUnavailable, "closes the connection.*tls=true"),
        ("mongodb://127.0.0.1:{mongo}/?tls=true", SourceUnavailable, "does not speak TLS.*Leave tls=true out"),
        ("mongodb://127.0.0.1:{mongo}/?replicaSet=other", ConfigurationError, "belongs to the replica set other"),
        (
            "mongodb://127.0.0.1:{mongo}/?replicaSet=other&directConnection=true",
            ConfigurationError,
            "belongs to the replica set other",
        ),
        ("mongodb+srv://no-such-host.invalid/", SourceUnavailable, "cannot be looked up"),
    ],
)
def test_a_mongodb_that_cannot_be_reached_is_named_with_the_reason(
    mongo_server: MongoReplicaSet, postgres_server: PostgresServer, uri: str, kind: type[ReplicatorError], told: str
) -> None:
    error = failure_of_source(uri.format(mongo=mongo_server.port, postgres=postgres_server.port))
    assert type(error) is kind
    assert re.search(told, f"{error.message} {error.hint}"), error.message


def test_an_identity_that_this_machine_cannot_get_is_waited_for_with_the_reason(
    mongo_server: MongoReplicaSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("a.b.c", encoding="utf-8")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    oidc = "authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:k8s"
    uri = f"mongodb://127.0.0.1:{mongo_server.port}/?{oidc}"
    refused = failure_of_source(uri)
    client = connect_source(uri)
    token.unlink()
    try:
        with pytest.raises(SourceUnavailable) as absent:
            server_info(client, client.shop)
    finally:
        disconnect(client)
    assert isinstance(refused, ConfigurationError)
    assert "does not offer the authMechanism" in refused.message
    assert "cannot get it (FileNotFoundError)" in absent.value.message
    assert "ENVIRONMENT" in absent.value.hint


def test_credentials_of_aws_that_nobody_has_are_waited_for_with_the_reason(
    mongo_server: MongoReplicaSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    error = failure_of_source(f"mongodb://127.0.0.1:{mongo_server.port}/?authMechanism=MONGODB-AWS")
    assert isinstance(error, SourceUnavailable)
    assert "nothing to show to MongoDB as our identity" in error.message
    assert "AWS_..." in error.hint


def test_a_standalone_mongodb_is_not_the_set_that_the_address_asks_for() -> None:
    with StandaloneMongo.start() as standalone:
        error = failure_of_source(f"mongodb://127.0.0.1:{standalone.port}/?replicaSet=rs0")
    assert isinstance(error, ConfigurationError)
    assert "a standalone server belong to none" in error.hint


def failure_of_source(uri: str) -> ReplicatorError:
    with pytest.raises(ReplicatorError) as caught:
        ask_source(uri)
    return caught.value


def ask_source(uri: str) -> None:
    client = connect_source(uri, server_selection_ms=400)
    try:
        server_info(client, client.shop)
    finally:
        disconnect(client)


@pytest.mark.parametrize(
    ("dsn", "kind", "told"),
    [
        ("postgresql://u:p@127.0.0.1:1/d", SinkUnavailable, "127.0.0.1:1 refuses the connection"),
        (
            "postgresql://u:p@no-such-host.invalid/d",
            SinkUnavailable,
            "no-such-host.invalid has a name that does not resolve",
        ),
        ("postgresql:///d?host=/nowhere", SinkUnavailable, "does not listen on a socket"),
        ("service=nowhere", ConfigurationError, "service .* not defined"),
        ("{sink}?target_session_attrs=standby", SinkUnavailable, "not what target_session_attrs asks for"),
        ("{sink}?sslmode=verify-full&sslrootcert=/nowhere", ConfigurationError, "does not speak TLS"),
        ("postgresql://nobody:p@127.0.0.1:{port}/d", ConfigurationError, "refuses the user name or password"),
        ("postgresql://{role}:wrong@127.0.0.1:{port}/d", ConfigurationError, "refuses the user name or password"),
        ("postgresql://{role}@127.0.0.1:{port}/d", ConfigurationError, "none is set"),
        (f"postgresql://{{role}}:{SECRET}@127.0.0.1:{{port}}/d", ConfigurationError, "may not log in.*login"),
    ],
)
def test_a_postgresql_that_refuses_is_named_with_the_reason(
    sink: Sink, postgres_server: PostgresServer, role: str, dsn: str, kind: type[ReplicatorError], told: str
) -> None:
    error = failure_of_sink(dsn.format(sink=sink.dsn, port=postgres_server.port, role=role))
    assert type(error) is kind
    assert re.search(told, f"{error.message} {error.hint}"), error.message
    assert SECRET not in error.message + error.hint


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ("alter database {} allow_connections false", ConfigurationError, "lets nobody connect"),
        ("alter role {} connection limit 0", SinkUnavailable, "has no connection left"),
        ("revoke connect on database {} from public", ConfigurationError, "may not connect to this database"),
    ],
)
def test_a_refusal_of_the_server_is_told(
    sink: Sink, postgres_server: PostgresServer, role: str, change: str, kind: type[ReplicatorError], told: str
) -> None:
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("alter role {} login").format(sql.Identifier(role)))
        name = role if "alter role" in change else sink.name
        connection.execute(sql.SQL(change).format(sql.Identifier(name)))
    error = failure_of_sink(postgres_server.dsn(sink.name, user=role, password=SECRET))
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("alter database {} allow_connections true").format(sql.Identifier(sink.name)))
    assert type(error) is kind
    assert told in error.message


def test_a_database_that_cannot_hold_every_text_is_refused(postgres_server: PostgresServer, sink: Sink) -> None:
    name = f"{sink.name}_latin"
    create = "create database {} encoding 'LATIN1' locale_provider libc locale 'C' template template0"
    with psycopg.connect(postgres_server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL(create).format(sql.Identifier(name)))
        error = failure_of_sink(postgres_server.dsn(name))
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    assert isinstance(error, ConfigurationError)
    assert "encoding is LATIN1" in error.message


def test_a_postgresql_that_is_too_old_is_refused(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_connection, "MINIMUM_VERSION", 990_000)
    error = failure_of_sink(sink.dsn)
    assert isinstance(error, ConfigurationError)
    assert f"PostgreSQL {POSTGRES_VERSION} is too old" in error.message


def failure_of_sink(dsn: str) -> ReplicatorError:
    with pytest.raises(ReplicatorError) as caught:
        connect_sink(dsn, application_name="test").close()
    return caught.value


@pytest.mark.parametrize(
    ("before", "repair", "told"),
    [
        (
            "insert into replicator.schema_migration (version, name, checksum) values (9999, 'later', 'x')",
            "delete from replicator.schema_migration where version = 9999",
            "newer version \\(9999\\).*Run the newer release",
        ),
        (
            "alter table replicator.schema_migration rename to somebody_elses",
            "alter table replicator.somebody_elses rename to schema_migration",
            "holds something that this program has not made.*right database",
        ),
    ],
    ids=["newer control tables", "somebody else's tables"],
)
def test_control_tables_that_do_not_fit_end_every_command(
    operator: Operator, sink: Sink, before: str, repair: str, told: str
) -> None:
    with sink.connect() as connection:
        migrate(connection)
        connection.execute(sql.SQL(before))
        done = operator.run_to_its_end()
        assert done.returncode == ConfigurationError.exit_code
        (error,) = errors_of(done.stdout + done.stderr)
        assert re.search(told, f"{error['message']} {error['hint']}")
        for command in (["check"], ["pause"], ["reconcile"], ["dead-letters", "list"]):
            assert operator.replicator(*command).exit_code == ConfigurationError.exit_code, command
        connection.execute(sql.SQL(repair))
    with operator.running() as service:
        service.wait_for_state("streaming")


DISK_IS_FULL = """
create function public.refuse() returns event_trigger language plpgsql as
$$ begin raise exception using errcode = 'disk_full'; end $$;
create event trigger disk_is_full on ddl_command_start execute function public.refuse();
"""


@pytest.mark.parametrize(
    ("break_it", "mend_it", "told"),
    [
        (
            "alter database {name} set default_transaction_read_only = on",
            "alter database {name} set default_transaction_read_only = off",
            "read-only.*target_session_attrs=read-write",
        ),
        (
            DISK_IS_FULL,
            "drop event trigger disk_is_full",
            "disk is full.*Free space",
        ),
    ],
    ids=["read-only", "disk full"],
)
def test_what_passes_is_waited_for_and_the_start_goes_on(
    operator: Operator, source: Source, sink: Sink, break_it: str, mend_it: str, told: str
) -> None:
    source.db.things.insert_one({"_id": 1})
    name = sql.Identifier(sink.name)
    with sink.connect() as connection:
        connection.execute(sql.SQL(break_it).format(name=name))
        with operator.running() as service:
            line = service.line("waiting for a server")
            assert re.search(told, f"{line['cause']} {line['hint']}"), line
            connection.execute(sql.SQL(mend_it).format(name=name))
            service.wait_for_state("streaming")
            assert service.end(signal.SIGTERM) == 0
        table = sql.SQL("select count(*) from {}").format(sql.Identifier(source.name, "things"))
        row = connection.execute(table).fetchone()
    assert row == (1,)


class CutConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is lost before its n-th statement."""

    left = 0

    def execute(self, *arguments: Any, **options: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        self.left -= 1
        if self.left < 0:
            self.pgconn.finish()
        return super().execute(*arguments, **options)


def test_a_first_start_that_is_cut_short_anywhere_leaves_nothing(sink: Sink) -> None:
    for statements in count():
        with CutConnection.connect(sink.dsn, autocommit=True) as connection:
            connection.left = statements
            try:
                with translated():
                    applied = migrate(connection)
            except Retryable:
                with sink.connect() as witness:
                    there = witness.execute("select 1 from pg_namespace where nspname = 'replicator'").fetchone()
                assert there is None, f"something was left after {statements} statements"
            else:
                break
    assert statements > 5
    assert applied == [each.version for each in read_migrations()]


def test_a_server_that_takes_a_connection_and_never_says_a_word_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = "{}:{}".format(*silent.getsockname())
        client = connect_source(f"mongodb://{place}/", server_selection_ms=200)
        try:
            with pytest.raises(SourceUnavailable, match=f"cannot be reached: {place} does not answer"):
                server_info(client, client.shop)
        finally:
            disconnect(client)
