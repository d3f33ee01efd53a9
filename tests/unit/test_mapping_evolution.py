"""An existing table grows in place, or the plan says why it cannot."""

from __future__ import annotations

import pytest

from replicator_service.core.mapping.evolution import Evolution, evolution_statements, format_type, plan_evolution
from replicator_service.core.mapping.model import (
    Column,
    ColumnType,
    DocumentCollection,
    MappedColumn,
    TableSpec,
    TypedCollection,
    tables_of,
)

OWN = {"_extra": "jsonb", "_bson": "bytea", "etl_valid_from": "timestamp with time zone"}
EXISTING = {"users": {"_id": "text", "name": "text", "seen": "timestamp with time zone", **OWN}}


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


def test_a_table_that_does_not_exist_is_created_with_its_indexes() -> None:
    evolution = plan_evolution({}, wanted(NAME, indexes=(("name",),)))
    assert evolution.create
    assert not evolution.is_empty
    create, index = evolution_statements("origin", evolution)
    assert create.startswith('create table if not exists "origin"."users"')
    assert index.startswith('create index if not exists "users__name_idx"')


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


def test_a_missing_index_is_created_and_an_existing_one_is_not() -> None:
    table = wanted(NAME, SEEN, indexes=(("name",), ("name", "seen")))
    evolution = plan_evolution(EXISTING, table, indexes={"users_pkey", "users__name_idx"})
    assert evolution.missing_indexes == (("name", "seen"),)
    assert evolution_statements("origin", evolution) == (
        'create index if not exists "users__name__seen_idx" on "origin"."users" ("name", "seen")',
    )


@pytest.mark.parametrize("type_", list(ColumnType))
def test_every_type_equals_itself_in_the_spelling_of_postgresql(type_: ColumnType) -> None:
    spelled = type_.value.replace("timestamptz", "timestamp with time zone")
    assert format_type(type_.value) == spelled
    existing = {"users": {"_id": "text", "a": spelled, **OWN}}
    assert plan_evolution(existing, wanted(("a", type_))).is_empty


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"doc": "jsonb"}, "document table"),
        ({"_ordinal": "integer", "_extra": "jsonb"}, "child table"),
    ],
)
def test_a_table_of_another_kind_is_a_conflict(columns: dict[str, str], found: str) -> None:
    own = {"_id": "text", "_bson": "bytea", "etl_valid_from": "timestamp with time zone"}
    evolution = plan_evolution({"users": {**own, **columns}}, wanted(NAME))
    (message,) = messages(evolution)
    assert f"exists as a {found}, and the mapping wants a typed table; run `replicator resync`" in message
    assert evolution.add_columns == ()


def test_a_typed_table_does_not_become_a_document_table_in_place() -> None:
    (table,) = tables_of(DocumentCollection("Users", "users"))
    existing = {"users": {**EXISTING["users"], "doc": "jsonb"}}
    (message,) = messages(plan_evolution(existing, table))
    assert "exists as a typed table, and the mapping wants a document table" in message


@pytest.mark.parametrize("columns", [{}, {"id": "integer"}, {"_id": "text", "etl_valid_from": "text"}])
def test_a_table_of_somebody_else_is_never_touched(columns: dict[str, str]) -> None:
    (conflict,) = plan_evolution({"users": columns}, wanted(NAME)).conflicts
    assert "is not a replicated one; rename that table" in str(conflict)
    assert not conflict.rebuildable


def test_a_table_of_ours_may_be_rebuilt() -> None:
    (conflict,) = plan_evolution(EXISTING, wanted(("name", ColumnType.INTEGER))).conflicts
    assert conflict.rebuildable


def test_columns_beyond_the_limit_of_postgresql_are_a_conflict() -> None:
    old = {f"old{number}": "text" for number in range(1590)}
    existing = {"users": {"_id": "text", **old, **OWN}}
    new = [(f"new{number}", ColumnType.TEXT) for number in range(7)]
    assert not plan_evolution(existing, wanted(*new[:6])).conflicts
    (message,) = messages(plan_evolution(existing, wanted(*new)))
    assert "more than 1600 columns" in message
