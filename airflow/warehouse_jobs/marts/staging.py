"""Runs a mart's select into a temporary table and compares its shape with the definition.

``create table as`` rather than ``insert``, because only its select may use parallel workers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors, sql

from warehouse_jobs.marts.catalog import columns_of
from warehouse_jobs.marts.definition import COLUMN_TYPES
from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.server_errors import describe

if TYPE_CHECKING:
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor

STAGED = sql.Identifier("pg_temp", "staged")

_HEAD = "create temporary table staged on commit drop as select * from (\n"
_TAIL = "\n) as mart"
_PARAMETER = re.compile(r"%\((\w+)\)s|%%")


def stage(cursor: Cursor, mart: Mart, as_of: datetime, timezone: str) -> None:
    """Fill :data:`STAGED` with the rows of the mart; it is dropped with the transaction.

    The select may use the parameters ``%(as_of)s`` and ``%(timezone)s``. Raises DefinitionError when it fails
    or when its columns are not exactly those of the definition, in name, order and type.
    """
    query = sql.SQL(_HEAD + mart.sql + _TAIL)
    try:
        # Asking for binary forces the extended protocol, which refuses a second statement.
        cursor.execute(query, {"as_of": as_of, "timezone": timezone}, binary=True)
    except errors.InsufficientPrivilege:
        raise
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise DefinitionError(
            f"mart {mart.name}: {_place(mart, error)}{describe(error)}",
            hint="The replicator makes these tables when it starts with mappings/shop.yml: run it first.",
        ) from error
    except psycopg.ProgrammingError as error:
        # Without a SQLSTATE it never reached the server: psycopg refused a bare percent sign or an unknown
        # parameter.
        cause = describe(error) if error.sqlstate else f"placeholders: {error}"
        raise DefinitionError(
            f"mart {mart.name}: the select failed: {_place(mart, error)}{cause}",
            hint=f"Correct {mart.name}.sql (its parameters are %(as_of)s and %(timezone)s, any other percent sign "
            "is written twice), or replicate with mappings/shop.yml, whose tables it reads.",
        ) from error
    except psycopg.DataError as error:
        raise DefinitionError(
            f"mart {mart.name}: the select failed on a value: {describe(error)}",
            hint=f"Make {mart.name}.sql safe for such values; the server's log has the statement.",
        ) from error
    cursor.execute(sql.SQL("analyze {}").format(STAGED))
    _compare_shape(cursor, mart)


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


def _place(mart: Mart, error: psycopg.Error) -> str:
    """Say where in the ``.sql`` file the server points to; it counts characters of what it was sent."""
    if not error.diag.statement_position:
        return ""
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    before = (_HEAD + _PARAMETER.sub(numbered, mart.sql))[: int(error.diag.statement_position) - 1]
    return f"line {before.count(chr(10))} of {mart.name}.sql: "
