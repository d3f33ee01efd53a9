"""The values of ``_extra``, by path: what no column took, as it was written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import DatetimeConversion
from psycopg import sql

from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.core.schema_findings import Path
    from replicator_service.sink.connect.connection import Connection

_READING = json_util.JSONOptions(
    tz_aware=False,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_QUERY = sql.SQL("select (_extra #> %(path)s)::text from {table} where _extra #> %(path)s is not null limit %(limit)s")


class _Unreadable:
    """Stands for a value whose JSON reads like a type that it is not: no column but ``jsonb`` holds it."""


def leftover_values(connection: Connection, schema: str, table: str, path: Path, limit: int) -> list[Any]:
    """Return up to ``limit`` values at a path of ``_extra``, as BSON's types. None when the table is not there.

    Integers have lost how many bits they had. Costs a scan of the table where such a value is rare.
    """
    with translated():
        exists = connection.execute(
            "select pg_catalog.to_regclass(%s)", (sql.Identifier(schema, table).as_string(connection),)
        )
        if exists.fetchone() == (None,):
            return []
        query = _QUERY.format(table=sql.Identifier(schema, table))
        rows = connection.execute(query, {"path": list(path), "limit": limit}).fetchall()
    return [_value(text) for (text,) in rows]


def _value(text: str) -> Any:  # noqa: ANN401 - any BSON value
    try:
        return json_util.loads(text, json_options=_READING)
    except (TypeError, ValueError, KeyError):
        return _Unreadable() if "$" in text else json.loads(text)
