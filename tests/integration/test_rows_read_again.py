"""Documents that are read again (resync, repair): rows that are the same are not touched, and nothing else counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, Int64

from replicator_service.core.mapping.model import DocumentCollection
from tests.support.row_tables import WAYS, RowTables, insert, read, typed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink

ORDERS = typed("orders", "lines")
NOTES = DocumentCollection("notes", "notes")
ORDER: dict[str, Any] = {
    "_id": 1,
    "number": 1.0,
    "price": Decimal128("1.50"),
    "details": {"a": 1},
    "tags": ["a", None],
    "text": "\0",
    "lines": [{"value": 1}, {"value": {"b": [1, 2.5]}, "more": "\t"}],
}


@pytest.fixture(params=WAYS)
def tables(request: pytest.FixtureRequest, sink: Sink) -> Iterator[RowTables]:
    opened = RowTables(sink, [ORDERS, NOTES], WAYS[request.param])
    opened.make()
    yield opened
    opened.connection.close()


def versions(tables: RowTables) -> list[dict[str, str]]:
    return [tables.versions(name) for name in ("orders", "orders_lines", "notes")]


def test_what_others_hang_on_rows_that_are_the_same_stays_and_nobody_sees_a_change(tables: RowTables) -> None:
    documents = [ORDER | {"_id": number} for number in range(10)]
    tables.write(*(insert(name, each) for name in ("orders", "notes") for each in documents))
    tables.run(
        "create table shop.remarks (id text references orders (_id) on delete cascade); "
        "insert into shop.remarks select _id from orders; "
        "create table shop.audit (what text); "
        "create function note() returns trigger language plpgsql as "
        "$$ begin insert into shop.audit values (tg_op); return coalesce(new, old); end $$"
    )
    for table in ("orders", "orders_lines", "notes"):
        tables.run(
            f"create trigger t before insert or update or delete on {table} for each row execute function note()"
        )
    before = versions(tables)
    tables.write(*(read(name, each) for name in ("orders", "notes") for each in documents))
    assert versions(tables) == before
    assert tables.run("select count(*) from shop.remarks") == [(10,)]
    assert tables.run("select * from shop.audit") == []


def test_only_the_rows_that_differ_are_written(tables: RowTables) -> None:
    documents = [ORDER | {"_id": number} for number in range(3)]
    tables.write(*(insert("orders", each) for each in documents))
    before = versions(tables)
    documents[1] |= {"name": "new"}
    tables.write(*(read("orders", each) for each in documents))
    after = versions(tables)
    assert [key for key in before[0] if before[0][key] != after[0][key]] == ["$number:1"]
    assert after[1] == before[1]
    assert tables.rows() == tables.expected({"orders": documents})


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("number", 0.0, -0.0),
        ("price", Decimal128("1.5"), Decimal128("1.50")),
        ("details", {"a": 1}, {"a": 1.0}),
        ("details", {"a": 0.0}, {"a": Int64(0)}),
        ("tags", [None], ["NULL"]),
        ("name", None, ""),
        ("unmapped", 1, 1.0),
        ("unmapped", None, "absent"),
        ("lines", [{"value": 1.0}], [{"value": 1}]),
        ("lines", [{}], []),
    ],
)
def test_values_that_are_equal_and_not_the_same_are_written(
    tables: RowTables, field: str, one: object, other: object
) -> None:
    tables.write(insert("orders", ORDER | {field: one}), insert("notes", ORDER | {field: one}))
    document = ORDER | {field: other}
    tables.write(read("orders", document), read("notes", document))
    assert tables.rows() == tables.expected({"orders": [document], "notes": [document]})
    tables.write(read("orders", ORDER), read("notes", ORDER))
    assert tables.rows() == tables.expected({"orders": [ORDER], "notes": [ORDER]})


def test_rows_that_are_missing_or_too_many_are_put_right(tables: RowTables) -> None:
    tables.write(insert("orders", ORDER), insert("orders", ORDER | {"_id": 2}))
    tables.run("delete from orders where _id = '$number:1'; delete from orders_lines where _ordinal = 0")
    tables.run("update orders_lines set _ordinal = 7 where _id = '$number:2'")
    tables.write(*(read("orders", ORDER | {"_id": number}) for number in (1, 2, 3)))
    assert tables.rows() == tables.expected({"orders": [ORDER | {"_id": number} for number in (1, 2, 3)]})
