"""The SQL text for one replicated table, composed once. Every name is quoted by the driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from replicator_service.core.mapping.model import TableSpec

_STAGING = "pg_temp"


@dataclass(frozen=True, slots=True)
class Statements:
    """How one table is written.

    Fresh rows: ``delete``, then ``copy``. Changed rows: ``copy_staging``, ``prune`` (child tables: elements that are
    gone), ``merge``. The staging table is emptied by each commit.
    """

    delete: sql.Composed
    copy: sql.Composed
    create_staging: sql.Composed
    empty_staging: sql.Composed
    copy_staging: sql.Composed
    prune: sql.Composed | None
    merge: sql.Composed
    delete_all: sql.Composed
    sweep: sql.Composed


def compose(schema: str, table: TableSpec) -> Statements:
    """Compose the statements of a table. Child tables are those with more than one key column."""
    target = sql.Identifier(schema, table.name)
    staging = sql.Identifier(_STAGING, table.name)
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    is_child = len(table.primary_key) > 1
    return Statements(
        delete=sql.SQL("delete from {} where _id = any(%s::text[])").format(beside_parameters(schema, table.name)),
        copy=sql.SQL("copy {} ({}) from stdin").format(target, columns),
        create_staging=_create_staging(staging, table),
        empty_staging=sql.SQL("delete from {}").format(staging),
        copy_staging=sql.SQL("copy {} ({}) from stdin").format(staging, columns),
        prune=_prune(schema, table) if is_child else None,
        merge=_merge(target, staging, columns, table, only_different=is_child),
        delete_all=sql.SQL("delete from {}").format(target),
        sweep=sql.SQL("delete from {} where age(xmin) > age((%s::text::xid8)::xid) and _id <> all(%s)").format(
            beside_parameters(schema, table.name)
        ),
    )


def beside_parameters(*names: str) -> sql.SQL:
    """Quote a name for a statement with parameters, where the driver would read a ``%`` in it as a placeholder."""
    return sql.SQL(sql.Identifier(*names).as_string().replace("%", "%%"))


def copy_rows(schema: str, source: TableSpec, target: TableSpec) -> sql.Composed:
    """Copy all rows between two tables of the same columns."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in target.columns)
    return sql.SQL("insert into {} ({}) select {} from {}").format(
        sql.Identifier(schema, target.name), columns, columns, sql.Identifier(schema, source.name)
    )


def _create_staging(staging: sql.Identifier, table: TableSpec) -> sql.Composed:
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in table.columns
    )
    return sql.SQL("create temporary table if not exists {} ({}) on commit delete rows").format(staging, columns)


def _prune(schema: str, table: TableSpec) -> sql.Composed:
    return sql.SQL(
        "delete from {} as kept where kept._id = any(%s::text[]) and not exists ("
        "select from {} as staged where staged._id = kept._id and staged._ordinal = kept._ordinal)"
    ).format(beside_parameters(schema, table.name), beside_parameters(_STAGING, table.name))


def _merge(
    target: sql.Identifier,
    staging: sql.Identifier,
    columns: sql.Composed,
    table: TableSpec,
    *,
    only_different: bool,
) -> sql.Composed:
    others = [column.name for column in table.columns if column.name not in table.primary_key]
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = excluded.{}").format(sql.Identifier(name), sql.Identifier(name)) for name in others
    )
    statement = sql.SQL("insert into {} as kept ({}) select {} from {} on conflict ({}) do update set {}").format(
        target,
        columns,
        columns,
        staging,
        sql.SQL(", ").join(sql.Identifier(name) for name in table.primary_key),
        assignments,
    )
    if not only_different:
        return statement
    compared = [name for name in others if name != "etl_valid_from"]
    kept = sql.SQL(", ").join(sql.SQL("kept.{}").format(sql.Identifier(name)) for name in compared)
    new = sql.SQL(", ").join(sql.SQL("excluded.{}").format(sql.Identifier(name)) for name in compared)
    return sql.SQL("{} where ({}) is distinct from ({})").format(statement, kept, new)
