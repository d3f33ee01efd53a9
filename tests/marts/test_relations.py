"""The relations of a mart as analysts meet them: names, comments, grants, the search path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from tests.marts.shop import Shop, at, create_shop, login_as
from tests.marts.things import set_things, things, with_column
from tests.support.databases import fresh_sink
from warehouse_jobs.marts import install, load, mart_names, read_mart

if TYPE_CHECKING:
    from devstack.postgres import PostgresServer

    Connection = psycopg.Connection[tuple[object, ...]]

FIRST, SECOND = at("2026-01-01"), at("2026-01-02")


def comments(connection: Connection, relation: str) -> dict[object, object]:
    query = """
        select attname, col_description(attrelid, attnum) from pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
    """
    return {row[0]: row[1] for row in connection.execute(query, [relation]).fetchall()}


def test_there_are_two_marts() -> None:
    assert mart_names() == ("support_efficiency", "user_activity")


def test_every_column_of_the_marts_is_described_in_the_database(shop: Shop, dsn: str) -> None:
    for name in mart_names():
        mart = read_mart(name)
        load(dsn, mart, FIRST)
        described = {column.name: column.description for column in mart.columns}
        found = comments(shop.connection, f"mart.{name}")
        assert {column: found[column] for column in described} == described
        assert str(found["etl_valid_from"]).startswith("When this version of the row became valid")
        history = comments(shop.connection, f"mart.{name}_history")
        assert history.keys() == found.keys() | {"etl_valid_to"}
        assert None not in history.values()
        own = shop.connection.execute("select obj_description(to_regclass(%s))", [f"mart.{name}"]).fetchone()
        assert own == (mart.description,)


def test_the_schema_says_what_is_in_it(shop: Shop, dsn: str) -> None:
    load(dsn, read_mart("user_activity"), FIRST)
    (about,) = shop.connection.execute("select obj_description('mart'::regnamespace)").fetchone() or ("",)
    assert str(about).startswith("Marts for analysts")


def test_a_changed_description_is_written_and_an_equal_one_is_not(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    written = "select sum(xmin::text::bigint) from pg_description where objoid = to_regclass('mart.things')"
    before = connection.execute(written).fetchone()
    load(dsn, things(), SECOND)
    assert connection.execute(written).fetchone() == before
    load(dsn, things(description="Things, it's said."), at("2026-01-03"))
    assert connection.execute("select obj_description(to_regclass('mart.things'))").fetchone() == (
        "Things, it's said.",
    )


def test_grants_outlive_a_new_column(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    role = f"analysts_of_{connection.info.dbname}"
    connection.execute(f"create role {role}")
    try:
        connection.execute(f"grant select on mart.things to {role} with grant option")
        connection.execute("grant select on mart.things to public")
        query = "select relacl::text from pg_class where oid = to_regclass('mart.things')"
        before = connection.execute(query).fetchall()
        wider = things("select id, label, amount, extra from things", columns=with_column("extra", "text"))
        load(dsn, wider, SECOND)
        assert connection.execute(query).fetchall() == before
    finally:
        connection.execute(f"drop owned by {role}")
        connection.execute(f"drop role {role}")


def test_current_rows_are_read_without_touching_the_closed_ones(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    plan = str(connection.execute("explain select * from mart.things").fetchall())
    assert "things_history_current" in plan
    assert "things_history_closed" not in plan


def test_an_unchanged_load_does_not_lock_out_readers(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    with psycopg.connect(dsn) as reader:
        # Held to the end of the reader's transaction; any change of the relations would wait for it.
        reader.execute("select * from mart.things")
        reader.execute("select * from mart.things_history")
        with psycopg.connect(dsn, autocommit=True) as impatient:
            impatient.execute("set statement_timeout = '20s'")
            set_things(connection, {"a": ("x", 2)})
            assert load(impatient, things(), SECOND).versioned == 1


def test_install_puts_the_marts_on_the_search_path_once(shop: Shop, dsn: str) -> None:
    shop.ticket("t1", user_id="anna")
    assert install(dsn).changed
    assert not install(dsn).changed
    load(dsn, "user_activity", FIRST)
    with psycopg.connect(dsn) as analyst:
        assert analyst.execute("select user_id from user_activity").fetchall() == [("anna",)]
        # What others create without naming a schema still lands where it did.
        analyst.execute("create table notes (note text)")
        assert analyst.execute("select to_regclass('public.notes') is not null").fetchone() == (True,)


def test_install_keeps_the_search_path_that_is_there(connection: Connection, dsn: str) -> None:
    connection.execute(f'alter database {connection.info.dbname} set search_path = "Odd", public')
    assert install(dsn).search_path == '"Odd", public, mart'
    with psycopg.connect(dsn) as analyst:
        assert analyst.execute("show search_path").fetchone() == ('"Odd", public, mart',)


def test_install_without_the_privilege_says_what_the_owner_can_run(connection: Connection, dsn: str) -> None:
    database = connection.info.dbname
    role = f"loader_of_{database}"
    connection.execute(f"create role {role} login password '{role}'")
    try:
        connection.execute(f"grant create on database {database} to {role}")
        result = install(login_as(dsn, role))
        assert not result.changed
        assert f'alter database "{database}" set search_path = "$user", "public", "mart"' in result.warning
        assert connection.execute("select to_regnamespace('mart') is not null").fetchone() == (True,)
        # What the warning tells is what works.
        connection.execute(result.warning.partition("can run: ")[2])
        assert install(dsn).search_path == '"$user", public, mart'
    finally:
        connection.execute(f"drop owned by {role} cascade")
        connection.execute(f"drop role {role}")


def test_the_marts_load_on_the_oldest_supported_server(postgres15_server: PostgresServer) -> None:
    with fresh_sink(postgres15_server) as sink, psycopg.connect(sink.dsn, autocommit=True) as connection:
        create_shop(connection)
        shop = Shop(connection)
        shop.session("anna", "a1", "2025-12-31 10:00", pages=2)
        shop.ticket("t1", ("user", "2025-12-31 10:00"), ("support", "2025-12-31 10:30"), user_id="anna")
        for day in (FIRST, SECOND):
            for name in mart_names():
                load(sink.dsn, name, day)
        rows = connection.execute(
            "select user_id, days_active, avg_response_time_min::integer "
            "from mart.user_activity join mart.support_efficiency using (user_id)"
        )
        assert rows.fetchall() == [("anna", 1, 30)]
