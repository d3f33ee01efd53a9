"""Replicated tables: created from their specification, and in place only ever added to.

Everything looks first and sends no statement that changes nothing: another start must not fail because of a freeze of
DDL, or wait for an analyst's lock.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.errors import ConfigurationError, ReplicatorError, TableChanged
from replicator_service.core.mapping.ddl import comment_on_schema, qualified
from replicator_service.core.mapping.evolution import (
    Conflict,
    Evolution,
    describing_statements,
    evolution_statements,
    plan_evolution,
)
from replicator_service.core.naming import primary_key_name
from replicator_service.sink.errors import Where, translate, translated
from replicator_service.sink.indexes.ending import end_builds
from replicator_service.sink.write.existing import existing_tables, taken_names
from replicator_service.sink.write.round_trip import Query, QueryFailed, in_one_round_trip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

_RESYNC = "Leave the request with 'replicator resync COLLECTION', then start the service again."


@dataclass(frozen=True, slots=True)
class Made:
    """What was missing and is there now, as ``table``, ``table.column`` and ``table`` again.

    True when anything is here: then rows, or values of rows, are missing, and the collection has to be read again.
    Indexes do not count.
    """

    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.columns or self.keys)


def ensure_schema(connection: Connection, schema: str) -> None:
    """Create the schema of the replicated tables if it is not there."""
    query = "select from pg_catalog.pg_namespace where nspname = %s"
    with translated(step=f"create the schema {schema}"):
        if not connection.execute(query, (schema,)).fetchall():
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
            connection.execute(comment_on_schema(schema).encode())


def plan_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> list[Evolution]:
    """Compare tables with what exists, in one statement however many. Changes nothing."""
    existing = existing_tables(connection, schema, [table.name for table in tables])
    return [plan_evolution(existing.get(table.name), table) for table in tables]


def damaged(connection: Connection, schema: str, collections: Mapping[str, Sequence[TableSpec]]) -> dict[str, bool]:
    """Those of these collections whose tables have to be prepared, and whether to be read again after that.

    They are when a table, a column or a key is missing, or is another one; a comment or an index holds no values. One
    statement, however many collections.

    Raises :class:`ConfigurationError` when something of a table's name is not a replicated table.
    """
    owners = [(name, table) for name, tables in collections.items() for table in tables]
    plans = plan_tables(connection, schema, [table for _, table in owners])
    _require_ours(schema, plans)
    found: dict[str, bool] = {}
    for (name, _), plan in zip(owners, plans, strict=True):
        if not plan.is_empty:
            found[name] = found.get(name, False) or not plan.is_whole
    return found


def ensure_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> Made:
    """Make tables have every column and key of their specification and return what was missing.

    Raises :class:`ConfigurationError` for what cannot be done in place, all of it at once.
    """
    plans = plan_tables(connection, schema, tables)
    _require_in_place(schema, [conflict for plan in plans for conflict in plan.conflicts])
    _evolve(connection, schema, plans)
    return _made(plans)


def rebuild_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> Made:
    """Drop what is in the way of a new shape, and create the tables anew; a resync fills them again."""
    plans = plan_tables(connection, schema, tables)
    _require_ours(schema, plans)
    for plan in plans:
        if plan.conflicts or (plan.add_key and not _takes_key(connection, schema, plan)):
            _drop(connection, schema, plan.table)
    return ensure_tables(connection, schema, tables)


def require_shape(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Check that tables are still what they were made: otherwise no document that is refused is at fault.

    Raises :class:`TableChanged` for what is missing, :class:`ConfigurationError` for what is another one.
    """
    plans = plan_tables(connection, schema, tables)
    _require_in_place(schema, [conflict for plan in plans for conflict in plan.conflicts])
    if made := _made(plans):
        missing = ", ".join((*made.tables, *made.columns, *(f"{table}: primary key" for table in made.keys)))
        raise TableChanged(
            f"replicated tables were changed by hand, in the schema {schema} is missing: {missing}",
            hint="Nothing to do: what is missing is made again, and the collection read again.",
        )


