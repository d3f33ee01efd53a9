"""What collections, databases, keys and indexes are called in PostgreSQL."""

from __future__ import annotations

import pytest

from replicator_service.core.naming import (
    index_name,
    primary_key_name,
    resolve_table_name,
    schema_name,
    size,
    table_name,
)


@pytest.mark.parametrize(
    ("collection", "table"),
    [
        ("UserSessions", "user_sessions"),
        ("HTTPServerLogs", "http_server_logs"),
        ("userSessions", "user_sessions"),
        ("user_sessions", "user_sessions"),
        ("a.b-c", "a_b_c"),
        ("fs.files", "fs_files"),
        ("log2File", "log2_file"),
        ("userID", "user_id"),
        ("ABC", "abc"),
        ("2024 Orders", "2024_orders"),
        ("__private__", "private"),
        ("Überschriften", "überschriften"),
        ("ЗаказыКлиентов", "заказы_клиентов"),
        ("हिन्दी", "हिन्दी"),
        ("日本語", "日本語"),
        ('x"; drop table y', "x_drop_table_y"),
    ],
)
def test_a_table_is_the_snake_case_of_its_collection(collection: str, table: str) -> None:
    assert table_name(collection) == table


@pytest.mark.parametrize("collection", ["", "...", "🙂", "_"])
def test_a_collection_without_letters_and_digits_still_has_a_name(collection: str) -> None:
    assert table_name(collection).startswith("collection_")
    assert table_name(collection) != table_name(collection + "!")


def test_a_long_name_is_cut_between_characters_and_told_apart_by_its_hash() -> None:
    first, second = table_name("ж" * 100 + "a"), table_name("ж" * 100 + "b")
    assert first == "ж" * 27 + "_fc7e748a"
    assert size(first) == 63
    assert first != second
    assert table_name("x" * 63) == "x" * 63


@pytest.mark.parametrize("collection", ["users_pkey", "usersPkey", "users_idx"])
def test_a_table_never_has_the_name_of_a_key_or_an_index(collection: str) -> None:
    assert not table_name(collection).endswith(("_pkey", "_idx"))


def test_a_taken_name_gets_the_hash_of_the_collection() -> None:
    assert resolve_table_name("Users", set()) == "users"
    assert resolve_table_name("Users", {"users"}) == "users_6b0cc904"
    assert resolve_table_name("USERS", {"users"}) != resolve_table_name("Users", {"users"})


def test_a_taken_hash_gives_another_hash() -> None:
    taken = {"users"}
    for _ in range(3):
        taken.add(resolve_table_name("Users", taken))
    assert len(taken) == 4


@pytest.mark.parametrize(
    ("database", "schema"),
    [
        ("origin", "origin"),
        ("My-Shop", "My-Shop"),
        ("public", "public"),
        ("pg_data", "db_pg_data"),
        ("information_schema", "db_information_schema"),
        ("replicator", "db_replicator"),
        ("mart", "db_mart"),
        ("db_mart", "db_db_mart"),
        ("db_shop", "db_shop"),
        ("", "db_"),
    ],
)
def test_a_schema_is_called_as_its_database_unless_the_name_is_kept(database: str, schema: str) -> None:
    assert schema_name(database) == schema


def test_a_schema_name_is_cut_with_a_hash() -> None:
    assert schema_name("x" * 63) == "x" * 63
    assert size(schema_name("pg_" + "x" * 60)) == 63
    assert schema_name("pg_" + "x" * 60) != schema_name("pg_" + "x" * 61)


def test_keys_and_indexes_are_called_after_their_table_and_columns() -> None:
    assert primary_key_name("user_sessions") == "user_sessions_pkey"
    assert index_name("user_sessions", ["user_id", "start_time"]) == "user_sessions__user_id__start_time_idx"


def test_long_names_of_keys_and_indexes_are_cut_before_their_suffix() -> None:
    assert primary_key_name("x" * 58) == "x" * 58 + "_pkey"
    table = "x" * 63
    assert size(primary_key_name(table)) == 63
    assert primary_key_name(table).endswith("_pkey")
    assert size(index_name(table, ["a"])) == 63
    assert index_name(table, ["a"]).endswith("_idx")
    assert index_name(table, ["a"]) != index_name(table, ["b"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("t", ["a_b"]), ("t", ["a", "b"])),
        (("t", ["a__b"]), ("t", ["a", "b"])),
        (("t", ["a_", "b"]), ("t", ["a", "_b"])),
        (("t__a", ["b"]), ("t", ["a", "b"])),
    ],
)
def test_two_indexes_never_share_a_name(one: tuple[str, list[str]], other: tuple[str, list[str]]) -> None:
    assert index_name(*one) != index_name(*other)
