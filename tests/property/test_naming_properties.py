"""Every name fits, is the same every time, and belongs to one thing only."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from replicator_service.core.naming import (
    index_name,
    primary_key_name,
    resolve_table_name,
    schema_name,
    size,
    table_name,
)

# A busy machine is not a slow function.
UNHURRIED = settings(deadline=None)

# Short alphabets find collisions, all of Unicode finds the rest.
NAMES = st.one_of(st.text(max_size=200), st.text("aAbB._-1é", max_size=8), st.text("Жx_", min_size=50, max_size=80))


@UNHURRIED
@given(NAMES)
def test_a_table_name_fits_is_lower_case_and_never_empty(collection: str) -> None:
    name = table_name(collection)
    assert name == table_name(collection)
    assert 1 <= size(name) <= 63
    assert name == name.lower()
    assert "\0" not in name
    assert not name.endswith(("_pkey", "_idx"))


@UNHURRIED
@given(st.lists(NAMES, unique=True, max_size=30))
def test_resolved_names_are_never_shared(collections: list[str]) -> None:
    taken: dict[str, str] = {}
    for collection in collections:
        name = resolve_table_name(collection, taken.keys())
        assert name == resolve_table_name(collection, taken.keys())
        assert 1 <= size(name) <= 63
        assert not name.endswith(("_pkey", "_idx"))
        assert name not in taken
        taken[name] = collection


@UNHURRIED
@given(st.lists(st.one_of(NAMES, st.sampled_from(["mart", "db_mart", "pg_x", "db_pg_x", "db_"])), unique=True))
def test_databases_never_share_a_schema(databases: list[str]) -> None:
    schemas = {schema_name(database) for database in databases}
    assert len(schemas) == len(databases)
    for schema in schemas:
        assert 1 <= size(schema) <= 63
        assert not schema.startswith("pg_")
        assert schema not in {"information_schema", "replicator", "mart"}


INDEXES = st.tuples(
    st.text("ab_", min_size=1, max_size=4),
    st.lists(st.text("ab_", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple),
)


@UNHURRIED
@given(st.lists(INDEXES, unique=True, max_size=20))
def test_indexes_and_keys_never_share_a_name(indexes: list[tuple[str, tuple[str, ...]]]) -> None:
    tables = {table for table, _ in indexes}
    names = [index_name(table, columns) for table, columns in indexes] + [primary_key_name(table) for table in tables]
    assert len(set(names)) == len(indexes) + len(tables)
    assert all(size(name) <= 63 for name in names)
