"""How fresh the marts are. They belong to other programs: where none are, or may be read, there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.errors import ReplicatorError
from replicator_service.core.overview import MartView
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_COLUMNS = ("mart", "as_of", "loaded_at", "seconds", "rows", "inserted", "versioned", "closed", "overwritten")

_IS_READABLE = """
select exists (
    select
    from pg_namespace as n
    inner join pg_class as c on c.relnamespace = n.oid and c.relname = 'load_run'
    where n.nspname = 'mart'
        and has_schema_privilege(n.oid, 'usage')
        and has_table_privilege(c.oid, 'select')
        and %(columns)s = (
            select count(*) from pg_attribute as a where a.attrelid = c.oid and a.attname = any(%(names)s::name[])
        )
)
"""
"""Asked of the catalogue, since ``to_regclass`` fails in a schema that this user may not use."""

_LAST_LOADS = """
select distinct on (mart)
    mart::text, as_of::timestamptz, loaded_at::timestamptz, seconds::double precision,
    rows::bigint, inserted::bigint, versioned::bigint, closed::bigint, overwritten::bigint
from mart.load_run
where isfinite(as_of::timestamptz) and isfinite(loaded_at::timestamptz) and seconds::double precision < 'infinity'
    and num_nulls(mart, rows, inserted, versioned, closed, overwritten) = 0
order by mart, as_of desc
limit 100
"""


def last_loads(connection: Connection) -> tuple[MartView, ...]:
    """The last load of each mart, by name."""
    with translated():
        row = connection.execute(_IS_READABLE, {"columns": len(_COLUMNS), "names": list(_COLUMNS)}).fetchone()
    if not (row and row[0]):
        return ()
    try:
        with translated():
            rows = connection.execute(_LAST_LOADS).fetchall()
    except ReplicatorError:
        # Somebody holds a lock on a table that is not ours, or has made it anew: that must not hide what is ours.
        return ()
    return tuple(MartView(*row) for row in rows)
