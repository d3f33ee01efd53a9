"""What the latest comparisons of both sides have found, collection by collection, and what of it remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import Attempt, DifferenceGroup, LastReconciliation
from replicator_service.core.reconciliation import DifferenceKind
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

_RUNS = """
with runs as (
    select id, collection, finished_at, documents, differences, repaired, parts
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

named as (
    select r.id, n.name
    from runs as r
    cross join unnest(string_to_array(r.collection, ', ')) as n (name)
),

replaced as (
    select distinct r.id, n.name
    from runs as r
    inner join named as n on n.id > r.id
)
"""
"""The runs since everything was compared, and what of each was compared again later: that does not count in it."""

_COUNTED = (
    _RUNS  # noqa: S608 - constants alone
    + """
, own as (
    select
        r.id,
        sum((p.value ->> 'documents')::bigint) as documents,
        sum((p.value ->> 'differences')::bigint) as differences,
        sum((p.value ->> 'repaired')::bigint) as repaired
    from runs as r
    cross join jsonb_each(r.parts) as p
    inner join replaced as x on x.id = r.id and x.name = p.value ->> 'collection'
    group by r.id
),

shared as (
    select
        d.run_id as id,
        count(*) as differences,
        count(d.repaired_at) as repaired
    from replicator.reconciliation_difference as d
    inner join replaced as x on x.id = d.run_id and x.name = d.collection
    inner join runs as r on r.id = d.run_id
    where not exists (select from jsonb_each(r.parts) as p where p.value ->> 'collection' = d.collection)
    group by d.run_id
),

known as (
    select c.updated_at, max(r.finished_at) as finished_at
    from replicator.collection as c
    left join runs as r on r.finished_at >= c.updated_at
        and (r.collection is null or exists (select from named as n where n.id = r.id and n.name = c.collection))
        and not exists (
            select
            from jsonb_each(r.parts) as p
            where p.value ->> 'skipped' is not null
                and (
                    p.value ->> 'collection' = c.collection
                    or (
                        p.value ->> 'collection' is null
                        and position(c.collection || ': ' in p.value ->> 'skipped') > 0
                    )
                )
        )
    where c.stream = %(stream)s and c.state <> 'dropped'
    group by c.collection, c.updated_at
)

select
    coalesce((select min(finished_at) from known), (select min(finished_at) from runs)),
    sum(r.differences - coalesce(o.differences, 0) - coalesce(s.differences, 0))::bigint,
    sum(r.repaired - coalesce(o.repaired, 0) - coalesce(s.repaired, 0))::bigint,
    sum(r.documents - coalesce(o.documents, 0))::bigint,
    (select count(finished_at) from known),
    (select count(*) from known),
    (select min(coalesce(finished_at, updated_at)) from known)
from runs as r
left join own as o on o.id = r.id
left join shared as s on s.id = r.id
"""
)
"""A collection counts as compared by a run that named it, or everything, and did not leave it out (as a paused one)."""

_OUTSTANDING = (
    _RUNS
    + """
select
    d.collection,
    d.kind,
    count(*),
    coalesce(d.detail, '') = 'dead letter'
from replicator.reconciliation_difference as d
inner join runs as r on r.id = d.run_id
where d.repaired_at is null and not exists (select from replaced as x where x.id = d.run_id and x.name = d.collection)
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
