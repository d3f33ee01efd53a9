"""Replicated tables: created from their specification, and changed only by adding to them."""

from __future__ import annotations

from psycopg import sql

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.model import TableSpec
from replicator_service.core.naming import index_name
from replicator_service.sink.connection import Connection
from replicator_service.sink.errors import translated

_EXISTING = """
select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
from pg_attribute as a
inner join pg_class as c on c.oid = a.attrelid
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
"""

_SPELLED_OUT = {"timestamptz": "timestamp with time zone", "timestamptz[]": "timestamp with time zone[]"}


def ensure_schema(connection: Connection, schema: str) -> None:
    """Create the schema of the replicated tables if it is not there."""
    with translated():
        exists = connection.execute("select from pg_namespace where nspname = %s", (schema,)).fetchone()
        if exists is None:
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))


def ensure_table(connection: Connection, schema: str, table: TableSpec) -> bool:
    """Make a table have every column and index of its specification; true when it existed and was added to.

    Raises :class:`ConfigurationError` when a column exists with another type: that cannot be changed in place.
    """
    with translated():
        rows = connection.execute(_EXISTING, (schema, table.name)).fetchall()
        if not rows:
            connection.execute(_create(schema, table))
            added = False
        else:
            added = _add_columns(connection, schema, table, {name: kind for name, kind, _ in rows})
        for columns in table.indexes:
            connection.execute(_create_index(schema, table, columns))
    return added


def _add_columns(connection: Connection, schema: str, table: TableSpec, existing: dict[str, str]) -> bool:
    missing = []
    for column in table.columns:
        found = existing.get(column.name)
        wanted = _SPELLED_OUT.get(column.type, column.type)
        if found is None:
            missing.append(column)
        elif found != wanted:
            raise ConfigurationError(
                f"column {column.name} of table {schema}.{table.name} is {found}, and the mapping wants {wanted}",
                hint="A type cannot be changed in place: drop the table (or the column) and start again; the collection "
                "is then read anew.",
            )
    for column in missing:
        connection.execute(
            sql.SQL("alter table {} add column {} {}").format(
                sql.Identifier(schema, table.name), sql.Identifier(column.name), sql.SQL(column.type)
            )
        )
    return bool(missing)


def _create(schema: str, table: TableSpec) -> sql.Composed:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in table.columns
    )
    key = sql.SQL(", ").join(sql.Identifier(name) for name in table.primary_key)
    return sql.SQL("create table {} ({}, constraint {} primary key ({}))").format(
        sql.Identifier(schema, table.name),
        columns,
        sql.Identifier(index_name(table.name, ("pkey",))),
        key,
    )


def _create_index(schema: str, table: TableSpec, columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("create index if not exists {} on {} ({})").format(
        sql.Identifier(index_name(table.name, (*columns, "idx"))),
        sql.Identifier(schema, table.name),
        sql.SQL(", ").join(sql.Identifier(name) for name in columns),
    )
