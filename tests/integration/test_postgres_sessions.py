"""Whatever a role, a database or somebody's objects set: our sessions read, write and compare the same values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from bson import Binary, Decimal128, Int64
from bson.datetime_ms import DatetimeMS
from psycopg import sql

from replicator_service.core.mapping.model import (
    ChildTable,
    ColumnType,
    DocumentCollection,
    MappedColumn,
    Mapping,
    TypedCollection,
)
from replicator_service.sink.connect.connection import connect
from replicator_service.sink.connect.pool import checked_out, make_pool
from replicator_service.sink.connect.session import LEFT, SETTINGS
from tests.support.databases import Sink, fresh_sink
from tests.support.hostile import hostile_role, hostile_value, user_settings
from tests.support.limits import LIVELY
from tests.support.oracle import differences
from tests.support.reconciliation import reconciled
from tests.support.replication import documents_at, replicating

if TYPE_CHECKING:
    from devstack.postgres import PostgresServer
    from tests.support.databases import Source

ALL_TYPES = TypedCollection(
    "Odd",
    "odd",
    tuple(MappedColumn(f"c{number}", (f"c{number}",), type_) for number, type_ in enumerate(ColumnType)),
    (ChildTable("odd_parts", ("parts",), (MappedColumn("at", ("at",), ColumnType.TIMESTAMPTZ),)),),
)
VALUES: dict[ColumnType, list[Any]] = {
    ColumnType.TEXT: ["NULL", "\\", "a'b\"c", "01/02/2003", "é漢😀", "\x07\t\r\n\\.", "{x,NULL}"],
    ColumnType.INTEGER: [2**31 - 1, -1],
    ColumnType.BIGINT: [Int64(2**62), Int64(-1)],
    ColumnType.DOUBLE_PRECISION: [0.1 + 0.2, 5e-324, 1.7976931348623157e308, float("nan"), -0.0],
    ColumnType.NUMERIC: [Decimal128("1.10"), Decimal128("NaN"), Decimal128("-1E-400"), Decimal128("Infinity")],
    ColumnType.BOOLEAN: [True, False],
    ColumnType.TIMESTAMPTZ: [DatetimeMS(0), DatetimeMS(-(2**45)), DatetimeMS(1_699_999_999_999), DatetimeMS(2**47)],
    ColumnType.UUID: [Binary(bytes(range(16)), 4)],
    ColumnType.BYTEA: [Binary(b"\0\\x'\xff"), Binary(b"")],
    ColumnType.JSONB: [{"a": [1, None, "NULL", {"b": 0.1}], "é": "\\u0001"}, [], "text"],
}


def document(number: int) -> dict[str, Any]:
    """A document that has an odd value of every type, alone and in arrays with nulls."""
    found: dict[str, Any] = {"_id": f"{number} ,\\\"'NULL{{}}", "parts": [{"at": DatetimeMS(number * 10**9)}, {}]}
    for place, type_ in enumerate(ColumnType):
        values = VALUES[type_.element or type_]
        turned = values[number % len(values) :] + values[: number % len(values)]
        found[f"c{place}"] = turned[0] if type_.element is None else [*turned, None]
    return found


def fill(source: Source, since: int) -> None:
    source.db.Odd.insert_many([document(number) for number in range(since, since + 20)])
    source.db.plain.insert_many([document(number) for number in range(since, since + 20)])


def change(source: Source) -> None:
    for name in ("Odd", "plain"):
        source.db[name].update_many(
            {}, {"$set": {"c0": "changed \\ NULL", "more": [None, "null"]}, "$unset": {"c1": 1}}
        )
        source.db[name].delete_one({"_id": document(3)["_id"]})


def assert_exact(source: Source, sink: Sink) -> None:
    """The tables are what they should be, as a session with the usual settings sees it."""
    with sink.connect(autocommit=False) as connection:
        for mapping in (ALL_TYPES, DocumentCollection("plain", "plain")):
            documents = documents_at(source, mapping.collection).values()
            assert len(documents) > 30
            assert differences(connection, source.name, mapping, documents) == []


@pytest.mark.parametrize("version", [15, 18])
def test_a_role_with_every_setting_against_us_replicates_and_proves_exactly(
    source: Source, request: pytest.FixtureRequest, version: int
) -> None:
    server = server_of(request, version)
    with fresh_sink(server) as sink, hostile_role(sink) as dsn:
        fill(source, 0)
        with replicating(source, sink, Mapping((ALL_TYPES,)), limits=LIVELY, postgres_dsn=dsn) as replication:
            replication.catch_up()
            fill(source, 100)
            change(source)
            replication.catch_up()
            assert_exact(source, sink)
            assert reconciled(replication, deep=True).kinds == {}
            with sink.connect() as connection:
                table = sql.Identifier(source.name, "odd")
                place = list(ColumnType).index(ColumnType.TEXT_ARRAY)
                column = sql.Identifier(f"c{place}")
                changed = connection.execute(
                    sql.SQL("update {} set {} = array_replace({}, null, 'NULL')").format(table, column, column)
                )
            found = reconciled(replication, deep=True)
            assert len(found.kinds) == changed.rowcount, "the proof must not share what the role has set"


def test_one_setting_at_a_time_does_not_reach_a_session(sink: Sink) -> None:
    """Each of our connections, whatever it is for, has each of our values."""
    with hostile_role(sink) as dsn:
        with psycopg.connect(dsn) as plain:
            version = plain.info.server_version
            before = {each.name: plain.execute(_SETTING, (each.name,)).fetchone() for each in SETTINGS}
        with connect(dsn, application_name="test") as ours:
            after = {each.name: ours.execute(_SETTING, (each.name,)).fetchone() for each in SETTINGS}
        pool = make_pool(dsn, application_name="test")
        pool.open()
        try:
            with checked_out(pool) as looking:
                looked = {each.name: looking.execute(_SETTING, (each.name,)).fetchone() for each in SETTINGS}
        finally:
            pool.close()
    assert sum(before[name] != after[name] for name in before) > 35
    for each in SETTINGS:
        if each.since <= version <= each.until:
            assert after[each.name] in ((each.value,), (each.value.upper(),)), each.name
    differ = {name for name in after if after[name] != looked[name]}
    assert differ == {"statement_timeout", "lock_timeout"}


_SETTING = "select setting from pg_catalog.pg_settings where pg_catalog.lower(name) = %s"


def server_of(request: pytest.FixtureRequest, version: int) -> PostgresServer:
    found: PostgresServer = request.getfixturevalue(f"postgres{version}_server" if version < 18 else "postgres_server")
    return found


@pytest.mark.parametrize("version", [15, 16, 18])
def test_every_setting_that_a_user_may_change_is_decided(request: pytest.FixtureRequest, version: int) -> None:
    server = server_of(request, version)
    with psycopg.connect(server.dsn()) as connection:
        there = {name.lower() for name in user_settings(connection)}
        number = connection.info.server_version
    ours = {each.name for each in SETTINGS if each.since <= number <= each.until}
    assert there - ours - LEFT.keys() - {"search_path"} == set(), "decide whether a session depends on it"
    assert ours - there == set(), "this version has no such setting"
    assert ours & LEFT.keys() == set()


def test_nearly_every_setting_has_a_hostile_value(sink: Sink) -> None:
    with sink.connect() as connection:
        facts = user_settings(connection)
    without = {name for name, each in facts.items() if hostile_value(name, *each) is None}
    assert without <= {
        *("local_preload_libraries", "default_tablespace", "default_table_access_method", "default_toast_compression"),
        *("lc_monetary", "lc_numeric", "lc_time", "application_name", "default_transaction_read_only"),
        *("transaction_deferrable", "transaction_isolation", "transaction_read_only"),
    }
