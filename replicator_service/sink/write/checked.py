"""Statements whose effect is counted.

PostgreSQL says that a statement has succeeded even where somebody else's rule or trigger made nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.errors import Fatal
from replicator_service.sink.errors import Where, translate
from replicator_service.sink.write.round_trip import Query, QueryFailed, Row, in_one_round_trip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement and how many rows its answer must give, a number a table.

    ``expected`` None: the answer is one table's pair of what was to be written and what is there, which must be the
    same. No tables: nothing is checked. ``step`` says what a statement is for that belongs to no document.
    """

    query: Query
    tables: tuple[TableSpec, ...]
    expected: tuple[int, ...] | None = ()
    step: str = ""

    def require(self, schema: str, row: Row | None) -> None:
        """Raise :class:`Fatal` unless the answer is right."""
        if self.expected is None and row is not None:
            expected, found = row[:1], row[1:]
        else:
            expected, found = self.expected or (), row or ()
        for table, wanted, counted in zip(self.tables, expected, found, strict=False):
            require_rows(schema, table.name, wanted, counted)


def run_checked(connection: Connection, schema: str, steps: Sequence[Checked]) -> list[Row | None]:
    """Run statements in one round trip and check all of them; returns the first row of each.

    Raises :class:`Fatal` when PostgreSQL has not done what it was told, otherwise the translated error.
    """
    if not steps:
        return []
    try:
        rows = in_one_round_trip(connection, [step.query for step in steps])
    except QueryFailed as failed:
        step = steps[failed.index] if failed.index < len(steps) else None
        raise _explained(schema, step, failed.error) from failed.error
    for step, row in zip(steps, rows, strict=True):
        step.require(schema, row)
    return rows


def require_rows(schema: str, table: str, expected: int, found: int) -> None:
    """Raise :class:`Fatal`, with what may be the cause, unless both numbers are the same."""
    if expected != found:
        raise Fatal(
            f"PostgreSQL did not do what it was told with the table {schema}.{table}: "
            f"{expected} rows expected, {found} found",
            hint="A rule, a trigger or a row security policy of somebody else drops or alters rows. "
            f"Find it and drop it, then start the service again: {_rules(schema, table)}; {_triggers(schema, table)}; "
            f"{_policies(schema, table)};",
        )


def _explained(schema: str, step: Checked | None, error: psycopg.Error) -> Exception:
    table = step.tables[0] if step is not None and step.tables else None
    if table is not None and isinstance(error, psycopg.errors.FeatureNotSupported):
        return Fatal(
            f"PostgreSQL cannot merge rows into the table {schema}.{table.name}: "
            f"{error.diag.message_primary or type(error).__name__}",
            hint=f"Somebody has made a rule on it. Find it and drop it, then start the service again: "
            f"{_rules(schema, table.name)};",
        )
    return translate(error, Where(step.step if step is not None else ""))


def _rules(schema: str, table: str) -> str:
    return _text("select * from pg_rules where schemaname = {} and tablename = {}", schema, table)


def _triggers(schema: str, table: str) -> str:
    return _text(
        "select pg_get_triggerdef(oid) from pg_trigger where tgrelid = {}::regclass and not tgisinternal",
        sql.Identifier(schema, table).as_string(),
    )


def _policies(schema: str, table: str) -> str:
    return _text("select * from pg_policies where schemaname = {} and tablename = {}", schema, table)


def _text(form: str, *names: str) -> str:
    return sql.SQL(form).format(*map(sql.Literal, names)).as_string()
