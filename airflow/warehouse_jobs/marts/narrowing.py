"""The select of a mart over the rows of some keys: the same text, reading temporary tables of the sources' names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from psycopg import sql

from warehouse_jobs.marts.catalog import columns_of
from warehouse_jobs.marts.definition import COLUMN_TYPES
from warehouse_jobs.marts.key_journal import CHANGED_KEYS, reader_of
from warehouse_jobs.marts.staging import filled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.incremental import Incremental
    from warehouse_jobs.marts.server import Cursor

SCOPE = sql.Identifier("pg_temp", "scope")
"""The keys to be computed, in one column ``key``."""

# Comments, literals and dollar quotes are passed over; what is left are names and single characters.
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|(\$\w*\$).*?\1|"(?:[^"]|"")*"|\w+|\s+|.""",
    re.DOTALL,
)
_BLANK = re.compile(r"--|/\*|\s")


def make_scope(
    cursor: Cursor,
    mart: Mart,
    how: Incremental,
    schemas: Mapping[str, str],
    times: tuple[datetime, datetime],
    zone: str,
) -> int:
    """Fill :data:`SCOPE` with keys whose rows have changed, and whose windows moved between two loads; counts them."""
    key_type = sql.SQL(next(COLUMN_TYPES[column.type] for column in mart.columns if column.name == how.key))
    parts: list[sql.Composable] = [CHANGED_KEYS.format(reader=sql.Literal(reader_of(mart)))]
    for source in how.sources if how.edges else ():
        if source.time:
            moved = [
                sql.SQL("{time} between least({before}, {now}) and greatest({before}, {now})").format(
                    time=sql.Identifier(source.time),
                    before=sql.SQL(filled(cursor, mart, edge, times[0], zone)),
                    now=sql.SQL(filled(cursor, mart, edge, times[1], zone)),
                )
                for edge in how.edges
            ]
            # All edges at once: a table without an index of its times is read through, and once is enough.
            parts.append(
                sql.SQL("select {column}::text from {table} where ({moved}) and {column} is not null").format(
                    column=sql.Identifier(source.column),
                    table=sql.Identifier(schemas[source.table], source.table),
                    moved=sql.SQL(" or ").join(moved),
                )
            )
    query = sql.SQL("create temporary table scope on commit drop as select distinct key::{} as key from ({}) as found")
    cursor.execute(query.format(key_type, sql.SQL(" union all ").join(parts)))
    cursor.execute(sql.SQL("analyze {}").format(SCOPE))
    row = cursor.execute(sql.SQL("select count(*) from {}").format(SCOPE)).fetchone()
    return cast("tuple[int]", row)[0]


def misfit(cursor: Cursor, mart: Mart, how: Incremental, schemas: Mapping[str, str]) -> str:
    """Why rows of the sources cannot be found by the key; empty when they can."""
    key_type = next(COLUMN_TYPES[column.type] for column in mart.columns if column.name == how.key)
    for source in how.sources:
        columns = columns_of(cursor, sql.Identifier(schemas[source.table], source.table).as_string())
        if source.column and columns.get(source.column) != key_type:
            return f"{source.table}.{source.column} is {columns.get(source.column, 'missing')}, the key {key_type}"
        if source.time and not columns.get(source.time, "").startswith(("timestamp", "date")):
            return f"{source.table}.{source.time} is {columns.get(source.time, 'missing')}, and no time"
    return ""


def narrow(cursor: Cursor, how: Incremental, schemas: Mapping[str, str], used: Mapping[str, list[str]]) -> None:
    """Make the temporary tables: of each source the columns that are used, and the rows of the scope."""
    # The default takes a look-up by index for four times as dear as it is on storage that does not seek, and would read
    # ten million events for those of one user in a hundred.
    cursor.execute("set local random_page_cost = 1.1")
    # Which way to join is plain from a sample of 3,000 rows; ten times as many cost as much as the select itself.
    cursor.execute("set local default_statistics_target = 10")
    for source in how.sources:
        names = dict.fromkeys(("_id", *([source.column] if source.column else []), *used[source.table]))
        if source.parent:
            condition = sql.SQL("_id in (select _id from {})").format(sql.Identifier("pg_temp", source.parent))
        else:
            condition = sql.SQL("{} in (select key from {})").format(sql.Identifier(source.column), SCOPE)
        query = sql.SQL("create temporary table {} on commit drop as select {} from {} where {}")
        cursor.execute(
            query.format(
                sql.Identifier(source.table),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.Identifier(schemas[source.table], source.table),
                condition,
            )
        )
        cursor.execute(sql.SQL("analyze {}").format(sql.Identifier("pg_temp", source.table)))
    cursor.execute("set local random_page_cost to default")
    cursor.execute("set local default_statistics_target to default")


def widen(cursor: Cursor, how: Incremental) -> None:
    """Drop the temporary tables again."""
    for source in how.sources:
        cursor.execute(sql.SQL("drop table {}").format(sql.Identifier("pg_temp", source.table)))


def narrowed(select: str, schemas: Mapping[str, str]) -> str:
    """The select with ``pg_temp`` for the schema of each of these tables. Whether all were found, the catalog says."""
    tokens = [match[0] for match in _TOKEN.finditer(select)]
    words = [place for place, token in enumerate(tokens) if not _BLANK.match(token)]
    for before, first, dot, second in zip([0, *words], words, words[1:], words[2:], strict=False):
        is_schema = tokens[dot] == "." and (before == first or tokens[before] != ".")
        if is_schema and schemas.get(_name(tokens[second])) == _name(tokens[first]):
            tokens[first] = "pg_temp"
    return "".join(tokens)


def _name(token: str) -> str:
    """What a name in SQL means: folded unless it is quoted."""
    return token[1:-1].replace('""', '"') if token.startswith('"') else token.lower()
