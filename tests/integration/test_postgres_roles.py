"""`sql/roles/`: from an empty server to roles and schemas, again and again, with the real psql."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from tests.support.deployment import SECRETS, Destination, postgres_destination

if TYPE_CHECKING:
    from collections.abc import Iterator

REPLICATOR = ("replicator", SECRETS["POSTGRES_REPLICATOR_PASSWORD"])
AIRFLOW = ("airflow", SECRETS["POSTGRES_CONN_PASSWORD"])
ANALYST = ("analyst", SECRETS["POSTGRES_ANALYST_PASSWORD"])

_EVERYTHING = """
select 'role', rolname::text, rolsuper::text || rolcreatedb || rolcreaterole || rolcanlogin || rolreplication
from pg_roles where rolname !~ '^pg_'
union all
select 'schema', nspname::text, pg_get_userbyid(nspowner) || coalesce(nspacl::text, '')
from pg_namespace where nspname !~ '^pg_'
union all
select 'relation', oid::regclass::text, pg_get_userbyid(relowner) || coalesce(relacl::text, '')
from pg_class where relnamespace::regnamespace::text in ('replicator', 'origin', 'mart')
union all
select 'default', defaclrole::regrole || '/' || defaclnamespace::regnamespace, defaclacl::text from pg_default_acl
union all
select 'database', datname::text, coalesce(datacl::text, '') from pg_database
union all
select 'setting', setdatabase || '/' || setrole, setconfig::text from pg_db_role_setting
order by 1, 2
"""


@pytest.fixture(scope="module")
def destination() -> Iterator[Destination]:
    """A server that was made ready once; tests clean up after themselves."""
    with postgres_destination() as server:
        done = server.apply_roles()
        assert (done.returncode, done.stdout, done.stderr) == (0, "postgres-init: ready\n", "")
        yield server


def everything(destination: Destination) -> list[tuple[Any, ...]]:
    with destination.as_administrator() as connection:
        return connection.execute(_EVERYTHING).fetchall()


def signs_in(destination: Destination, user: str, password: str) -> bool:
    try:
        psycopg.connect(destination.dsn(user, password)).close()
    except psycopg.OperationalError:
        return False
    return True


def owner_of(destination: Destination, relation: str) -> str:
    with destination.as_administrator() as connection:
        row = connection.execute(
            "select pg_get_userbyid(relowner)::text from pg_class where oid = to_regclass(%s)", (relation,)
        ).fetchone()
    assert row is not None
    return str(row[0])


def test_a_second_run_changes_nothing(destination: Destination) -> None:
    before = everything(destination)
    done = destination.apply_roles()
    assert (done.returncode, done.stderr) == (0, "")
    assert everything(destination) == before


def test_a_changed_password_is_mended(destination: Destination) -> None:
    assert destination.apply_roles(POSTGRES_ANALYST_PASSWORD="another").returncode == 0
    assert signs_in(destination, "analyst", "another")
    assert not signs_in(destination, *ANALYST)
    assert destination.apply_roles().returncode == 0
    assert signs_in(destination, *ANALYST)


def test_a_role_that_was_given_too_much_loses_it(destination: Destination) -> None:
    with destination.as_administrator() as connection:
        connection.execute("alter role analyst superuser createdb")
    assert destination.apply_roles().returncode == 0
    with destination.as_administrator() as connection:
        row = connection.execute("select rolsuper, rolcreatedb from pg_roles where rolname = 'analyst'").fetchone()
    assert row == (False, False)


def test_what_another_role_owns_is_handed_over(destination: Destination) -> None:
    with destination.as_administrator() as connection:
        connection.execute("create table origin.older (_id text primary key)")
        connection.execute("create table mart.older (id text) partition by list (id)")
        connection.execute("create table mart.older_rest partition of mart.older default")
        connection.execute("create view mart.older_view as select id from mart.older")
    try:
        assert destination.apply_roles().returncode == 0
        assert owner_of(destination, "origin.older") == "replicator"
        assert {owner_of(destination, f"mart.older{part}") for part in ("", "_rest", "_view")} == {"airflow"}
    finally:
        with destination.as_administrator() as connection:
            connection.execute("drop table origin.older; drop view mart.older_view; drop table mart.older")


def test_tables_that_come_later_can_be_read_by_whom_they_are_for(destination: Destination) -> None:
    with destination.connected(*REPLICATOR) as connection:
        connection.execute("create table origin.later (_id text primary key); insert into origin.later values ('a')")
        connection.execute("create table replicator.later (id int)")
    with destination.connected(*AIRFLOW) as connection:
        connection.execute(
            "create table mart.later_rows (id int); create view mart.later_mart as table mart.later_rows"
        )
    try:
        with destination.connected(*ANALYST) as connection:
            assert connection.execute("select _id from later").fetchall() == [("a",)]
            assert connection.execute("select id from later_mart").fetchall() == []
        with destination.connected(*REPLICATOR) as connection:
            assert connection.execute("select id from mart.later_mart").fetchall() == []
        with destination.connected(*AIRFLOW) as connection:
            connection.execute("lock table origin.later in share row exclusive mode; delete from origin.later")
            connection.execute("insert into replicator.later values (1)")
    finally:
        with destination.as_administrator() as connection:
            connection.execute("drop table origin.later, replicator.later; drop view mart.later_mart")
            connection.execute("drop table mart.later_rows")


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        (ANALYST, "create table mart.mine (id int)"),
        (ANALYST, "create table public.mine (id int)"),
        (ANALYST, "set default_transaction_read_only = off; create temporary table mine (id int)"),
        (ANALYST, "set default_transaction_read_only = off; insert into origin.there values ('b')"),
        (ANALYST, "set default_transaction_read_only = off; delete from mart.there"),
        (ANALYST, "select * from replicator.there"),
        (ANALYST, "set role replicator"),
        (AIRFLOW, "drop table origin.there"),
        (AIRFLOW, "alter table origin.there add column mine int"),
        (AIRFLOW, "create table origin.mine (id int)"),
        (AIRFLOW, "drop schema replicator cascade"),
        (AIRFLOW, "create database mine"),
        (AIRFLOW, "select * from pg_authid"),
        (REPLICATOR, "drop database postgres"),
        (REPLICATOR, "create database mine"),
        (REPLICATOR, "create schema mine"),
        (REPLICATOR, "insert into mart.there values ('b')"),
        (REPLICATOR, "drop table mart.there"),
        (REPLICATOR, "alter role airflow superuser"),
    ],
)
@pytest.mark.usefixtures("there")
def test_what_is_nobodys_business_is_refused(destination: Destination, user: tuple[str, str], statement: str) -> None:
    *before, last = statement.split("; ")
    with destination.connected(*user) as connection:
        for each in before:
            connection.execute(each.encode())
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
            connection.execute(last.encode())


@pytest.fixture
def there(destination: Destination) -> Iterator[None]:
    """A table in each schema."""
    owners = {"origin": REPLICATOR, "replicator": REPLICATOR, "mart": AIRFLOW}
    for schema, owner in owners.items():
        with destination.connected(*owner) as connection:
            connection.execute(sql.SQL("create table {}.there (_id text)").format(sql.Identifier(schema)))
    yield
    with destination.as_administrator() as connection:
        connection.execute("drop table origin.there, replicator.there, mart.there")


def test_others_cannot_even_enter(destination: Destination) -> None:
    with destination.as_administrator() as connection:
        connection.execute("create role stranger login password 'stranger'")
    try:
        assert not signs_in(destination, "stranger", "stranger")
    finally:
        with destination.as_administrator() as connection:
            connection.execute("drop role stranger")


def test_a_path_that_an_administrator_has_chosen_stays(destination: Destination) -> None:
    with destination.as_administrator() as connection:
        connection.execute("alter database destination set search_path = mart")
    try:
        assert destination.apply_roles().returncode == 0
        with destination.connected(*ANALYST) as connection:
            assert connection.execute("show search_path").fetchone() == ("mart",)
    finally:
        with destination.as_administrator() as connection:
            connection.execute("alter database destination reset search_path")
        assert destination.apply_roles().returncode == 0


def test_a_wrong_administrator_is_one_line_with_a_fix(destination: Destination) -> None:
    done = destination.apply_roles(PGPASSWORD="forgotten")
    assert done.returncode == 1
    assert done.stderr.startswith("error: PostgreSQL refuses POSTGRES_PASSWORD: its volume was made with another one")
    assert done.stderr.count("\n") == 1


def test_a_server_that_is_away_is_named(destination: Destination) -> None:
    done = destination.apply_roles(PGPORT="1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: PostgreSQL cannot be asked: ")
    assert "port 1" in done.stderr


def test_every_wrong_variable_is_named_before_anything_is_done(destination: Destination) -> None:
    done = destination.apply_roles(
        POSTGRES_REPLICATOR_PASSWORD="", POSTGRES_CONN_PASSWORD="it's", POSTGRES_CONN_LOGIN="postgres"
    )
    assert done.returncode == 1
    for told in (
        "POSTGRES_REPLICATOR_PASSWORD is missing",
        "POSTGRES_CONN_PASSWORD may only have letters",
        "POSTGRES_CONN_LOGIN is the name of another role",
    ):
        assert told in done.stderr
    assert "it's" not in done.stderr


def test_no_password_reaches_the_servers_log(destination: Destination) -> None:
    with destination.as_administrator() as connection:
        connection.execute("alter system set log_statement = 'all'")
        connection.execute("select pg_reload_conf()")
    try:
        assert destination.apply_roles().returncode == 0
    finally:
        with destination.as_administrator() as connection:
            connection.execute("alter system reset log_statement")
            connection.execute("select pg_reload_conf()")
    log = destination.server.log.read_text(encoding="utf-8")
    assert "alter system reset" in log
    assert not [secret for name, secret in SECRETS.items() if name.endswith("PASSWORD") and secret in log]
