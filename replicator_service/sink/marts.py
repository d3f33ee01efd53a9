"""How fresh the marts are. They belong to other programs: where none are, or may be read, there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import MartView
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connection import Connection

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
select distinct on (mart) mart, as_of, loaded_at, seconds, rows, inserted, versioned, closed, overwritten
from mart.load_run
order by mart, as_of desc
limit 100
"""


def last_loads(connection: Connection) -> tuple[MartView, ...]:
    """The last load of each mart, by name."""
    with translated():
        row = connection.execute(_IS_READABLE, {"columns": len(_COLUMNS), "names": list(_COLUMNS)}).fetchone()
        if not (row and row[0]):
            return ()
        rows = connection.execute(_LAST_LOADS).fetchall()
    return tuple(MartView(*row) for row in rows)
