"""What the latest comparison of both sides has found, and what of it remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import Attempt, DifferenceGroup, LastReconciliation
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_COUNTED = """
with latest as (
    select distinct on (collection) id, collection, finished_at, documents, differences, repaired
    from replicator.reconciliation_run
    where stream = %(stream)s and state = 'finished'
    order by collection, finished_at desc
),

counted as (
    select id, finished_at, documents, differences, repaired
    from latest
    where finished_at >= coalesce((select l.finished_at from latest as l where l.collection is null), finished_at)
)

select
    max(finished_at),
    sum(differences)::bigint,
    sum(repaired)::bigint,
    sum(documents)::bigint,
    array_agg(id) filter (where differences > repaired)
from counted
"""
"""A comparison of everything replaces older ones of single collections; newer ones are added to it."""

_OUTSTANDING = """
select
    collection,
    kind,
    count(*),
    coalesce(detail, '') = 'dead letter'
from replicator.reconciliation_difference
where run_id = any(%(runs)s) and repaired_at is null
group by collection, kind, coalesce(detail, '') = 'dead letter'
order by count(*) desc, collection, kind
limit %(limit)s
"""
"""Each run remembers a bounded number of differences, so this stays cheap."""

_ATTEMPT = """
select started_at, error
from replicator.reconciliation_run
where stream = %(stream)s
    and state <> 'finished'
    and id > coalesce(
        (select max(f.id) from replicator.reconciliation_run as f where f.stream = %(stream)s and f.state = 'finished'),
        0
    )
order by id desc
limit 1
"""

GROUPS = 40


def last_reconciliation(connection: Connection, stream: str) -> LastReconciliation | None:
    """The latest finished comparison with what remains of its differences; None before the first."""
    with translated():
        row = connection.execute(_COUNTED, {"stream": stream}).fetchone()
        if row is None or row[0] is None:
            return None
        at, differences, repaired, documents, runs = row
        found = connection.execute(_OUTSTANDING, {"runs": runs, "limit": GROUPS}).fetchall() if runs else []
    groups = tuple(DifferenceGroup(row[0], DifferenceKind(row[1]), row[2], are_dead_letters=row[3]) for row in found)
    return LastReconciliation(at, differences, repaired, documents, groups)


def later_attempt(connection: Connection, stream: str) -> Attempt | None:
    """The reconciliation that began after the latest finished one, when there is one."""
    with translated():
        row = connection.execute(_ATTEMPT, {"stream": stream}).fetchone()
    return None if row is None else Attempt(row[0], row[1])
