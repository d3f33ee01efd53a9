"""How far collections are that are being read, how fast they may be, and which indexes are still to be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import IndexView, LoadView, SnapshotView
from replicator_service.core.sessions import Pace
from replicator_service.sink.control.snapshot_pace import read_pace
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_IS_THERE = "select pg_catalog.to_regclass('replicator.snapshot_range') is not null"
"""A program that is newer than the service's last start reads control tables without it."""

_SNAPSHOTS = """
select
    r.collection,
    count(*),
    count(*) filter (where r.finished_at is null),
    max(p.bytes)
from replicator.snapshot_range as r
inner join replicator.snapshot_progress as p on p.stream = r.stream and p.collection = r.collection
where r.stream = %s and p.finished_at is null
group by r.collection
order by r.collection
"""

_INDEXES = """
select
    b.collection,
    b.table_name,
    b.columns,
    b.state,
    b.error,
    p.blocks_done::double precision / nullif(p.blocks_total, 0)
from replicator.index_build as b
left join pg_catalog.pg_namespace as n on n.nspname = %s
left join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = b.table_name
left join pg_catalog.pg_stat_progress_create_index as p on p.relid = c.oid and b.state = 'building'
where b.stream = %s
order by b.collection, b.table_name, b.columns
"""


def read_loads(connection: Connection, stream: str, schema: str) -> LoadView:
    """What there is to tell; nothing where an older release has made the control tables."""
    with translated():
        row = connection.execute(_IS_THERE).fetchone()
        if not row or not row[0]:
            return LoadView(Pace())
        snapshots = connection.execute(_SNAPSHOTS, (stream,)).fetchall()
        indexes = connection.execute(_INDEXES, (schema, stream)).fetchall()
    return LoadView(
        read_pace(connection, stream),
        {name: SnapshotView(ranges, left, size) for name, ranges, left, size in snapshots},
        tuple(IndexView(name, table, tuple(columns), *others) for name, table, columns, *others in indexes),
    )
