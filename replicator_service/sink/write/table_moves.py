"""What is done to whole tables: renamed, emptied, removed, replaced by another's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from replicator_service.core.mapping.evolution import plan_evolution
from replicator_service.sink.errors import translated
from replicator_service.sink.indexes.ending import end_builds
from replicator_service.sink.write.checked import require_rows
from replicator_service.sink.write.existing import existing_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.sink.connect.connection import Connection

_EXISTS = """
select exists (
    select from pg_catalog.pg_class as c
    inner join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p')
)
"""


def rename_tables(connection: Connection, schema: str, targets: Mapping[str, TableSpec], left: Sequence[str]) -> None:
    """Give tables the names and shapes of their targets, all at once: two may change theirs.

    Those that cannot become their target, or whose target is there already, are emptied instead, as ``left`` ones are.
    """
    names = [*targets, *(target.name for target in targets.values()), *left]
    existing = existing_tables(connection, schema, names)
    renamed = {
        name: target.name
        for name, target in targets.items()
        if name in existing
        and (target.name not in existing or target.name in targets)
        and not plan_evolution(existing[name], target).conflicts
    }
    end_builds(connection, schema, list(renamed))
    rename = sql.SQL("alter table {} rename to {}")
    with translated(step=f"rename tables in the schema {schema}"):
        for number, name in enumerate(renamed):
            between = sql.Identifier(f"replicator_renamed_{number}")
            connection.execute(rename.format(sql.Identifier(schema, name), between))
        for number, target_name in enumerate(renamed.values()):
            between = sql.Identifier(schema, f"replicator_renamed_{number}")
            connection.execute(rename.format(between, sql.Identifier(target_name)))
    others = [name for name in (*targets, *left) if name in existing and name not in renamed]
    empty_tables(connection, schema, [name for name in others if name not in renamed.values()])


def empty_tables(connection: Connection, schema: str, names: Sequence[str]) -> int:
    """Delete all rows, make sure that they are gone and return how many the first table had."""
    deleted = []
    for name in names:
        table = sql.Identifier(schema, name)
        with translated(step=f"empty the table {schema}.{name}"):
            deleted.append(connection.execute(sql.SQL("delete from {}").format(table)).rowcount)
            row = connection.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
        require_rows(schema, name, 0, row[0] if row else 0)
    return deleted[0] if deleted else 0


def remove_tables(connection: Connection, schema: str, tables: Sequence[TableSpec]) -> None:
    """Drop tables; those that something else depends on stay, without rows."""
    for table in tables:
        if not _exists(connection, schema, table.name):
            continue
        end_builds(connection, schema, [table.name])
        with translated():
            connection.execute("savepoint removing")
            try:
                connection.execute(sql.SQL("drop table {}").format(sql.Identifier(schema, table.name)))
            except (psycopg.errors.DependentObjectsStillExist, psycopg.errors.InsufficientPrivilege):
                connection.execute("rollback to savepoint removing")
                empty_tables(connection, schema, [table.name])
            connection.execute("release savepoint removing")


def replace_rows(connection: Connection, schema: str, source: TableSpec, target: TableSpec) -> None:
    """Make the rows of one table those of another of the same columns, and empty that one.

    Rows that both have are not touched: others' references and triggers see what has changed.
    """
    names = [column.name for column in target.columns]
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    key = sql.SQL(", ").join(sql.Identifier(name) for name in target.primary_key)
    same_key = sql.SQL(" and ").join(
        sql.SQL("kept.{0} = moved.{0}").format(sql.Identifier(name)) for name in target.primary_key
    )
    compared = [name for name in names if name not in target.primary_key and name != "etl_valid_from"]
    parts = {
        "target": sql.Identifier(schema, target.name),
        "source": sql.Identifier(schema, source.name),
        "columns": columns,
        "key": key,
        "same_key": same_key,
        "assignments": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
            for name in names
            if name not in target.primary_key
        ),
        "kept": _record("kept", compared),
        "new": _record("excluded", compared),
    }
    with translated():
        for statement in (_DELETE_OTHERS, _TAKE_OVER):
            connection.execute(sql.SQL(statement).format(**parts))
    empty_tables(connection, schema, [source.name])


_DELETE_OTHERS = "delete from {target} as kept where not exists (select from {source} as moved where {same_key})"
_TAKE_OVER = (
    "insert into {target} as kept ({columns}) select {columns} from {source} "
    "on conflict ({key}) do update set {assignments} where {kept} operator(pg_catalog.*<>) {new}"
)


def _record(alias: str, names: Sequence[str]) -> sql.Composed:
    """A row of columns as one value: its image tells 1.0 from 1 in jsonb, which ``=`` does not."""
    fields = sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)
    return sql.SQL("(row({})::record)").format(fields)


def _exists(connection: Connection, schema: str, name: str) -> bool:
    with translated():
        row = connection.execute(_EXISTS, (schema, name)).fetchone()
    return bool(row and row[0])
