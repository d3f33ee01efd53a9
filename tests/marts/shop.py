"""The replicated tables of the shop, made from the mapping and filled by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import conninfo, sql

from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.mapping.model import TableSpec, tables_of

if TYPE_CHECKING:
    import psycopg

MAPPING = Path(__file__).parents[2] / "mappings" / "shop.yml"


@cache
def shop_tables() -> tuple[TableSpec, ...]:
    """Return every replicated table of the shop as the mapping describes it."""
    mapping = load_mapping(MAPPING.read_text(encoding="utf-8"), name=MAPPING.name)
    return tuple(table for collection in mapping.collections for table in tables_of(collection))


def create_shop(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Make schema ``origin`` with the empty tables."""
    connection.execute("create schema origin")
    for table in shop_tables():
        columns = [sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in table.columns]
        key = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
        connection.execute(
            sql.SQL("create table {} ({}, primary key ({}))").format(
                sql.Identifier("origin", table.name), sql.SQL(", ").join(columns), key
            )
        )


class Shop:
    """Adds rows as the replicator writes them: every document has an ``_id`` of its own."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self.connection = connection
        self._ids = count(1)

    def add(self, table: str, **columns: object) -> str:
        """Insert one row and return its ``_id``."""
        source_id = f"{next(self._ids):024x}"
        self._insert(table, {"_id": source_id} | columns)
        return source_id

    def session(self, user: str | None, session: str | None, start: str, pages: int | None = 1) -> None:
        """Add a session that starts at a UTC time (``2026-03-30 23:50``); ``pages`` None is a missing array."""
        visited = None if pages is None else [f"/page/{page}" for page in range(pages)]
        row = {"user_id": user, "session_id": session, "start_time": at(start), "pages_visited": visited}
        self.add("user_sessions", **row)

    def event(self, user: str | None, time: str, kind: str | None = "login") -> None:
        """Add an event of this type."""
        self.add("event_logs", user_id=user, timestamp=at(time), event_type=kind)

    def search(self, user: str | None, category: str | None, time: str) -> None:
        """Add a search query."""
        self.add("search_queries", user_id=user, category=category, timestamp=at(time))

    def ticket(self, ticket: str | None, *messages: tuple[str | None, str | None], **columns: object) -> None:
        """Add a ticket with its messages, (sender, UTC time), in the order of the array.

        They are inserted backwards: what does not sort them must not get the right order by luck.
        """
        row = {"user_id": "u1", "status": "open", "issue_type": "payment"} | columns
        source_id = self.add("support_tickets", ticket_id=ticket, **row)
        for ordinal, (sender, time) in reversed(list(enumerate(messages))):
            message = {"_id": source_id, "_ordinal": ordinal, "ticket_id": ticket, "sender": sender}
            self._insert("support_ticket_messages", message | {"timestamp": at(time) if time else None})

    def _insert(self, table: str, columns: dict[str, object]) -> None:
        self.connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier("origin", table),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            ),
            list(columns.values()),
        )


def login_as(dsn: str, role: str) -> str:
    """Return the connection string of a role whose password is its name."""
    return conninfo.make_conninfo(dsn, user=role, password=role)


def at(text: str) -> datetime:
    """Read a time, UTC without an offset."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