def _drop(connection: Connection, schema: str, table: TableSpec) -> None:
    end_builds(connection, schema, [table.name])
    with translated(step=f"drop the table {schema}.{table.name}", table=qualified(schema, table.name)):
        connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(schema, table.name)))


def _evolve(connection: Connection, schema: str, plans: Sequence[Evolution]) -> None:
    """Send every statement that is needed at once: thousands of tables are not made one answer at a time."""
    wanted = [plan for plan in plans if not plan.is_empty]
    if not wanted:
        return
    end_builds(connection, schema, [plan.table.name for plan in wanted])
    # A table of this very step may be called as another one's key would be.
    taken = taken_names(connection, schema, [primary_key_name(plan.table.name) for plan in wanted])
    taken |= {plan.table.name for plan in wanted}
    statements = [(plan, each) for plan in wanted for each in evolution_statements(schema, plan, taken)]
    try:
        in_one_round_trip(connection, [Query(each.encode(), None) for _, each in statements])
    except QueryFailed as failed:
        plan = statements[min(failed.index, len(statements) - 1)][0]
        raise _not_evolved(schema, plan, failed.error) from failed.error
    _describe(connection, [each for plan in wanted for each in describing_statements(schema, plan)])


def _describe(connection: Connection, statements: Sequence[str]) -> None:
    """Write comments, if that can be done now: a freeze of DDL or somebody's lock must not keep rows waiting.

    The next start tries again. A comment takes a lock that a running vacuum has (section "Table-Level Locks").
    """
    if not statements:
        return
    queries = ["set local lock_timeout = '1s'", *statements, "set local lock_timeout = 0"]
    with translated(step="describe replicated tables"), suppress(QueryFailed), connection.transaction():
        in_one_round_trip(connection, [Query(each.encode(), None) for each in queries])


def _not_evolved(schema: str, plan: Evolution, error: psycopg.Error) -> ReplicatorError:
    place = f"{schema}.{plan.table.name}"
    if plan.add_key and isinstance(error, psycopg.errors.IntegrityError):
        key = ", ".join(plan.table.primary_key)
        return ConfigurationError(
            f"{place} has lost its primary key ({key}), and now has rows that are there twice or have none",
            hint=f"{_RESYNC} The table is then built anew.",
        )
    step = f"create the table {place}" if plan.create else f"add what is missing to the table {place}"
    return translate(error, Where(step, qualified(schema, plan.table.name)))


def _takes_key(connection: Connection, schema: str, plan: Evolution) -> bool:
    """Whether every row has a key of its own, where the table has lost its primary key."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in plan.table.primary_key)
    table = sql.Identifier(schema, plan.table.name)
    if any(column.name in plan.table.primary_key for column in plan.add_columns):
        return False
    query = sql.SQL(
        "select exists (select from {0} group by {1} having count(*) > 1) "
        "or exists (select from {0} where not (({1}) is not null))"
    ).format(table, columns)
    with translated(step=f"look for rows of {schema}.{plan.table.name} that are there twice"):
        row = connection.execute(query).fetchone()
    return not (row and row[0])


def _made(plans: Sequence[Evolution]) -> Made:
    return Made(
        tables=tuple(plan.table.name for plan in plans if plan.create),
        columns=tuple(f"{plan.table.name}.{column.name}" for plan in plans for column in plan.add_columns),
        keys=tuple(plan.table.name for plan in plans if plan.add_key),
    )


def _require_ours(schema: str, plans: Sequence[Evolution]) -> None:
    _require_in_place(schema, [each for plan in plans for each in plan.conflicts if not each.rebuildable])


def _require_in_place(schema: str, conflicts: Sequence[Conflict]) -> None:
    if conflicts:
        are_ours = all(conflict.rebuildable for conflict in conflicts)
        raise ConfigurationError(
            "; ".join(f"{schema}.{conflict}" for conflict in conflicts),
            hint=_RESYNC if are_ours else "What is not the service's own is never changed: rename one of both.",
        )
