"""Reconciliations as PostgreSQL remembers them: runs, their parts, and the differences that were found."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from replicator_service.core.errors import ConfigurationError
from replicator_service.core.reconciliation import Difference, DifferenceKind, PartResult, RunResult, RunState
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.sink.connect.connection import Connection

STORED_DIFFERENCES = 10_000
"""A run remembers so many differences, and the number of all."""

_KEY_CHARACTERS = 1_000
_RUN = """
select id, stream, collection, state, repair, error, started_at, finished_at, parts
from replicator.reconciliation_run
where id = %s
"""


def start_run(
    connection: Connection, stream: str, collections: Sequence[str] | None, *, repair: bool, deep: bool
) -> int:
    """Begin a run over these collections, or over all."""
    statement = (
        "insert into replicator.reconciliation_run (stream, collection, repair, deep) values (%s, %s, %s, %s) "
        "returning id"
    )
    named = None if collections is None else ", ".join(collections)
    with translated():
        row = connection.execute(statement, (stream, named, repair, deep)).fetchone()
    return int(row[0]) if row else 0


def record_part(
    connection: Connection,
    run_id: int,
    result: PartResult,
    differences: Mapping[str, Sequence[Difference]],
    *,
    whole: Sequence[str] = (),
) -> None:
    """Remember what became of a part, once, however often it is told; parts of a run may come at the same time.

    ``differences`` go by collection. What was found before and not repaired in the ``whole`` collections, of which no
    other part has anything, is forgotten.
    """
    part = Jsonb({result.label: asdict(result)})
    forget = (
        "delete from replicator.reconciliation_difference "
        "where run_id = %s and collection = any(%s) and repaired_at is null"
    )
    with translated(), connection.transaction():
        connection.execute("update replicator.reconciliation_run set parts = parts || %s where id = %s", (part, run_id))
        connection.execute(_SUMS, {"run": run_id})
        if whole:
            connection.execute(forget, (run_id, list(whole)))
        for collection, found in differences.items():
            _store(connection, run_id, collection, result.cluster_time, found)


def repaired_before(connection: Connection, run_id: int, label: str) -> int:
    """How much of a part earlier attempts have repaired: nobody can find that again."""
    query = "select (parts -> %s ->> 'repaired')::bigint from replicator.reconciliation_run where id = %s"
    with translated():
        row = connection.execute(query, (label, run_id)).fetchone()
    return int(row[0] or 0) if row else 0


def remember_repaired(
    connection: Connection, run_id: int, result: PartResult, collection: str, differences: Sequence[Difference]
) -> None:
    """Remember, in the transaction that is open, what it repairs of a part. ``result`` is what is known of it else."""
    with translated():
        connection.execute(
            _REPAIRED,
            {
                "run": run_id,
                "label": result.label,
                "part": Jsonb(asdict(result)),
                "count": len(differences),
            },
        )
        _store(connection, run_id, collection, result.cluster_time, differences)


_REPAIRED = """
update replicator.reconciliation_run as r
set parts = r.parts || jsonb_build_object(%(label)s::text, %(part)s || jsonb_build_object(
    'differences', coalesce((r.parts -> %(label)s::text ->> 'repaired')::bigint, 0) + %(count)s::bigint,
    'repaired', coalesce((r.parts -> %(label)s::text ->> 'repaired')::bigint, 0) + %(count)s::bigint
))
where r.id = %(run)s
"""


_SUMS = """
update replicator.reconciliation_run as r
set
    cluster_time = s.cluster_time,
    documents = s.documents,
    differences = s.differences,
    repaired = s.repaired
