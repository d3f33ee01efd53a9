"""Everything that PostgreSQL knows of a stream, in a few cheap queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.overview import CollectionView, DatabaseView, Leader
from replicator_service.core.steps import CollectionState
from replicator_service.sink.control.lease import HELD, NAMESPACE
from replicator_service.sink.errors import translated
from replicator_service.sink.overview.dead_letter_groups import dead_letter_groups
from replicator_service.sink.overview.failures import failed_requests, last_failure
from replicator_service.sink.overview.last_reconciliation import last_reconciliation, later_attempt
from replicator_service.sink.overview.loads import read_loads
from replicator_service.sink.overview.marts import last_loads
from replicator_service.sink.overview.schema_findings import finding_groups, top_findings

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_STREAM = """
select
    c.cluster_time,
    c.converging_until,
    coalesce(c.epoch, 0),
    exists (select from replicator.pause as p where p.stream = s.stream),
    (select count(*) from replicator.request as r where r.stream = s.stream and r.handled_at is null),
    extract(epoch from now() - c.updated_at)::double precision
from (select %(stream)s::text as stream) as s
left join replicator.checkpoint as c on c.stream = s.stream
"""

_COLLECTIONS = """
select
    c.collection,
    c.table_name,
    c.state,
    -- A crash of the server loses the statistics, and they count from nothing again; what was analyzed last it keeps.
    greatest(t.n_live_tup, k.reltuples::bigint - t.n_tup_del, 0),
    p.documents,
    p.expected
from replicator.collection as c
left join pg_namespace as n on n.nspname = %(schema)s
left join pg_class as k on k.relnamespace = n.oid and k.relname = c.table_name
left join pg_stat_user_tables as t on t.relid = k.oid
left join replicator.snapshot_progress as p on p.stream = c.stream and p.collection = c.collection
where c.stream = %(stream)s
order by c.collection
"""

_DEAD_LETTERS = "select collection, count(*) from replicator.dead_letter where stream = %(stream)s group by collection"

_LEADER = (
    HELD
    + """
select a.pid, a.application_name, host(a.client_addr), a.backend_start, a.state = 'active'
from holder as h
inner join pg_stat_activity as a on a.pid = h.pid
"""
)


def is_installed(connection: Connection) -> bool:
    """Whether the control tables exist."""
    with translated():
        row = connection.execute("select to_regclass('replicator.reconciliation_run') is not null").fetchone()
    return bool(row and row[0])


def lease_holder(connection: Connection, stream: str) -> Leader | None:
    """The session that leads this stream."""
    row = _leader_row(connection, stream)
    return None if row is None else Leader(row[0], row[1], row[2], row[3])


def is_writing(connection: Connection, stream: str) -> bool:
    """Whether the leader's writer waits for PostgreSQL at this moment. Reads no table."""
    row = _leader_row(connection, stream)
    return bool(row and row[4])


def read_overview(connection: Connection, stream: str, schema: str) -> DatabaseView:
    """What there is to tell of ``stream``, whose tables are in ``schema``."""
    if not is_installed(connection):
        return DatabaseView()
    named = {"stream": stream, "schema": schema}
    with translated():
        checkpoint = connection.execute(_STREAM, named).fetchone() or (None, None, 0, False, 0, None)
        collections = connection.execute(_COLLECTIONS, named).fetchall()
        dead_letters: dict[str, int] = dict(connection.execute(_DEAD_LETTERS, named).fetchall())
    leader = _leader_row(connection, stream)
    findings = finding_groups(connection, stream)
    cluster_time, converging_until, epoch, is_paused, open_requests, age = checkpoint
    return DatabaseView(
        is_installed=True,
        cluster_time=cluster_time,
        converging_until=converging_until,
        epoch=epoch,
        is_paused=is_paused,
        open_requests=open_requests,
        dead_letters=sum(dead_letters.values()),
        collections={row[0]: _collection(row, dead_letters.get(row[0], 0)) for row in collections},
        last_reconciliation=last_reconciliation(connection, stream),
        leader=None if leader is None else Leader(*leader[:4]),
        is_writing=bool(leader and leader[4]),
        dead_letter_groups=dead_letter_groups(connection, stream) if dead_letters else (),
        reconciliation_attempt=later_attempt(connection, stream),
        marts=last_loads(connection, stream),
        checkpoint_age=age,
        failure=last_failure(connection, stream),
        failed_requests=failed_requests(connection, stream),
        load=read_loads(connection, stream, schema),
        finding_groups=findings,
        findings=top_findings(connection, stream) if findings else (),
    )


def _leader_row(connection: Connection, stream: str) -> tuple[Any, ...] | None:
    with translated():
        return connection.execute(_LEADER, {"lease": NAMESPACE + stream}).fetchone()


def _collection(row: tuple[Any, ...], dead_letters: int) -> CollectionView:
    name, table, state, rows, documents, expected = row
    return CollectionView(name, table, CollectionState(state), int(rows or 0), documents, expected, dead_letters)
