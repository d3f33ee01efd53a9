"""Takes back the last load of a mart: what it opened is removed, what it closed is open, what it overwrote is back."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

from replicator_service.core.words import counted
from warehouse_jobs.marts import storage, times
from warehouse_jobs.marts.control_tables import LOAD_RUN, OVERWRITTEN, SCHEMA
from warehouse_jobs.marts.definition import COLUMN_TYPES, VALID_FROM, VALID_TO, Mart
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY, read_mart
from warehouse_jobs.marts.errors import UndoRefusedError
from warehouse_jobs.marts.queue import turn
from warehouse_jobs.marts.results import UndoResult
from warehouse_jobs.marts.server import Warehouse, connected
from warehouse_jobs.marts.server_errors import translated

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from warehouse_jobs.marts.server import Cursor


def undo(warehouse: Warehouse, mart: Mart | str, *, directory: Path = DEFAULT_DIRECTORY) -> UndoResult:
    """Make history, current rows and ``mart.load_run`` what they were before the last load, in one transaction.

    Columns that the load added stay, null in every version. Undoing again takes back the load before, unless that one
    overwrote untracked columns: what these were is known of the last load alone. Raises UndoRefusedError then, and
    where there is no load.
    """
    mart = read_mart(mart, directory) if isinstance(mart, str) else mart
    with translated(mart.name), connected(warehouse) as connection, turn(connection, mart.name) as cursor:
        last = times.last_as_of(cursor, mart)
        if last is None:
            raise UndoRefusedError(
                f"mart {mart.name} has no load that could be taken back", hint="Nothing was changed."
            )
        restored = _restore(cursor, mart, last)
        history = sql.Identifier(SCHEMA, mart.history)
        names = {"history": history, "valid_from": sql.Identifier(VALID_FROM), "valid_to": sql.Identifier(VALID_TO)}
        removed = cursor.execute(
            sql.SQL("delete from {history} where {valid_from} = %s and {valid_to} is null").format(**names), [last]
        ).rowcount
        reopened = cursor.execute(
            sql.SQL("update {history} set {valid_to} = null where {valid_to} = %s").format(**names), [last]
        ).rowcount
        cursor.execute(sql.SQL("delete from {} where mart = %s and as_of = %s").format(LOAD_RUN), [mart.name, last])
        return UndoResult(mart.name, last, removed, reopened, restored, times.last_as_of(cursor, mart))


def _restore(cursor: Cursor, mart: Mart, last: datetime) -> int:
    """Put back what the load overwrote in place."""
    query = sql.SQL("select overwritten from {} where mart = %s and as_of = %s").format(LOAD_RUN)
    wanted = cast("tuple[int]", cursor.execute(query, [mart.name, last]).fetchone())[0]
    if not wanted:
        return 0
    types = storage.history_columns(cursor, mart)
    query = sql.SQL("select before from {} where mart = %s and as_of = %s limit 1").format(OVERWRITTEN)
    found = cast("tuple[dict[str, object]] | None", cursor.execute(query, [mart.name, last]).fetchone())
    columns = [name for name in found[0] if name in types] if found else []
    restored = 0
    if columns:
        statement = sql.SQL(
            "update {current} as version set {values} from {overwritten} as remembered "
            "where remembered.mart = %s and remembered.as_of = %s and {same_key}"
        ).format(
            current=sql.Identifier(SCHEMA, mart.current),
            values=sql.SQL(", ").join(
                sql.SQL("{} = (remembered.before ->> {})::{}").format(
                    sql.Identifier(name), sql.Literal(name), sql.SQL(types[name])
                )
                for name in columns
            ),
            overwritten=OVERWRITTEN,
            same_key=sql.SQL(" and ").join(
                sql.SQL("version.{} = remembered.key[{}]::{}").format(
                    sql.Identifier(column.name),
                    sql.Literal(mart.key.index(column.name) + 1),
                    sql.SQL(COLUMN_TYPES[column.type]),
                )
                for column in mart.columns
                if column.name in mart.key
            ),
        )
        restored = cursor.execute(statement, [mart.name, last]).rowcount
        cursor.execute(sql.SQL("delete from {} where mart = %s").format(OVERWRITTEN), [mart.name])
    if restored != wanted:
        raise UndoRefusedError(
            f"mart {mart.name}: the load as of {last.isoformat()} overwrote {counted(wanted, 'row')} in place, "
            f"and what they were is known of {restored}",
            hint="It cannot be taken back exactly, and nothing was changed.",
        )
    return restored
