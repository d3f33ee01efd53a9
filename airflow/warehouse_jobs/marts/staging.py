"""Makes a mart's select a temporary view, asks the catalog what it reads, and fills a temporary table from it.

``create table as`` rather than ``insert``, because only its select may use parallel workers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import psycopg
from psycopg import errors, sql

from warehouse_jobs.marts.catalog import columns_of
from warehouse_jobs.marts.definition import COLUMN_TYPES
from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.server_errors import describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor

STAGED = sql.Identifier("pg_temp", "staged")

_VIEW = sql.Identifier("pg_temp", "mart_select")
_HEAD = "create temporary view mart_select as\n"
_PERCENT = re.compile(r"%(?:\((\w+)\)s|(%)|)")

# Views among the sources are followed to the tables behind them; a column's number is 0 where only the rows count.
_READS = """
    with recursive used as (
        select depends.refobjid as relation, depends.refobjsubid as number
        from pg_catalog.pg_rewrite as rule
        join pg_catalog.pg_depend as depends
            on depends.classid = 'pg_catalog.pg_rewrite'::regclass and depends.objid = rule.oid
            and depends.refclassid = 'pg_catalog.pg_class'::regclass and depends.refobjid <> rule.ev_class
        where rule.ev_class = to_regclass('pg_temp.mart_select')

        union

        select depends.refobjid, depends.refobjsubid
        from used
        join pg_catalog.pg_rewrite as rule on rule.ev_class = used.relation
        join pg_catalog.pg_depend as depends
            on depends.classid = 'pg_catalog.pg_rewrite'::regclass and depends.objid = rule.oid
            and depends.refclassid = 'pg_catalog.pg_class'::regclass and depends.refobjid <> rule.ev_class
    )

    select
        space.nspname::text,
        relation.relname::text,
        coalesce(array_agg(attribute.attname::text) filter (where attribute.attnum > 0), '{}'),
        exists (
            select from pg_catalog.pg_attribute as place
            where place.attrelid = relation.oid and place.attname = '_ordinal' and not place.attisdropped
        )
    from used
    join pg_catalog.pg_class as relation on relation.oid = used.relation and relation.relkind in ('r', 'p', 'f')
    join pg_catalog.pg_namespace as space on space.oid = relation.relnamespace
    left join pg_catalog.pg_attribute as attribute
        on attribute.attrelid = used.relation and attribute.attnum = used.number
    group by space.nspname, relation.relname, relation.oid
    order by space.nspname, relation.relname
"""


def prepare_select(cursor: Cursor, mart: Mart, select: str, as_of: datetime, timezone: str) -> None:
    """Make the select a view of this transaction, with the parameters ``%(as_of)s`` and ``%(timezone)s`` put in.

    ``select`` is that of the mart, or the same over other tables.

    Raises DefinitionError when PostgreSQL cannot make sense of it, with the line of the ``.sql`` file.
    """
    statement = _HEAD + filled(cursor, mart, select, as_of, timezone)
    try:
        # Asking for binary forces the extended protocol, which refuses a second statement.
        cursor.execute(statement.encode(), binary=True)
    except errors.InsufficientPrivilege:
        raise
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise DefinitionError(
            f"mart {mart.name}: {_place(mart, statement, error)}{describe(error)}",
            hint="The replicator makes these tables when it starts with mappings/shop.yml: run it first.",
        ) from error
    except psycopg.ProgrammingError as error:
        raise DefinitionError(
            f"mart {mart.name}: the select failed: {_place(mart, statement, error)}{describe(error)}",
            hint=f"Correct {mart.name}.sql, or replicate with mappings/shop.yml, whose tables it reads.",
        ) from error
    except psycopg.DataError as error:
        raise _value_error(mart, error) from error


def tables_read(cursor: Cursor) -> list[tuple[str, str, list[str], bool]]:
    """The tables behind the view: schema, name, the columns that are used, and whether it has an ``_ordinal``."""
    return cast("list[tuple[str, str, list[str], bool]]", cursor.execute(_READS).fetchall())


def require_unread(cursor: Cursor, mart: Mart, schemas: Mapping[str, str]) -> None:
    """Raise DefinitionError when the view reads one of these tables, each in its schema."""
    if left := [table for schema, table, _, _ in tables_read(cursor) if schemas.get(table) == schema]:
        raise DefinitionError(
            f"mart {mart.name}: {', '.join(left)} is read in another way than by its name",
            hint=f"Name the tables in {mart.name}.sql with their schema, without views between.",
        )


def drop_select(cursor: Cursor) -> None:
    """Drop the view."""
    cursor.execute(sql.SQL("drop view {}").format(_VIEW))


def stage(cursor: Cursor, mart: Mart) -> None:
    """Fill :data:`STAGED` with the rows of the view; both go with the transaction.

    Raises DefinitionError when the select fails on a value, or when its columns are not exactly those of the
    definition, in name, order and type.
    """
    query = sql.SQL("create temporary table staged on commit drop as select * from {}")
    try:
        cursor.execute(query.format(_VIEW))
    except psycopg.DataError as error:
        raise _value_error(mart, error) from error
    drop_select(cursor)
    cursor.execute(sql.SQL("analyze {}").format(STAGED))
    _compare_shape(cursor, mart)


def filled(cursor: Cursor, mart: Mart, text: str, as_of: datetime, timezone: str) -> str:
    """SQL of a mart with literals for its parameters. None of them has an end of line, so lines keep their numbers."""
    parameters = {"as_of": as_of, "timezone": timezone}

    def literal(match: re.Match[str]) -> str:
        if match[2]:
            return "%"
        if match[1] not in parameters:
            raise DefinitionError(
                f"mart {mart.name}: the select failed: placeholders: {match[0]} in {mart.name}.sql",
                hint="Its parameters are %(as_of)s and %(timezone)s; any other percent sign is written twice.",
            )
        return sql.Literal(parameters[match[1]]).as_string(cursor)

    return _PERCENT.sub(literal, text)


def _value_error(mart: Mart, error: psycopg.Error) -> DefinitionError:
    return DefinitionError(
        f"mart {mart.name}: the select failed on a value: {describe(error)}",
        hint=f"Make {mart.name}.sql safe for such values; the server's log has the statement.",
    )


def _compare_shape(cursor: Cursor, mart: Mart) -> None:
    found = columns_of(cursor, "pg_temp.staged")
    faults = [f"{name} is in the definition only" for name in mart.column_names if name not in found]
    faults += [f"{name} is in the select only" for name in found if name not in mart.column_names]
    faults += [
        f"{column.name} is {found[column.name]} in the select and {column.type} in the definition"
        for column in mart.columns
        if column.name in found and found[column.name] != COLUMN_TYPES[column.type]
    ]
    if not faults and tuple(found) != mart.column_names:
        faults = [f"the order is {', '.join(found)} in the select"]
    if faults:
        raise DefinitionError(
            f"mart {mart.name}: select and definition have different columns: {'; '.join(faults)}",
            hint=f"Make sql/marts/{mart.name}.sql and .yml agree (a cast in the select sets a type).",
        )


def _place(mart: Mart, statement: str, error: psycopg.Error) -> str:
    """Say where in the ``.sql`` file the server points to; it counts characters of what it was sent."""
    if not error.diag.statement_position:
        return ""
    before = statement[: int(error.diag.statement_position) - 1]
    return f"line {before.count(chr(10))} of {mart.name}.sql: "
