"""An existing table grows in place, or the plan says why it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from replicator_service.core.mapping.evolution import (
    Evolution,
    ExistingColumn,
    ExistingTable,
    evolution_statements,
    plan_evolution,
)
from replicator_service.core.mapping.model import (
    Column,
    ColumnType,
    DocumentCollection,
    MappedColumn,
    TableSpec,
    TypedCollection,
    tables_of,
)

OWN = {"_extra": "jsonb", "_bson": "bytea", "etl_valid_from": "timestamptz"}


def existing(columns: dict[str, str], key: tuple[str, ...] = ("_id",), **facts: Any) -> ExistingTable:
    """A table with these columns by name and type."""
    return ExistingTable({name: ExistingColumn(type_) for name, type_ in columns.items()}, key, **facts)


USERS = {"_id": "text", "name": "text", "seen": "timestamptz", **OWN}
EXISTING = existing(USERS)


def wanted(*columns: tuple[str, ColumnType], indexes: tuple[tuple[str, ...], ...] = ()) -> TableSpec:
    mapped = tuple(MappedColumn(name, (name,), type_) for name, type_ in columns)
    (table,) = tables_of(TypedCollection("Users", "users", mapped, indexes=indexes))
    return table


NAME, SEEN = ("name", ColumnType.TEXT), ("seen", ColumnType.TIMESTAMPTZ)


def messages(evolution: Evolution) -> list[str]:
    return [str(conflict) for conflict in evolution.conflicts]


def test_a_table_that_is_as_wanted_needs_nothing() -> None:
    evolution = plan_evolution(EXISTING, wanted(NAME, SEEN))
    assert evolution.is_empty
    assert evolution_statements("origin", evolution) == ()


def test_a_table_that_does_not_exist_is_created_without_its_indexes() -> None:
    evolution = plan_evolution(None, wanted(NAME, indexes=(("name",),)))
    assert evolution.create
    assert not evolution.is_empty
    (create,) = evolution_statements("origin", evolution)
    assert create.startswith('create table if not exists "origin"."users"')
    assert evolution.missing_indexes == (("name",),)


def test_new_columns_are_added_in_the_order_of_the_mapping() -> None:
    evolution = plan_evolution(EXISTING, wanted(("tags", ColumnType.TEXT_ARRAY), NAME, SEEN, ('q"', ColumnType.UUID)))
    assert evolution.add_columns == (Column("tags", "text[]"), Column('q"', "uuid"))
    assert not evolution.conflicts
    assert evolution_statements("origin", evolution) == (
        'alter table "origin"."users" add column if not exists "tags" text[]',
        'alter table "origin"."users" add column if not exists "q""" uuid',
    )


def test_a_column_of_another_type_is_a_conflict_that_names_resync() -> None:
    evolution = plan_evolution(EXISTING, wanted(("name", ColumnType.INTEGER), SEEN, ("new", ColumnType.TEXT)))
    (message,) = messages(evolution)
    assert message.startswith("users.name: the column is text, and the mapping wants integer; run `replicator resync`")
    with pytest.raises(ValueError, match="cannot be changed in place"):
        evolution_statements("origin", evolution)


def test_a_column_that_is_no_longer_mapped_stays() -> None:
    evolution = plan_evolution(EXISTING, wanted(SEEN))
    assert evolution.unmapped == ("name",)
    assert evolution.is_empty
    assert evolution_statements("origin", evolution) == ()


def test_a_missing_index_is_named_and_an_existing_one_is_not() -> None:
    table = wanted(NAME, SEEN, indexes=(("name",), ("name", "seen")))
    evolution = plan_evolution(existing(USERS, indexes=frozenset({("_id",), ("name",)})), table)
    assert evolution.missing_indexes == (("name", "seen"),)
    assert evolution_statements("origin", evolution) == ()


@pytest.mark.parametrize("type_", list(ColumnType))
def test_every_type_equals_itself(type_: ColumnType) -> None:
    assert plan_evolution(existing({"_id": "text", "a": type_.value, **OWN}), wanted(("a", type_))).is_empty


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"doc": "jsonb"}, "document table"),
        ({"_ordinal": "integer", "_extra": "jsonb"}, "child table"),
    ],
)
def test_a_table_of_another_kind_is_a_conflict(columns: dict[str, str], found: str) -> None:
    own = {"_id": "text", "_bson": "bytea", "etl_valid_from": "timestamptz"}
    evolution = plan_evolution(existing({**own, **columns}), wanted(NAME))
    (message,) = messages(evolution)
    assert f"exists as a {found}, and the mapping wants a typed table; run `replicator resync`" in message
    assert evolution.add_columns == ()


