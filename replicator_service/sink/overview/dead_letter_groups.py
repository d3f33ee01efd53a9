"""Why there are dead letters: the latest of them, grouped by collection and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.overview import DeadLetterGroup
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection

GROUPS = 20
DEAD_LETTERS = 5_000
"""So many of the latest are read: a table of millions must not slow the poll of every other second."""

_PREFIX = "PostgreSQL refuses the row: "
"""What most reasons begin with, and a list of them says already."""

_GROUPS = r"""
with latest as (
    select collection, error, created_at
    from replicator.dead_letter
    where stream = %(stream)s
    order by id desc
    limit %(dead_letters)s
),

reasons as (
    select
        collection,
        created_at,
        left(regexp_replace(left(error, 400), '(?<!SQLSTATE )\m[0-9]+\M', '…', 'g'), 200) as reason
    from latest
)

select collection, reason, count(*), max(created_at)
from reasons
group by collection, reason
order by count(*) desc, max(created_at) desc, collection, reason
limit %(groups)s
"""


def dead_letter_groups(connection: Connection, stream: str) -> tuple[DeadLetterGroup, ...]:
    """The reasons of the latest dead letters, the most frequent first; numbers inside a reason are left out."""
    parameters = {"stream": stream, "dead_letters": DEAD_LETTERS, "groups": GROUPS}
    with translated():
        rows = connection.execute(_GROUPS, parameters).fetchall()
    return tuple(
        DeadLetterGroup(collection, reason.removeprefix(_PREFIX), count, latest)
        for collection, reason, count, latest in rows
    )
