"""What the latest comparisons of both sides have found, collection by collection, and what of it remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import Attempt, DifferenceGroup, LastReconciliation
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_LATEST = """
with runs as (
    select id, finished_at, parts
    from replicator.reconciliation_run
    where stream = %(stream)s
        and state = 'finished'
        and id >= coalesce(
            (
                select max(w.id)
                from replicator.reconciliation_run as w
                where w.stream = %(stream)s and w.state = 'finished' and w.collection is null
            ),
            0
        )
    order by id desc
    limit %(runs)s
),

latest as (
    select distinct on (p.value ->> 'collection')
        p.value ->> 'collection' as collection,
        r.id,
        r.finished_at,
        sum((p.value ->> 'documents')::bigint) as documents,
        sum((p.value ->> 'differences')::bigint) as differences,
        sum((p.value ->> 'repaired')::bigint) as repaired
    from runs as r
    cross join jsonb_each(r.parts) as p
    group by p.value ->> 'collection', r.id, r.finished_at
    order by p.value ->> 'collection', r.id desc
)
"""
"""The last comparison of each collection, of those since everything was compared: older ones are replaced by that."""

_COUNTED = (
    _LATEST  # noqa: S608 - constants alone
    + """
, known as (
    select l.finished_at, c.updated_at
    from replicator.collection as c
    left join latest as l on l.collection = c.collection
    where c.stream = %(stream)s and c.state <> 'dropped'
)

select
    (select min(finished_at) from latest),
    (select coalesce(sum(differences), 0)::bigint from latest),
    (select coalesce(sum(repaired), 0)::bigint from latest),
    (select coalesce(sum(documents), 0)::bigint from latest),
    (select count(finished_at) from known),
    (select count(*) from known),
    (select min(coalesce(finished_at, updated_at)) from known)
"""
)

_OUTSTANDING = (
    _LATEST
    + """
select
    d.collection,
    d.kind,
    count(*),
    coalesce(d.detail, '') = 'dead letter'
from replicator.reconciliation_difference as d
inner join latest as l on l.id = d.run_id and l.collection = d.collection
where d.repaired_at is null
group by d.collection, d.kind, coalesce(d.detail, '') = 'dead letter'
order by count(*) desc, d.collection, d.kind
limit %(limit)s
"""
)
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
RUNS = 500
"""So many of the latest runs are looked at, where everything was never compared at once."""


def last_reconciliation(connection: Connection, stream: str) -> LastReconciliation | None:
    """The last comparison of each collection, put together, with what remains of its differences; None before any."""
    named = {"stream": stream, "runs": RUNS}
    with translated():
        row = connection.execute(_COUNTED, named).fetchone()
        if row is None or row[0] is None:
            return None
        at, differences, repaired, documents, compared, collections, unproved_since = row
        found = (
            connection.execute(_OUTSTANDING, {**named, "limit": GROUPS}).fetchall() if differences > repaired else []
        )
    groups = tuple(DifferenceGroup(row[0], DifferenceKind(row[1]), row[2], are_dead_letters=row[3]) for row in found)
    return LastReconciliation(at, differences, repaired, documents, groups, compared, collections, unproved_since)


def later_attempt(connection: Connection, stream: str) -> Attempt | None:
    """The reconciliation that began after the latest finished one, when there is one."""
    with translated():
        row = connection.execute(_ATTEMPT, {"stream": stream}).fetchone()
    return None if row is None else Attempt(row[0], row[1])
