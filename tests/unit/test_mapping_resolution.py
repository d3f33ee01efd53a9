"""Every collection has a mapping: the file's, or a document table of its own."""

from __future__ import annotations

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import DocumentCollection, KeepBson
from replicator_service.core.mapping.resolution import mapped_tables, mapping_for

MAPPING = load_mapping(
    """
version: 1
keep_bson: always
collections:
  UserSessions: {columns: {a: text}, children: {log: {table: logs, columns: {b: text}}}}
""",
    name="test.yml",
)


def test_a_named_collection_has_the_tables_of_the_file_whatever_is_taken() -> None:
    assert mapping_for(MAPPING, "UserSessions", {"user_sessions"}) is MAPPING.collections[0]


def test_any_other_collection_becomes_a_document_table() -> None:
    assert mapping_for(MAPPING, "OrderLines", ()) == DocumentCollection("OrderLines", "order_lines", KeepBson.ALWAYS)


def test_a_document_table_takes_no_name_of_the_file_nor_of_another_collection() -> None:
    names = {mapping_for(MAPPING, name, {"things"}).table for name in ("user_sessions", "Logs", "Things", "stuff")}
    assert "stuff" in names
    assert names.isdisjoint({"user_sessions", "logs", "things"})
    assert mapped_tables(MAPPING) == {"user_sessions", "logs"}
