"""What others have set, taken away or hung on our tables: named with the very statement that puts it right."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest
from psycopg import sql

from replicator_service.app.preflight import preflight
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.findings import Finding, Level
from replicator_service.core.mapping.ddl import render_ddl
from replicator_service.core.mapping.model import (
    ChildTable,
    ColumnType,
    DocumentCollection,
    MappedColumn,
    Mapping,
    TypedCollection,
    tables_of,
)
from replicator_service.sink.check.table_requirements import interference
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.control.migrations import migrate
from replicator_service.sink.write.tables import damaged, ensure_schema, ensure_tables, plan_tables
from tests.support.replication import Replication, assert_same_documents, replicating
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink, Source

ROLE = "modest"
THINGS = DocumentCollection("things", "things")


@contextmanager
def modest_role(sink: Sink) -> Iterator[str]:
    """A role that may create in the database and owns what it creates; returns its address."""
    role = sql.Identifier(ROLE)
    with sink.connect() as connection:
        connection.execute(sql.SQL("create role {} login password 'x'").format(role))
        connection.execute(sql.SQL("grant create on database {} to {}").format(sql.Identifier(sink.name), role))
    try:
        yield psycopg.conninfo.make_conninfo(sink.dsn, user=ROLE, password="x")
    finally:
        with sink.connect() as connection:
            connection.execute(sql.SQL("drop owned by {} cascade").format(role))
            connection.execute(sql.SQL("drop role {}").format(role))


def run(sink: Sink, statement: LiteralString, **names: sql.Composable) -> None:
    with sink.connect() as connection:
        connection.execute(sql.SQL(statement).format(**names))


def table_of(source: Source) -> sql.Identifier:
    return sql.Identifier(source.name, "things")


def findings(replication: Replication) -> dict[str, Finding]:
    return {found.name: found for found in preflight(replication.settings, now=time.time())}


def ended(replication: Replication) -> ConfigurationError:
    error = replication.join()
    assert isinstance(error, ConfigurationError), repr(error)
    return error


TAKEN_AWAY: dict[str, tuple[LiteralString, str, str]] = {
    "temporary tables": (
        "revoke temporary on database {database} from public",
        "privilege temporary",
        'grant temporary on database "{sink}" to "modest"',
    ),
    "a privilege on a table": (
        "revoke insert, delete on {table} from modest",
        "privileges on tables",
        'grant insert, delete on "{source}"."things" to "modest"',
    ),
    "the use of a schema": (
        "revoke usage on schema {schema} from modest",
        "privilege usage",
        'grant usage on schema "{source}" to "modest"',
    ),
    "row security": (
        "alter table {table} enable row level security, force row level security",
        "row security",
        'alter table "{source}"."things" no force row level security',
    ),
    "a rule": (
        "create rule keeps as on delete to {table} do instead nothing",
        "rules on tables",
        "drop rule keeps on {source}.things",
    ),
}


@pytest.mark.parametrize(("change", "name", "fix"), TAKEN_AWAY.values(), ids=TAKEN_AWAY.keys())
def test_what_is_taken_away_is_told_at_the_start_and_by_check_with_the_statement_that_helps(
    source: Source, sink: Sink, change: LiteralString, name: str, fix: str
) -> None:
    fix = fix.format(sink=sink.name, source=source.name)
    with modest_role(sink) as dsn:
        source.db.things.insert_one({"_id": 1})
        replication = Replication(source, sink, postgres_dsn=dsn)
        replication.start()
        replication.catch_up()
        replication.stop()
        names = {"schema": sql.Identifier(source.name), "database": sql.Identifier(sink.name)}
        run(sink, change, table=table_of(source), **names)
        source.db.things.insert_one({"_id": 2})
        found = findings(replication)[name]
        assert (found.level, found.fix) == (Level.FAIL, fix), found
        replication.start()
        error = ended(replication)
        assert error.hint == fix
        assert error.exit_code == 2
        with sink.connect() as connection:
            connection.execute(fix.encode())
        replication.start()
        source.db.things.delete_one({"_id": 1})
        replication.catch_up()
        replication.stop()
        assert assert_same_documents(source, sink, "things") == 1


@pytest.mark.parametrize("name", ["a privilege on a table", "row security", "the use of a schema"])
def test_what_is_taken_away_while_running_ends_the_service_with_the_statement_that_helps(
    source: Source, sink: Sink, name: str
) -> None:
    change, _, fix = TAKEN_AWAY[name]
    with modest_role(sink) as dsn:
        source.db.things.insert_one({"_id": 1})
        replication = Replication(source, sink, postgres_dsn=dsn)
        replication.start()
        try:
            replication.catch_up()
            run(sink, change, table=table_of(source), schema=sql.Identifier(source.name))
            source.db.things.insert_one({"_id": 2})
            source.db.things.update_one({"_id": 1}, {"$set": {"a": 1}})
            error = ended(replication)
        finally:
            replication.stop()
    assert error.hint == fix.format(sink=sink.name, source=source.name)


def test_a_new_collection_in_a_schema_that_is_closed_is_told_the_grant(source: Source, sink: Sink) -> None:
    with modest_role(sink) as dsn:
        source.db.things.insert_one({"_id": 1})
        replication = Replication(source, sink, postgres_dsn=dsn)
        replication.start()
        try:
            replication.catch_up()
            run(sink, "revoke create on schema {schema} from modest", schema=sql.Identifier(source.name))
            source.db.others.insert_one({"_id": 2})
            error = ended(replication)
        finally:
            replication.stop()
    assert error.hint == f'grant create on schema "{source.name}" to "modest"'


HUNG: dict[str, tuple[LiteralString, str]] = {
    "a cascading reference": (
        "create table notes (thing text references {table} on delete cascade)",
        "public.notes references it (notes_thing_fkey), and loses its rows with ours",
    ),
    "a plain reference": (
        "create table notes (thing text references {table})",
        "public.notes references it (notes_thing_fkey), and keeps our rows from being deleted",
    ),
    "an inheriting table": ("create table more () inherits ({table})", "public.more inherits from it"),
    "a rule": ("create rule r as on insert to {table} do also notify n", "rule r puts something else"),
    "a trigger": (
        """
        create function f() returns trigger language plpgsql as $$ begin return new; end $$;
        create trigger t before insert on {table} execute function f()
        """,
        "trigger t",
    ),
    "a unique index": ("create unique index u on {table} ((doc ->> 'a'))", "unique index u"),
    "a constraint": ("alter table {table} add constraint c check (doc is not null)", "constraint c"),
    "a column that must be filled": ("alter table {table} add column own text not null", "column own not null"),
}


@pytest.mark.parametrize(("change", "told"), HUNG.values(), ids=HUNG.keys())
def test_what_others_hang_on_a_table_is_named_and_its_statement_takes_it_away(
    source: Source, sink: Sink, change: LiteralString, told: str
) -> None:
    tables = tables_of(THINGS)
    with connect(sink.dsn, application_name="test") as connection:
        ensure_schema(connection, source.name)
        ensure_tables(connection, source.name, tables)
        assert interference(connection, source.name, tables) == []
        run(sink, change, table=table_of(source))
        (problem,) = interference(connection, source.name, tables)
        assert problem.cause.startswith("things: ")
        assert told in problem.cause
        run_text(sink, problem.fix)
        assert interference(connection, source.name, tables) == []


def run_text(sink: Sink, statement: str) -> None:
    with sink.connect() as connection:
        connection.execute(statement.encode())


def test_an_event_trigger_that_freezes_ddl_does_not_hinder_a_restart_and_names_what_it_refuses(
    source: Source, sink: Sink
) -> None:
    source.db.things.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
    run(
        sink,
        "create function freeze() returns event_trigger language plpgsql as "
        "$$ begin raise exception 'DDL is frozen' using detail = 'until Monday'; end $$; "
        "create event trigger frozen on ddl_command_start when tag in ('CREATE TABLE', 'CREATE SCHEMA', 'ALTER TABLE', "
        "'CREATE INDEX') execute function freeze()",
    )
    source.db.things.insert_one({"_id": 2})
    with sink.connect() as connection:
        # Staging tables are ours alone, and made by sessions that the administrator lets pass.
        connection.execute("alter event trigger frozen disable")
        with connect(sink.dsn, application_name="test") as ours:
            connection.execute("alter event trigger frozen enable")
            assert migrate(ours) == []
            ensure_schema(ours, source.name)
            assert not ensure_tables(ours, source.name, tables_of(THINGS))
            with pytest.raises(ConfigurationError) as caught:
                ensure_tables(ours, source.name, tables_of(DocumentCollection("new", "new")))
    told = caught.value.message
    assert f"PostgreSQL refuses to create the table {source.name}.new: DDL is frozen (until Monday)" in told
    assert "drop schema" not in caught.value.hint
    assert findings(replication)["event triggers"].level is Level.WARN
    with replicating(source, sink) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 2
        source.db.another.insert_one({"_id": 1})
        wait_until(lambda: not replication.is_running, message="the end")
        error = ended(replication)
    assert f"create the table {source.name}.another: DDL is frozen" in error.message


TYPED = TypedCollection(
    "Typed",
    "typed",
    (MappedColumn("a", ("a",), ColumnType.NUMERIC), MappedColumn("t", ("t",), ColumnType.TIMESTAMPTZ_ARRAY)),
    (ChildTable("typed_parts", ("parts",), (MappedColumn("x", ("x",), ColumnType.TEXT),), (("x",),)),),
    (("a", "t"),),
)


def test_the_printed_ddl_makes_just_the_tables_that_the_service_wants(source: Source, sink: Sink) -> None:
    mapping = Mapping((TYPED,))
    run_text(sink, render_ddl(source.name, mapping))
    with connect(sink.dsn, application_name="test") as connection:
        assert all(plan.is_empty for plan in plan_tables(connection, source.name, tables_of(TYPED)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("alter table {} alter column a type numeric(10, 2)", "numeric(10,2)"),
        ("alter table {} alter column t type timestamptz(3)[]", "timestamp(3) with time zone[]"),
        ("create domain text_too as text; alter table {} alter column _id type text_too", "text_too"),
    ],
)
def test_a_type_that_only_looks_like_ours_is_another_one(
    source: Source, sink: Sink, change: LiteralString, told: str
) -> None:
    with connect(sink.dsn, application_name="test") as connection:
        ensure_schema(connection, source.name)
        ensure_tables(connection, source.name, tables_of(TYPED))
        with sink.connect() as other:
            other.execute(sql.SQL(change).format(sql.Identifier(source.name, "typed")))
        (conflict,) = plan_tables(connection, source.name, tables_of(TYPED))[0].conflicts
        assert told in conflict.message


def test_thousands_of_tables_are_looked_at_in_one_statement(source: Source, sink: Sink) -> None:
    collections = {f"c{number}": tables_of(DocumentCollection(f"c{number}", f"c{number}")) for number in range(1_000)}
    with connect(sink.dsn, application_name="test") as connection:
        ensure_schema(connection, source.name)
        everything = [table for tables in collections.values() for table in tables]
        assert len(ensure_tables(connection, source.name, everything).tables) == 1_000
        statements: list[object] = []
        execute = connection.execute
        connection.execute = lambda *given, **options: (statements.append(given), execute(*given, **options))[1]  # type: ignore[method-assign,func-returns-value]  # append returns nothing; the statement's cursor is what counts
        assert damaged(connection, source.name, collections) == {}
        assert len(statements) == 1
        execute(sql.SQL("drop table {}").format(sql.Identifier(source.name, "c17")))
        assert damaged(connection, source.name, collections) == {"c17": True}


def test_a_control_table_that_somebody_dropped_is_named_and_nothing_is_destroyed(source: Source, sink: Sink) -> None:
    source.db.things.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
    run(sink, "drop table replicator.pause")
    assert "replicator.pause" in findings(replication)["control tables"].cause
    replication.start()
    error = ended(replication)
    assert "replicator.pause" in error.message
    assert "drop" not in error.hint
    run(sink, "alter schema replicator rename to replicator_before")
    with replicating(source, sink) as replication:
        replication.catch_up()
        assert assert_same_documents(source, sink, "things") == 1


def test_a_trigger_finds_what_it_names_without_a_schema(source: Source, sink: Sink) -> None:
    """Functions of others run in our session: theirs is the role's search path, as for every other writer."""
    source.db.things.insert_one({"_id": 1})
    with replicating(source, sink) as replication:
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute("create table public.audit (key text)")
            connection.execute(
                "create function public.note() returns trigger language plpgsql as "
                "$$ begin insert into audit values (new._id); return new; end $$"
            )
            connection.execute(
                sql.SQL("create trigger note after insert on {} for each row execute function public.note()").format(
                    sql.Identifier(source.name, "things")
                )
            )
        source.db.things.insert_one({"_id": 2})
        assert replication.catch_up().dead_letters == 0
        with sink.connect() as connection:
            assert connection.execute("select key from public.audit").fetchall() == [("$number:2",)]