def test_a_typed_table_does_not_become_a_document_table_in_place() -> None:
    (table,) = tables_of(DocumentCollection("Users", "users"))
    (message,) = messages(plan_evolution(existing({**USERS, "doc": "jsonb"}), table))
    assert "exists as a typed table, and the mapping wants a document table" in message


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"id": "integer"},
        {"_id": "text", "etl_valid_from": "text"},
        {"_id": "text", "etl_valid_from": "timestamptz", "name": "text"},
    ],
)
def test_a_table_of_somebody_else_is_never_touched(columns: dict[str, str]) -> None:
    (conflict,) = plan_evolution(existing(columns, ()), wanted(NAME)).conflicts
    assert "is not a replicated one; rename that table" in str(conflict)
    assert not conflict.rebuildable


def test_a_view_with_all_columns_is_somebody_elses() -> None:
    (conflict,) = plan_evolution(existing(USERS, (), kind="v"), wanted(NAME)).conflicts
    assert "a view of this name exists" in str(conflict)
    assert not conflict.rebuildable


@pytest.mark.parametrize("column", ["name", "_extra", "_bson", "etl_valid_from"])
def test_a_column_that_somebody_dropped_is_added_again(column: str) -> None:
    left = {name: type_ for name, type_ in USERS.items() if name != column}
    evolution = plan_evolution(existing(left), wanted(NAME, SEEN))
    assert [added.name for added in evolution.add_columns] == [column]
    assert not evolution.conflicts
    assert not evolution.is_empty


def test_a_primary_key_that_somebody_dropped_is_added_again() -> None:
    evolution = plan_evolution(existing(USERS, ()), wanted(NAME, SEEN))
    assert evolution_statements("origin", evolution) == ('alter table "origin"."users" add primary key ("_id")',)
    assert not evolution.is_empty


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (existing(USERS, ("_id", "name")), "the primary key is not a plain one of (_id)"),
        (existing(USERS, (), has_other_key=True), "the primary key is not a plain one of (_id)"),
        (existing({name: type_ for name, type_ in USERS.items() if name != "_id"}), "the column of the key is not"),
        (ExistingTable({**EXISTING.columns, "name": ExistingColumn("text", is_generated=True)}, ("_id",)), "generated"),
    ],
)
def test_what_cannot_be_put_right_in_place_is_a_conflict_that_a_resync_solves(table: ExistingTable, told: str) -> None:
    (conflict,) = plan_evolution(table, wanted(NAME, SEEN)).conflicts
    assert told in conflict.message
    assert conflict.rebuildable


def test_a_missing_index_leaves_a_table_whole() -> None:
    evolution = plan_evolution(EXISTING, wanted(NAME, SEEN, indexes=(("name",),)))
    assert evolution.is_empty


def test_a_table_of_ours_may_be_rebuilt() -> None:
    (conflict,) = plan_evolution(EXISTING, wanted(("name", ColumnType.INTEGER))).conflicts
    assert conflict.rebuildable


@pytest.mark.parametrize("dropped", [0, 100])
def test_columns_beyond_the_limit_of_postgresql_are_a_conflict(dropped: int) -> None:
    old = {f"old{number}": "text" for number in range(1590 - dropped)}
    table = existing({"_id": "text", **old, **OWN}, attributes=1594)
    new = [(f"new{number}", ColumnType.TEXT) for number in range(7)]
    assert not plan_evolution(table, wanted(*new[:6])).conflicts
    (message,) = messages(plan_evolution(table, wanted(*new)))
    assert "more than 1600 columns" in message


def test_names_that_something_else_has_are_left_to_postgresql() -> None:
    table = wanted(NAME)
    (create,) = evolution_statements("origin", plan_evolution(None, table), {"users_pkey"})
    assert "constraint" not in create
    assert 'primary key ("_id")' in create
