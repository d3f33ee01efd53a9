"""Why the service ended last, and which requests could not be done: read by whoever looks, written when it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.overview import FailedRequest, Failure
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

REQUESTS = 10

_IS_THERE = "select pg_catalog.to_regclass('replicator.failure') is not null"
"""A program that is newer than the service's last start reads control tables without it."""

_REMEMBER = """
insert into replicator.failure as f (stream, instance, cause, hint, exit_code) values (%s, %s, %s, %s, %s)
on conflict (stream) do update set
    instance = excluded.instance, at = now(), cause = excluded.cause, hint = excluded.hint,
    exit_code = excluded.exit_code
"""

_LAST = """
select f.at, f.instance, f.cause, f.hint, f.exit_code
from replicator.failure as f
left join replicator.checkpoint as c on c.stream = f.stream
where f.stream = %s and (c.updated_at is null or c.cluster_time is null or f.at > c.updated_at)
"""

_REQUESTS = """
select r.kind, r.collection, r.error, r.handled_at
from replicator.request as r
where r.stream = %(stream)s
    and r.error is not null
    and r.handled_at > now() - interval '1 day'
    and not exists (
        select
        from replicator.request as n
        where n.stream = r.stream and n.kind = r.kind and n.collection is not distinct from r.collection and n.id > r.id
    )
order by r.id desc
limit %(limit)s
"""
"""Of the last day; one that was asked for again is told by its later answer."""


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """An error as it is remembered, without secrets."""

    cause: str
    hint: str
    exit_code: int


def record_failure(connection: Connection, stream: str, instance: str, error: FailureRecord) -> None:
    """The service ends by this error."""
    values = (stream, instance, error.cause, error.hint, error.exit_code)
    with translated():
        connection.execute(_REMEMBER, values)


def last_failure(connection: Connection, stream: str) -> Failure | None:
    """Why the service ended last; None once something was replicated after that."""
    with translated():
        if connection.execute(_IS_THERE).fetchone() != (True,):
            return None
        row = connection.execute(_LAST, (stream,)).fetchone()
    return None if row is None else Failure(*row)


def failed_requests(connection: Connection, stream: str) -> tuple[FailedRequest, ...]:
    """Requests of the last day that could not be done, the latest first."""
    with translated():
        if connection.execute(_IS_THERE).fetchone() != (True,):
            return ()
        rows = connection.execute(_REQUESTS, {"stream": stream, "limit": REQUESTS}).fetchall()
    return tuple(FailedRequest(*row) for row in rows)
