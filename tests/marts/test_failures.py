"""Whatever fails publishes nothing, keeps the versions, and names the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.marts.shop import at, login_as
from tests.marts.things import current, set_things, things, versions, with_column
from warehouse_jobs.marts import ChecksFailedError, DefinitionError, MartError, ServerError, SettingsError, load

if TYPE_CHECKING:
    from warehouse_jobs.marts import Mart

    Connection = psycopg.Connection[tuple[object, ...]]

FIRST, SECOND, THIRD = at("2026-01-01"), at("2026-01-02"), at("2026-01-03")

CHECKS: list[tuple[object, str]] = [
    ({"not_null": ["label"]}, r"not_null\(label\): 1 row"),
    ({"non_negative": ["amount"]}, r"non_negative\(amount\): 1 row"),
    ({"accepted_values": {"column": "label", "values": ["x", "it's"]}}, r"accepted_values\(label\): 1 row"),
    ({"unique": ["label"]}, r"unique\(label\): 1 row"),
    ({"row_count_drop": {"max_share": 0.2}}, r"row_count_drop\(0.2\): 4 rows before, 3 now"),
    ({"expression": {"name": "few", "sql": "amount < 100 -- not many"}}, r"expression\(few\): 1 row"),
]


@pytest.mark.parametrize(("check", "message"), CHECKS, ids=[next(iter(check)) for check, _ in CHECKS])  # type: ignore[call-overload]  # ids are names of checks
def test_a_failed_check_publishes_nothing(connection: Connection, dsn: str, check: object, message: str) -> None:
    set_things(connection, dict.fromkeys("abcd", ("x", 1)))
    load(dsn, things(), FIRST)
    before = versions(connection)
    set_things(connection, {"a": (None, -1), "b": ("z", 100), "c": ("z", None)})
    if "accepted_values" in str(check):
        set_things(connection, {"a": (None, 1), "b": ("it's", 1), "c": ("z", None)})
    with pytest.raises(ChecksFailedError, match=message) as caught:
        load(dsn, things(checks=[check]), SECOND)
    assert [result.failing for result in caught.value.result.failed_checks] == [1]
    assert versions(connection) == before
    # Without the check the same rows are published, at the same time.
    assert load(dsn, things(), SECOND).closed == 1


def test_a_check_passes_where_it_knows_nothing(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": (None, None)})
    checks = [check for check, _ in CHECKS if "not_null" not in str(check)]
    assert load(dsn, things(checks=checks), FIRST).rows == 1


def test_a_small_mart_may_shrink_below_the_guard(connection: Connection, dsn: str) -> None:
    guarded = things(checks=[{"row_count_drop": {"max_share": 0.1, "min_rows": 3}}])
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    load(dsn, guarded, FIRST)
    set_things(connection, {})
    assert load(dsn, guarded, SECOND).closed == 2


def test_a_repeated_key_is_refused(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1), "b": ("x", 1)})
    with pytest.raises(ChecksFailedError, match=r"unique\(id\): 1 row"):
        load(dsn, things("select 'a' as id, label, amount from things"), FIRST)


def test_a_missing_key_is_refused(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    with pytest.raises(ChecksFailedError, match=r"not_null\(id\): 1 row"):
        load(dsn, things("select null::text as id, label, amount from things"), FIRST)


FAULTY_SELECTS = [
    ("select id, label,\n  quantity as amount\nfrom things", 'line 2 of things.sql: column "quantity" does not exist'),
    ("select id, label, amount frm things", "line 1 of things.sql: syntax error"),
    ("select %(as_of)s, id,\nnothing from things", 'line 2 of things.sql: column "nothing" does not exist'),
    ("select id, label, amount from elsewhere.things", 'relation "elsewhere.things" does not exist'),
    ("select id, label, amount from things where label like 'a%'", "placeholders"),
    ("select id, label, amount from things where label = %(user)s", "placeholders"),
    ("select id, label, 1 / (amount - amount) as amount from things", "DivisionByZero"),
    ("select id, label, label::integer as amount from things", "InvalidTextRepresentation"),
    ("select id, label from things", "amount is in the definition only"),
    ("select id, label, amount, 1 as more from things", "more is in the select only"),
    (
        "select id, label, amount::bigint as amount from things",
        "amount is bigint in the select and integer in the definition",
    ),
    ("select id, amount, label from things", "the order is id, amount, label in the select"),
    (
        "select id, label, amount from things) as mart; drop table things; select * from (values (1)",
        "the select failed",
    ),
    ("select 1 as id, label, amount from things; select 2", "the select failed"),
]


@pytest.mark.parametrize(("select", "message"), FAULTY_SELECTS)
def test_a_faulty_select_publishes_nothing(connection: Connection, dsn: str, select: str, message: str) -> None:
    set_things(connection, {"a": ("secret label", 1)})
    load(dsn, things(), FIRST)
    before = versions(connection)
    with pytest.raises(DefinitionError) as caught:
        load(dsn, things(select), SECOND)
    assert message in caught.value.message
    assert caught.value.hint
    assert "secret label" not in caught.value.message + caught.value.hint
    assert versions(connection) == before


def test_a_faulty_expression_publishes_nothing(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    checks = [{"expression": {"name": "sound", "sql": "quantity > 0"}}]
    with pytest.raises(DefinitionError, match='checks cannot be run: column "quantity" does not exist'):
        load(dsn, things(checks=checks), FIRST)


INCOMPATIBLE: list[tuple[Mart, str]] = [
    (
        things(
            "select id, label, amount::bigint as amount from things",
            columns=[*with_column("x", "text")[:2], with_column("amount", "bigint")[3]],
        ),
        "column amount is integer in the history and bigint in the definition",
    ),
    (things(key=["id", "label"]), r"the key is \(id\) in the history, \(id, label\) in the definition"),
]


@pytest.mark.parametrize(("mart", "message"), INCOMPATIBLE, ids=["type", "key"])
def test_a_definition_that_does_not_fit_the_history_is_refused(
    connection: Connection, dsn: str, mart: Mart, message: str
) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    with pytest.raises(DefinitionError, match=message):
        load(dsn, mart, SECOND)
    assert current(connection) == [("a", "x", 1)]


def test_a_relation_of_another_program_is_left_alone(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    connection.execute("create schema mart")
    connection.execute("create table mart.things (id text)")
    with pytest.raises(DefinitionError, match=r"mart.things exists without mart.things_history"):
        load(dsn, things(), FIRST)
    assert connection.execute("select * from mart.things").fetchall() == []


def test_a_view_that_others_depend_on_is_not_dropped(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    connection.execute("create view report as select label from mart.things")
    wider = things("select id, label, amount, extra from things", columns=with_column("extra", "text"))
    with pytest.raises(DefinitionError, match="other objects depend on the view"):
        load(dsn, wider, SECOND)
    assert connection.execute("select * from report").fetchall() == [("x",)]
    assert "extra" not in [c.name for c in connection.execute("select * from mart.things_history").description or ()]


def test_an_as_of_without_a_time_zone_is_refused(dsn: str) -> None:
    with pytest.raises(MartError, match="needs a time zone"):
        load(dsn, things(), FIRST.replace(tzinfo=None))


@pytest.mark.parametrize("timezone", ["UTC+3", "Europe/Muscovy", "", "+03:00"])
def test_an_unknown_time_zone_is_refused(connection: Connection, dsn: str, timezone: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    with pytest.raises(SettingsError, match=r"time zone|TimeZone"):
        load(dsn, things(), FIRST, timezone=timezone)


def test_a_connection_inside_a_transaction_is_refused(connection: Connection) -> None:
    with connection.transaction(), pytest.raises(MartError, match="inside a transaction"):
        load(connection, things(), FIRST)


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_connection_of_the_caller_is_used_and_left_idle(
    connection: Connection, dsn: str, *, autocommit: bool
) -> None:
    set_things(connection, {"a": ("x", 1)})
    with psycopg.connect(dsn, autocommit=autocommit) as own:
        load(own, things(), FIRST)
        assert own.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
        assert own.execute("show timezone").fetchone() == connection.execute("show timezone").fetchone()
    assert current(connection) == [("a", "x", 1)]


def test_a_role_without_privileges_hears_which_it_needs(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    role = f"analyst_of_{connection.info.dbname}"
    connection.execute(f"create role {role} login password '{role}'")
    try:
        connection.execute(f"grant create on database {connection.info.dbname} to {role}")
        stranger = login_as(dsn, role)
        with pytest.raises(DefinitionError, match="permission denied for table things") as caught:
            load(stranger, things(), FIRST)
        assert "select on the replicated tables" in caught.value.hint
    finally:
        connection.execute(f"drop owned by {role} cascade")
        connection.execute(f"drop role {role}")


def test_an_unreachable_server_is_named_without_the_password() -> None:
    with pytest.raises(ServerError, match=r"127.0.0.1:1 refuses the connection") as caught:
        load("postgresql://loader:topsecret@127.0.0.1:1/destination", things(), FIRST)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    "malformed",
    ["postgresql://loader:top@secret@127.0.0.1:5433/destination", "postgresql://loader:topsecret@[::1/x", "topsecret"],
)
def test_a_malformed_connection_string_is_not_shown(malformed: str) -> None:
    with pytest.raises(SettingsError, match="the connection string is wrong: it") as caught:
        load(malformed, things(), FIRST)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_connection_that_dies_during_the_load_publishes_nothing(connection: Connection, dsn: str) -> None:
    set_things(connection, {"a": ("x", 1)})
    load(dsn, things(), FIRST)
    set_things(connection, {"a": ("x", 2)})
    suicidal = things("select id, label, amount from things where pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(ServerError, match="connection to PostgreSQL failed"):
        load(dsn, suicidal, SECOND)
    assert current(connection) == [("a", "x", 1)]
    assert load(dsn, things(), THIRD).versioned == 1
