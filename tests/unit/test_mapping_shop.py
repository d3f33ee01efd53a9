"""The shop's mapping gives the ten tables that the marts read, column by column."""

from __future__ import annotations

from pathlib import Path

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import ColumnType, MappedColumn, tables_of

FILE = Path(__file__).parents[2] / "mappings" / "shop.yml"
MAPPING = load_mapping(FILE.read_bytes(), name="shop.yml")

TABLES = {
    "user_sessions": "session_id, user_id, start_time timestamptz, end_time timestamptz, pages_visited text[], "
    "device_type, device_user_agent",
    "user_session_actions": "session_id, action_type, element, timestamp timestamptz",
    "product": "product_id, current_price numeric, currency",
    "product_price_history": "product_id, timestamp timestamptz, price numeric",
    "event_logs": "event_id, timestamp timestamptz, event_type, user_id, ip_address, status",
    "support_tickets": "ticket_id, user_id, status, issue_type, created_at timestamptz, updated_at timestamptz",
    "support_ticket_messages": "ticket_id, sender, message, timestamp timestamptz",
    "user_recommendations": "user_id, recommended_products text[], last_updated timestamptz",
    "moderation_queue": "review_id, user_id, product_id, review_text, rating integer, moderation_status, "
    "flags text[], submitted_at timestamptz",
    "search_queries": "query_id, user_id, query_text, timestamp timestamptz, category, price_range, "
    "results_count integer",
}
OWN = {"_id", "_ordinal", "_extra", "_bson", "etl_valid_from"}


def test_the_shop_has_ten_tables_with_these_columns_in_this_order() -> None:
    found = {
        table.name: ", ".join(
            column.name if column.type == "text" else f"{column.name} {column.type}"
            for column in table.columns
            if column.name not in OWN
        )
        for typed in MAPPING.collections
        for table in tables_of(typed)
    }
    assert found == TABLES


def test_the_shop_maps_its_seven_collections() -> None:
    assert [typed.collection for typed in MAPPING.collections] == [
        "UserSessions",
        "ProductPriceHistory",
        "EventLogs",
        "SupportTickets",
        "UserRecommendations",
        "ModerationQueue",
        "SearchQueries",
    ]


def test_child_rows_repeat_the_key_of_their_parent() -> None:
    keys = {child.path: child.columns[0] for typed in MAPPING.collections for child in typed.children if child.columns}
    assert keys == {
        ("actions",): MappedColumn("session_id", ("session_id",), ColumnType.TEXT, from_parent=True),
        ("price_changes",): MappedColumn("product_id", ("product_id",), ColumnType.TEXT, from_parent=True),
        ("messages",): MappedColumn("ticket_id", ("ticket_id",), ColumnType.TEXT, from_parent=True),
    }


def test_sub_documents_of_the_shop_are_flattened() -> None:
    paths = {
        column.name: column.path for typed in MAPPING.collections for column in typed.columns if len(column.path) > 1
    }
    assert paths == {
        "device_type": ("device", "type"),
        "device_user_agent": ("device", "user_agent"),
        "user_id": ("details", "user_id"),
        "ip_address": ("details", "ip_address"),
        "status": ("details", "status"),
    }


def test_the_file_points_editors_to_the_schema() -> None:
    assert FILE.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=mapping.schema.json\n")
