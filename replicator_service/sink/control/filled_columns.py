"""Columns that documents have filled, and what becomes of those that the mapping leaves while there are rules.

A column that is not mapped any more stays with the values that it had. Under rules of privacy that is not what anybody
means who excludes the path that filled it: its values are set to null. Columns of others are never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.errors import ConfigurationError, RecordRejected
from replicator_service.core.mapping.ddl import identifier, qualified
from replicator_service.core.mapping.model import tables_of
from replicator_service.sink.errors import translated
from replicator_service.sink.write.existing import existing_tables
from replicator_service.sink.write.round_trip import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import CollectionMapping
    from replicator_service.sink.connect.connection import Connection

_REMEMBER = b"""
insert into replicator.filled_column (stream, collection, table_name, column_name)
select %s, w.collection, w.name, w.filled
from unnest(%s::text[], %s::text[], %s::text[]) as w (collection, name, filled)
on conflict do nothing
"""
_KNOWN = """
select collection, table_name, column_name from replicator.filled_column where stream = %s and collection = any(%s)
"""
_FORGET = """
delete from replicator.filled_column
where stream = %s and collection = %s and table_name = %s and column_name = %s
"""


def remembers(stream: str, mappings: Sequence[CollectionMapping]) -> Query:
    """What remembers the columns that these mappings fill."""
    filled = _filled(mappings)
    return Query(_REMEMBER, (stream, *(list(each) for each in zip(*filled, strict=True))))


def empty_left(connection: Connection, schema: str, stream: str, mappings: Sequence[CollectionMapping]) -> None:
    """Set to null what documents have filled and the mapping does not name any more, of collections with rules."""
    ruled = [each for each in mappings if each.rules]
    if not ruled:
        return
    names = [each.collection for each in ruled]
    with translated(step="look for columns that are not mapped any more"):
        known = connection.execute(_KNOWN, (stream, names)).fetchall()
    now = set(_filled(ruled))
    left = sorted(each for each in known if each not in now)
    existing = existing_tables(connection, schema, sorted({table for _, table, _ in left})) if left else {}
    for collection, table, column in left:
        if table in existing and column in existing[table].columns:
            _empty(connection, schema, table, column)
        with translated():
            connection.execute(_FORGET, (stream, collection, table, column))


def _empty(connection: Connection, schema: str, table: str, column: str) -> None:
    name = sql.Identifier(column)
    statement = sql.SQL("update {} set {} = null where {} is not null")
    try:
        # Not as a step: then the message would quote the row.
        with translated():
            connection.execute(statement.format(sql.Identifier(schema, table), name, name))
    except RecordRejected as error:
        raise ConfigurationError(
            f"the column {column} of {schema}.{table} is not mapped any more, and its values cannot be removed: "
            f"{error.message}",
            hint=f"Remove it with its values: alter table {qualified(schema, table)} drop column {identifier(column)}",
        ) from error


def forget(connection: Connection, stream: str, collection: str) -> None:
    """Forget a collection whose tables go."""
    with translated():
        connection.execute(
            "delete from replicator.filled_column where stream = %s and collection = %s", (stream, collection)
        )


def _filled(mappings: Sequence[CollectionMapping]) -> list[tuple[str, str, str]]:
    return [
        (each.collection, table.name, column.name)
        for each in mappings
        for table in tables_of(each)
        for column in table.columns
    ]
