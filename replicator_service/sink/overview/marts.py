"""How fresh the marts are. They belong to other programs: where none are, or may be read, there is nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.errors import ReplicatorError
from replicator_service.core.overview import MartView
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_COLUMNS = ("mart", "as_of", "loaded_at", "seconds", "rows", "inserted", "versioned", "closed", "overwritten")

_LATER = ("source_time", "warnings", "streams")
"""Columns that loads of older releases do not have."""

_READABLE = """
select a.attname::text
from pg_namespace as n
inner join pg_class as c on c.relnamespace = n.oid and c.relname = 'load_run'
inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = 'mart' and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
"""
"""Asked of the catalogue, since ``to_regclass`` fails in a schema that this user may not use."""

_LAST_LOADS = """
select
    mart::text, as_of::timestamptz, loaded_at::timestamptz, seconds::double precision,
    rows::bigint, inserted::bigint, versioned::bigint, closed::bigint, overwritten::bigint,
    case when isfinite({source_time}::timestamptz) then {source_time}::timestamptz end,
    coalesce({warnings}::text[], '{{}}')
from (
    select distinct on (mart) *
    from mart.load_run
    where isfinite(as_of::timestamptz) and isfinite(loaded_at::timestamptz) and seconds::double precision < 'infinity'
        and num_nulls(mart, rows, inserted, versioned, closed, overwritten) = 0
    order by mart, as_of desc
) as latest
where coalesce({streams}::text[] = '{{}}' or {stream} = any({streams}::text[]), true)
order by mart
limit 100
"""
"""Where several services share the database, each shows the marts that use its tables."""


def last_loads(connection: Connection, stream: str) -> tuple[MartView, ...]:
    """The last load of each mart that uses the stream's tables, or does not say which it uses, by name."""
    with translated():
        present = {str(row[0]) for row in connection.execute(_READABLE).fetchall()}
    if not present.issuperset(_COLUMNS):
        return ()
    later = {name: sql.Identifier(name) if name in present else sql.SQL("null") for name in _LATER}
    query = sql.SQL(_LAST_LOADS).format(stream=sql.Literal(stream), **later)
    try:
        with translated():
            rows = connection.execute(query).fetchall()
    except ReplicatorError:
        # Somebody holds a lock on a table that is not ours, or has made it anew: that must not hide what is ours.
        return ()
    return tuple(replace(view, warnings=tuple(view.warnings)) for view in (MartView(*row) for row in rows))