from (
    select
        min((p.value ->> 'cluster_time')::bigint) as cluster_time,
        coalesce(sum((p.value ->> 'documents')::bigint), 0) as documents,
        coalesce(sum((p.value ->> 'differences')::bigint), 0) as differences,
        coalesce(sum((p.value ->> 'repaired')::bigint), 0) as repaired
    from replicator.reconciliation_run as o
    cross join jsonb_each(o.parts) as p
    where o.id = %(run)s
) as s
where r.id = %(run)s
"""
"""Differences found and repaired add up over the parts; the run is as old as its oldest part."""


def _store(
    connection: Connection, run_id: int, collection: str, cluster_time: int | None, differences: Sequence[Difference]
) -> None:
    """Store differences as long as there is room. The run's row is locked, so the room is known."""
    row = connection.execute(
        "select count(*) from replicator.reconciliation_difference where run_id = %s", (run_id,)
    ).fetchone()
    room = STORED_DIFFERENCES - (int(row[0]) if row else 0)
    statement = (
        "insert into replicator.reconciliation_difference "
        "(run_id, collection, source_id, kind, detail, cluster_time, repaired_at) "
        "values (%s, %s, %s, %s, %s, %s, case when %s then now() end) "
        "on conflict (run_id, collection, source_id) do update set kind = excluded.kind, detail = excluded.detail, "
        "cluster_time = excluded.cluster_time, repaired_at = excluded.repaired_at"
    )
    values = [
        (run_id, collection, _fitting(each.key), each.kind.value, each.detail, cluster_time, each.repaired)
        for each in differences[: max(room, 0)]
    ]
    if values:
        connection.cursor().executemany(statement, values)


def finish_run(connection: Connection, run_id: int, *, error: str | None) -> RunResult:
    """End a run, well or not. Again, it says how the run is then: parts may have been compared again.

    Raises :class:`ConfigurationError` for a run that does not exist.
    """
    statement = (
        "update replicator.reconciliation_run set state = %s, error = %s, finished_at = now() "
        "where id = %s and (state, error) is distinct from (%s, %s)"
    )
    state = RunState.FINISHED if error is None else RunState.FAILED
    with translated():
        connection.execute(statement, (state.value, error, run_id, state.value, error))
    return read_run(connection, run_id)


def read_run(connection: Connection, run_id: int) -> RunResult:
    """A run with its parts.

    Raises :class:`ConfigurationError` for a run that does not exist.
    """
    with translated():
        row = connection.execute(_RUN, (run_id,)).fetchone()
    if row is None:
        raise ConfigurationError(f"there is no reconciliation {run_id}", hint="Start one: replicator reconcile")
    return _run(row)


def stored_differences(connection: Connection, run_id: int, *, limit: int) -> list[tuple[str, Difference]]:
    """Differences of a run with their collections, those that remain first."""
    query = (
        "select collection, source_id, kind, coalesce(detail, ''), repaired_at is not null "
        "from replicator.reconciliation_difference where run_id = %s "
        "order by repaired_at is not null, collection, source_id limit %s"
    )
    with translated():
        rows = connection.execute(query, (run_id, limit)).fetchall()
    return [(row[0], Difference(row[1], DifferenceKind(row[2]), row[3], repaired=row[4])) for row in rows]


def _run(row: tuple[Any, ...]) -> RunResult:
    number, stream, collection, state, repair, error, started_at, finished_at, parts = row
    results = tuple(PartResult(**part) for _, part in sorted(parts.items()))
    return RunResult(number, stream, collection, RunState(state), repair, error, started_at, finished_at, results)


def _fitting(key: str) -> str:
    """A key that an index can take: rows planted by hand may have longer ones than ours are."""
    if len(key) <= _KEY_CHARACTERS:
        return key
    return key[: _KEY_CHARACTERS - 65] + ":" + hashlib.sha256(key.encode()).hexdigest()


def dead_letter_keys(connection: Connection, stream: str, collection: str) -> frozenset[str]:
    """The keys of a collection that wait in the dead letters, as the open transaction sees them."""
    query = "select source_id from replicator.dead_letter where stream = %s and collection = %s"
    with translated():
        return frozenset(key for (key,) in connection.execute(query, (stream, collection)))
