"""What was found about the documents' schema: sums per collection and kind, and the findings that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import FindingGroup
from replicator_service.core.schema_findings import FindingKind, SchemaFinding
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

SHOWN = 50

_IS_THERE = "select pg_catalog.to_regclass('replicator.schema_finding') is not null"
"""A program that is newer than the service's last start reads control tables without it."""

_GROUPS = """
select collection, kind, count(*), sum(count)::bigint
from replicator.schema_finding
where stream = %s
group by collection, kind
order by collection, kind
"""

_MOST = """
select collection, path, kind, first_seen, last_seen, count
from replicator.schema_finding
where stream = %s
order by pg_catalog.array_position(array['misfit', 'gone', 'new_field'], kind), count desc, collection, path
limit %s
"""


def finding_groups(connection: Connection, stream: str) -> tuple[FindingGroup, ...]:
    """How many paths there are of each collection and kind."""
    with translated():
        if connection.execute(_IS_THERE).fetchone() != (True,):
            return ()
        rows = connection.execute(_GROUPS, (stream,)).fetchall()
    return tuple(FindingGroup(name, FindingKind(kind), paths, count) for name, kind, paths, count in rows)


def top_findings(connection: Connection, stream: str) -> tuple[SchemaFinding, ...]:
    """Values that do not fit first, then columns without values, then new fields; of each the most frequent first."""
    with translated():
        rows = connection.execute(_MOST, (stream, SHOWN)).fetchall()
    return tuple(SchemaFinding(name, path, FindingKind(kind), *rest) for name, path, kind, *rest in rows)
