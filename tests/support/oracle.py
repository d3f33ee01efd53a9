"""PostgreSQL itself says whether tables hold what documents become: expected rows are copied beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bson
import psycopg
from psycopg import sql

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.transform import compile_transform

if TYPE_CHECKING:
    from collections.abc import Collection

    from replicator_service.core.mapping.model import CollectionMapping, TableSpec


def differences(
    connection: psycopg.Connection[Any], schema: str, mapping: CollectionMapping, documents: Collection[bytes]
) -> list[str]:
    """Compare the tables of a collection with `transform(documents)`, `etl_valid_from` aside.

    Must run inside a transaction that can create temporary tables. Gives one line a difference.
    """
    transform = compile_transform(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    for raw in documents:
        transform.write_exact(raw, "2000-01-01 00:00:00+00", lines)
        bson.decode(raw, CODEC_OPTIONS)
    found: list[str] = []
    for table, expected in zip(transform.tables, lines, strict=True):
        found += _compare(connection, schema, table, expected)
    return found


def _compare(connection: psycopg.Connection[Any], schema: str, table: TableSpec, expected: list[str]) -> list[str]:
    target = sql.Identifier(schema, table.name)
    temporary = sql.Identifier("pg_temp", "expected")
    columns = sql.SQL(", ").join(
        sql.Identifier(column.name) for column in table.columns if column.name != "etl_valid_from"
    )
    kinds = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in table.columns
    )
    connection.execute("drop table if exists pg_temp.expected")
    connection.execute(sql.SQL("create temporary table {} ({})").format(temporary, kinds))
    with connection.cursor().copy(sql.SQL("copy {} from stdin").format(temporary)) as copy:
        copy.write("".join(line + "\n" for line in expected).encode())
    found = []
    for kind, left, right in (("missing", temporary, target), ("unexpected", target, temporary)):
        query = sql.SQL("select ({})::text from (select {} from {} except all select {} from {}) as d").format(
            sql.SQL("row({})").format(columns), columns, left, columns, right
        )
        found += [f"{kind} in {table.name}: {row[0]}" for row in connection.execute(query)]
    return found
