"""Rules, triggers and policies of others that make nothing of a statement, which PostgreSQL calls a success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from replicator_service.core.errors import Fatal
from tests.support.row_tables import WAYS, RowTables, delete, insert, read, typed, update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Sink

ORDERS = typed("orders", "lines")
ORDER = {"_id": 1, "name": "Ann", "lines": [{"value": 1}, {"value": 2}]}
CHANGED = {"_id": 1, "name": "Bob", "lines": [{"value": 3}]}

NOTHING = "create function nothing() returns trigger language plpgsql as $$ begin return null; end $$;"
OLD = "create function old_row() returns trigger language plpgsql as $$ begin return old; end $$;"
NAME = (
    "create function shout() returns trigger language plpgsql as "
    "$$ begin new._extra = '\"changed\"'::jsonb; return new; end $$;"
)


def trigger(table: str, event: str, function: str) -> str:
    return f"create trigger t before {event} on {table} for each row execute function {function}();"


@pytest.fixture(params=WAYS)
def tables(request: pytest.FixtureRequest, sink: Sink) -> Iterator[RowTables]:
    opened = RowTables(sink, [ORDERS], WAYS[request.param])
    opened.make()
    yield opened
    opened.connection.close()


@pytest.mark.parametrize("table", ["orders", "orders_lines"])
@pytest.mark.parametrize(
    "obstacle",
    [
        "create rule r as on delete to {table} do instead nothing",
        NOTHING + trigger("{table}", "delete", "nothing"),
    ],
)
def test_a_row_that_is_not_deleted_ends_the_write(tables: RowTables, table: str, obstacle: str) -> None:
    tables.write(insert("orders", ORDER))
    tables.run(obstacle.format(table=table))
    with pytest.raises(Fatal, match=rf"table shop\.{table}: 0 rows expected, [12] found") as caught:
        tables.write(delete("orders", 1))
    assert f"tablename = '{table}'" in caught.value.hint
    assert len(tables.rows()["orders"]) == 1


@pytest.mark.parametrize(
    "obstacle",
    [
        "create rule r as on delete to orders_lines do instead nothing",
        NOTHING + trigger("orders_lines", "delete", "nothing"),
    ],
)
def test_an_element_that_is_not_deleted_ends_the_write(tables: RowTables, obstacle: str) -> None:
    tables.write(insert("orders", ORDER))
    tables.run(obstacle)
    with pytest.raises(Fatal, match=r"table shop\.orders_lines: 1 rows expected, 2 found"):
        tables.write(update("orders", CHANGED))


@pytest.mark.parametrize("make", [insert, update, read])
@pytest.mark.parametrize("table", ["orders", "orders_lines"])
def test_a_row_that_is_not_inserted_ends_the_write(tables: RowTables, table: str, make: type) -> None:
    tables.run(NOTHING + trigger(table, "insert", "nothing"))
    with pytest.raises(Fatal, match=rf"table shop\.{table}: [12] rows expected, 0 found") as caught:
        tables.write(make("orders", ORDER))
    assert f"""'"shop"."{table}"'::regclass""" in caught.value.hint
    assert not any(tables.rows().values())


@pytest.mark.parametrize("make", [insert, update, read])
@pytest.mark.parametrize("table", ["orders", "orders_lines"])
@pytest.mark.parametrize("function", ["nothing", "old_row", "shout"])
def test_a_row_that_is_not_updated_as_told_ends_the_write(
    tables: RowTables, table: str, function: str, make: type
) -> None:
    tables.write(insert("orders", ORDER))
    tables.run(NOTHING + OLD + NAME + trigger(table, "update", function))
    before = tables.rows()
    with pytest.raises(Fatal, match=rf"table shop\.{table}: 1 rows expected, 0 found"):
        tables.write(make("orders", CHANGED))
    assert tables.rows() == before


@pytest.mark.parametrize("event", ["insert", "update"])
@pytest.mark.parametrize("table", ["orders", "orders_lines"])
def test_a_rule_beside_which_nothing_can_be_merged_is_named(tables: RowTables, table: str, event: str) -> None:
    tables.write(insert("orders", ORDER))
    tables.run(f"create rule r as on {event} to {table} do instead nothing")
    with pytest.raises(Fatal, match=rf"cannot merge rows into the table shop\.{table}") as caught:
        tables.write(update("orders", CHANGED))
    assert f"pg_rules where schemaname = 'shop' and tablename = '{table}'" in caught.value.hint


def test_triggers_and_rules_that_only_look_on_are_left_alone(tables: RowTables) -> None:
    tables.run(
        "create table shop.seen (what text); "
        "create function note() returns trigger language plpgsql as "
        "$$ begin insert into shop.seen values (tg_op); return null; end $$; "
        "create trigger t after insert or update or delete on orders for each row execute function note(); "
        "create rule r as on delete to orders_lines do also insert into shop.seen values ('rule')"
    )
    tables.write(insert("orders", ORDER))
    tables.write(update("orders", CHANGED))
    tables.write(delete("orders", 1))
    seen = [what for (what,) in tables.run("select what from shop.seen where what <> 'rule'")]
    assert seen == ["INSERT", "UPDATE", "DELETE"]
