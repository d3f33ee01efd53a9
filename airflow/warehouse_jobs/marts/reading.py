"""Reads marts: the rows that were valid at a time, and the last loads. Publishes nothing."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import fields, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from psycopg import DataError, sql
from psycopg.rows import tuple_row
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from warehouse_jobs.marts import storage, times
from warehouse_jobs.marts.catalog import columns_of, exists
from warehouse_jobs.marts.control_tables import LOAD_RUN, SCHEMA
from warehouse_jobs.marts.definition import VALID_FROM, VALID_TO, Mart
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY, read_mart
from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.results import MartStatus, ValidRows
from warehouse_jobs.marts.server import Cursor, Warehouse, connected
from warehouse_jobs.marts.server_errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from psycopg.abc import Buffer


def as_of(
    warehouse: Warehouse,
    mart: Mart | str,
    at: datetime,
    *,
    directory: Path = DEFAULT_DIRECTORY,
    limit: int | None = None,
) -> ValidRows:
    """Return the versions valid at a time, in order of the key: ``etl_valid_from <= at < etl_valid_to``."""
    times.require_zone(at)
    mart = read_mart(mart, directory) if isinstance(mart, str) else mart
    with translated(mart.name), _reader(warehouse) as cursor:
        if not exists(cursor, f"{SCHEMA}.{mart.history}"):
            raise DefinitionError(
                f"mart {mart.name} has not been loaded yet", hint=f"Run: warehouse marts load {mart.name}"
            )
        present = storage.history_columns(cursor, mart)
        columns = (*(name for name in mart.column_names if name in present), VALID_FROM, VALID_TO)
        parts = {
            "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
            "history": sql.Identifier(SCHEMA, mart.history),
            "valid_from": sql.Identifier(VALID_FROM),
            "valid_to": sql.Identifier(VALID_TO),
            "key": sql.SQL(", ").join(map(sql.Identifier, mart.key)),
        }
        valid = "from {history} where {valid_from} <= %(at)s and ({valid_to} is null or {valid_to} > %(at)s)"
        query = sql.SQL(f"select {{columns}} {valid} order by {{key}} limit %(limit)s").format(**parts)
        rows = cursor.execute(query, {"at": at, "limit": limit}).fetchall()
        counted = cursor.execute(sql.SQL(f"select count(*) {valid}").format(**parts), {"at": at}).fetchone()
    return ValidRows(mart.name, at, columns, tuple(rows), cast("tuple[int]", counted)[0])


def statuses(warehouse: Warehouse, marts: Sequence[str]) -> dict[str, MartStatus | None]:
    """The last load of each of these marts, None before the first. Of older releases' loads less is known."""
    found: dict[str, MartStatus | None] = dict.fromkeys(marts)
    with translated("(status)"), _reader(warehouse) as cursor:
        present = columns_of(cursor, f"{SCHEMA}.load_run")
        if not present:
            return found
        columns = [
            sql.Identifier(name) if name in present else sql.SQL("null")
            for name in (each.name for each in fields(MartStatus))
        ]
        query = sql.SQL("select distinct on (mart) {} from {} where mart = any(%s) order by mart, as_of desc").format(
            sql.SQL(", ").join(columns), LOAD_RUN
        )
        for row in cast("list[tuple[Any, ...]]", cursor.execute(query, [list(marts)]).fetchall()):
            status = MartStatus(*row)
            found[status.mart] = replace(
                status, warnings=tuple(status.warnings or ()), accepted=tuple(status.accepted or ())
            )
    return found


def read_leniently(cursor: Cursor) -> None:
    """Have the cursor give every value as it is: times that Python does not have, and intervals, as text in UTC.

    Numbers inside JSON are exact.
    """
    cursor.execute("select set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true)")
    cursor.adapters.register_loader("timestamptz", _Timestamptz)
    cursor.adapters.register_loader("timestamp", _Timestamp)
    cursor.adapters.register_loader("date", _Date)
    cursor.adapters.register_loader("interval", TextLoader)
    set_json_loads(partial(json.loads, parse_float=Decimal), context=cursor)


@contextmanager
def _reader(warehouse: Warehouse) -> Iterator[Cursor]:
    with connected(warehouse) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("set transaction isolation level repeatable read, read only")
        read_leniently(cursor)
        yield cursor


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:  # noqa: ANN401 - a time, or a text
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


class _Timestamp(TimestampLoader):
    def load(self, data: Buffer) -> Any:  # noqa: ANN401 - a time, or a text
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()


class _Date(DateLoader):
    def load(self, data: Buffer) -> Any:  # noqa: ANN401 - a date, or a text
        try:
            return super().load(data)
        except DataError:
            return bytes(data).decode()
