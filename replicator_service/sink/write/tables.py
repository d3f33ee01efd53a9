"""Replicated tables: created from their specification, and in place only ever added to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.errors import ConfigurationError, Fatal
from replicator_service.core.mapping.evolution import Evolution, evolution_statements, plan_evolution
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

_COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_attribute as a
inner join pg_class as c on c.oid = a.attrelid
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = any(%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""

_INDEXES = "select indexname from pg_indexes where schemaname = %s"


def ensure_schema(connection: Connection, schema: str) -> None:
    """Create the schema of the replicated tables if it is not there."""
    with translated():
        exists = connection.execute("select from pg_namespace where nspname = %s", (schema,)).fetchall()
        if not exists:
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))


def plan_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> list[Evolution]:
    """Compare tables with what exists. Changes nothing."""
    existing: dict[str, dict[str, str]] = {}
    with translated():
        for table, column, kind in connection.execute(_COLUMNS, (schema, [table.name for table in tables])):
            existing.setdefault(table, {})[column] = kind
        indexes = [name for (name,) in connection.execute(_INDEXES, (schema,))]
    return [plan_evolution(existing, table, indexes) for table in tables]


def ensure_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Make tables have every column and index of their specification.

    Raises :class:`ConfigurationError` for what cannot be done in place, all of it at once.
    """
    plans = plan_tables(connection, schema, tables)
    conflicts = [conflict for plan in plans for conflict in plan.conflicts]
    if conflicts:
        raise ConfigurationError(
            "; ".join(f"{schema}.{conflict}" for conflict in conflicts),
            hint="Leave the request with 'replicator resync COLLECTION', then start the service again.",
        )
    with translated():
        for plan in plans:
            for statement in evolution_statements(schema, plan):
                connection.execute(statement.encode())


def require_shape(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Check that tables still have the columns they were given: otherwise no document is at fault.

    Raises :class:`Fatal` when somebody has changed one.
    """
    for plan in plan_tables(connection, schema, tables):
        changed = [str(conflict.column or conflict.message) for conflict in plan.conflicts]
        changed += [column.name for column in plan.add_columns]
        if changed:
            raise Fatal(
                f"the table {schema}.{plan.table.name} was changed by hand: {', '.join(changed)}",
                hint="Leave the request with 'replicator resync COLLECTION', which makes it what it should be and "
                "reads the collection again, then start the service.",
            )


def drop_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Drop tables that nothing depends on."""
    with translated():
        for table in tables:
            connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(schema, table.name)))


def rebuild_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Drop what is in the way of a new shape, and create the tables anew; a resync fills them again."""
    plans = plan_tables(connection, schema, tables)
    with translated():
        for plan in plans:
            # A table that is not one of ours is left alone: ensure_tables reports it.
            if plan.conflicts and all(conflict.rebuildable for conflict in plan.conflicts):
                connection.execute(sql.SQL("drop table {}").format(sql.Identifier(schema, plan.table.name)))
    ensure_tables(connection, schema, tables)
