"""What a write makes of the tables, whatever was there and however it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128
from psycopg import sql

from replicator_service.core.errors import RecordRejected
from replicator_service.core.mapping.model import ColumnType, DocumentCollection, MappedColumn, TypedCollection
from tests.support.row_tables import SCHEMA, WAYS, RowTables, delete, insert, read, typed, update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.core.mapping.model import CollectionMapping
    from tests.support.databases import Sink

    Open = Callable[..., RowTables]

ORDERS = typed("orders", "lines", "notes")
ORDER: dict[str, Any] = {
    "_id": 1,
    "name": "Ann",
    "number": 1.5,
    "price": Decimal128("1.50"),
    "details": {"a": 1},
    "tags": ["x", 'y\t\\n"{}', None, "NULL"],
    "lines": [{"value": 1}, {"value": 2}, {"value": None, "more": "\\N\r\n"}],
    "notes": [{"value": "a"}],
}


@pytest.fixture(params=WAYS)
def open_tables(request: pytest.FixtureRequest, sink: Sink) -> Iterator[Open]:
    """Open tables that are written to in each of the ways."""
    opened: list[RowTables] = []

    def open_(*mappings: CollectionMapping, dsn: str | None = None) -> RowTables:
        tables = RowTables(sink, mappings, WAYS[request.param], dsn)
        opened.append(tables)
        if dsn is None:
            tables.make()
        return tables

    yield open_
    for tables in opened:
        tables.connection.close()


def same_keys_as(tables: RowTables, documents: Sequence[dict[str, Any]]) -> None:
    assert tables.rows() == tables.expected({"orders": documents})


@pytest.mark.parametrize("make", [insert, update, read])
def test_child_rows_without_a_parent_and_too_many_of_them_do_not_survive(open_tables: Open, make: Any) -> None:
    tables = open_tables(ORDERS)
    tables.run(
        "insert into orders_lines (_id, _ordinal, etl_valid_from) "
        "select '$number:1', n, now() from generate_series(-1, 20) as n"
    )
    tables.run(
        "insert into orders_notes (_id, _ordinal, etl_valid_from) "
        "values ('$number:1', 5, now()), ('$number:2', 0, now()), ('other', 0, now())"
    )
    tables.write(make("orders", ORDER), delete("orders", 2))
    tables.run("delete from orders_notes where _id = 'other'")
    same_keys_as(tables, [ORDER])


def test_a_document_that_is_inserted_although_it_exists_is_updated_in_place(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.write(insert("orders", ORDER))
    tables.run("create table remarks (id text references orders (_id) on delete cascade)")
    tables.run("insert into remarks values ('$number:1')")
    changed = ORDER | {"name": "Bob", "lines": [{"value": 2}], "notes": []}
    tables.write(insert("orders", changed), insert("orders", {"_id": 2}))
    same_keys_as(tables, [changed, {"_id": 2}])
    assert tables.run("select count(*) from remarks") == [(1,)]


def test_documents_that_are_deleted_have_no_rows(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.write(insert("orders", ORDER), insert("orders", ORDER | {"_id": 2}))
    assert tables.write(delete("orders", 1), delete("orders", "unknown")) == 2
    same_keys_as(tables, [ORDER | {"_id": 2}])


def test_elements_that_stay_are_not_written_by_an_update(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.write(insert("orders", ORDER))
    before = tables.run("select _ordinal, xmin::text, etl_valid_from from orders_lines where _ordinal <> 1 order by 1")
    changed = ORDER | {"lines": [{"value": 1}, {"value": "new"}, ORDER["lines"][2]]}
    tables.write(update("orders", changed))
    after = tables.run("select _ordinal, xmin::text, etl_valid_from from orders_lines where _ordinal <> 1 order by 1")
    assert before == after
    same_keys_as(tables, [changed])


def test_a_refused_row_leaves_a_session_that_can_go_on(open_tables: Open, caplog: pytest.LogCaptureFixture) -> None:
    tables = open_tables(ORDERS)
    tables.run("alter table orders_lines add constraint small check (value is distinct from '9')")
    refused = ORDER | {"_id": 9, "lines": [{"value": 9}]}
    with pytest.raises(RecordRejected, match="small"):
        tables.write(insert("orders", ORDER), insert("orders", refused), update("orders", ORDER | {"_id": 3}))
    assert tables.rows() == tables.expected({})
    tables.write(update("orders", ORDER))
    same_keys_as(tables, [ORDER])
    assert caplog.records == []


ODD_NAMES = ["a%b", "%s", '"quoted"', "pg_class", "pg_attribute", "replicator_staging", "staging", "ü" * 28, "x" * 57]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_tables_and_columns_may_have_any_name(open_tables: Open, name: str) -> None:
    column = MappedColumn(name, ("v",), ColumnType.TEXT)
    mapping = TypedCollection(
        "c", name, (column, MappedColumn("c1", ("c1",), ColumnType.INTEGER)), typed("", "l").children
    )
    tables = open_tables(mapping, DocumentCollection("d", f"{name}_d"))
    first = [{"_id": f"{n}%", "v": "a%s{}", "c1": n, "l": [{"value": n}]} for n in range(3)]
    tables.write(*(insert("c", each) for each in first), *(insert("d", each) for each in first))
    changed = {**first[0], "v": "b", "l": []}
    tables.write(update("c", changed), read("d", changed), delete("c", "1%"), delete("d", "2%"))
    expected: dict[str, Sequence[dict[str, Any]]] = {"c": [changed, first[2]], "d": [changed, first[1]]}
    assert tables.rows() == tables.expected(expected)


def test_tables_may_have_columns_views_and_keys_of_analysts(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.run(
        """
        alter table orders add number_of int generated always as identity;
        alter table orders add upper_name text generated always as (upper(name)) stored;
        alter table orders add remark text default 'none';
        alter table orders_lines add foreign key (_id) references orders (_id);
        create view names as select name from orders;
        create function stamp() returns trigger language plpgsql as $$
            begin new.remark = coalesce(new.remark, '') || '!'; return new; end $$;
        create trigger stamp before insert or update on orders for each row execute function stamp();
        """
    )
    tables.write(insert("orders", ORDER), insert("orders", ORDER | {"_id": 2}))
    tables.write(update("orders", ORDER | {"name": "Bob"}), delete("orders", 2))
    same_keys_as(tables, [ORDER | {"name": "Bob"}])
    assert tables.run("select upper_name, remark like 'none!%' from orders") == [("BOB", True)]


def test_partitioned_tables_are_written(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.run(
        """
        alter table orders rename to old;
        alter table old rename constraint orders_pkey to old_pkey;
        create table orders (like old, constraint orders_pkey primary key (_id)) partition by hash (_id);
        create table orders_0 partition of orders for values with (modulus 2, remainder 0);
        create table orders_1 partition of orders for values with (modulus 2, remainder 1);
        drop table old;
        """
    )
    documents = [ORDER | {"_id": n} for n in range(8)]
    tables.write(*(insert("orders", each) for each in documents))
    tables.write(*(update("orders", each | {"name": "x"}) for each in documents[:4]), delete("orders", 7))
    same_keys_as(tables, [each | {"name": "x"} for each in documents[:4]] + documents[4:7])


def test_narrow_and_wide_tables_share_a_session(open_tables: Open) -> None:
    narrow, wide, widest = (
        DocumentCollection("narrow", "narrow"),
        typed("wide", "l", columns=120),
        typed("w", columns=400),
    )
    tables = open_tables(narrow, wide, widest)
    document = {"_id": 1, "n7": "seven", "n399": "\t\\", "l": [{"value": 1}]}
    tables.write(insert("narrow", document))
    tables.write(*(update(each, document) for each in ("narrow", "wide", "w")))
    tables.connection.execute("begin")
    tables.writer.begin()
    tables.writer.write(tables.group([update("wide", document)]))
    tables.connection.execute("rollback")
    tables.writer.rolled_back()
    tables.write(*(update(each, document) for each in ("w", "wide", "narrow")))
    assert tables.rows() == tables.expected({name: [document] for name in ("narrow", "wide", "w")})


def test_several_groups_share_a_transaction(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    documents = [ORDER | {"_id": n} for n in range(6)]
    tables.connection.execute("begin")
    tables.writer.begin()
    for document in documents:
        tables.writer.write(tables.group([insert("orders", document)]))
        tables.writer.write(tables.group([update("orders", document | {"lines": []})]))
    tables.connection.execute("commit")
    same_keys_as(tables, [each | {"lines": []} for each in documents])


def test_a_session_has_one_staging_table_however_many_tables_it_writes(open_tables: Open) -> None:
    names = [f"t{n}" for n in range(30)]
    tables = open_tables(*(DocumentCollection(name, name) for name in names))
    for name in names:
        tables.write(update(name, {"_id": 1}))
    query = "select count(*) from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r'"
    row = tables.connection.execute(query.encode()).fetchone()
    assert row is not None
    assert row[0] <= 1


def test_a_catalog_that_hides_in_the_search_path_is_not_taken_for_the_real_one(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.run("create function count(anyelement) returns bigint language sql as 'select 0::bigint'")
    tables.run("create function unnest(text[]) returns setof text language sql as 'select null::text where false'")
    tables.connection.execute(sql.SQL("set search_path = {}, pg_catalog").format(sql.Identifier(SCHEMA)))
    tables.write(insert("orders", ORDER))
    tables.write(update("orders", ORDER | {"name": "Bob"}))
    same_keys_as(tables, [ORDER | {"name": "Bob"}])


def test_a_table_without_statistics_is_never_read_whole(open_tables: Open) -> None:
    tables = open_tables(ORDERS)
    tables.run(
        "alter table orders set (autovacuum_enabled = off); alter table orders_lines set (autovacuum_enabled = off)"
    )
    tables.run(
        "insert into orders (_id, etl_valid_from) select n, now() from generate_series(1, 20000) as n; "
        "insert into orders_lines (_id, _ordinal, etl_valid_from) "
        "select n, m, now() from generate_series(1, 20000) as n, generate_series(0, 4) as m"
    )
    scans = "select relname, seq_scan from pg_stat_user_tables where relname in ('orders', 'orders_lines') order by 1"
    tables.connection.execute("select pg_stat_force_next_flush()")
    before = tables.run(scans)
    keys = [str(100 * number) for number in range(50)]
    changed = [{"_id": key, "lines": [{"value": 1}] * 7} for key in keys]
    tables.write(*(update("orders", each) for each in changed), *(delete("orders", f"{key}1") for key in keys))
    tables.write(*(read("orders", each) for each in changed))
    tables.write(*(insert("orders", each | {"_id": f"{each['_id']} new"}) for each in changed))
    tables.connection.execute("select pg_stat_force_next_flush()")
    assert tables.run(scans) == before
