"""What the sink remembers of each collection: its tables, its state, its identity, and how far a snapshot is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.sessions import Progress, Range, Registered
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
    FinishSnapshot,
    PrepareTables,
    RegisterSnapshots,
    SetState,
    StartSnapshot,
    StartSweep,
    Sweep,
)
from replicator_service.sink.errors import translated
from replicator_service.sink.write.round_trip import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.steps import Preparation, TableRename
    from replicator_service.sink.connect.connection import Connection

_REGISTERED = """
select
    c.collection, c.table_name, c.state, c.mapping_hash, c.tables, c.uuid,
    p.stream is not null, r.numbers, r.places, r.ends, p.documents, p.expected, p.sweeps, p.sweep_place
from replicator.collection as c
left join replicator.snapshot_progress as p
    on p.stream = c.stream and p.collection = c.collection and p.finished_at is null
left join lateral (
    select
        array_agg(g.number order by g.number) as numbers,
        array_agg(g.place order by g.number) as places,
        array_agg(g.upto order by g.number) as ends
    from replicator.snapshot_range as g
    where g.stream = c.stream and g.collection = c.collection and g.finished_at is null and p.stream is not null
) as r on true
where c.stream = %(stream)s and (%(only)s::text is null or c.collection = %(only)s)
order by c.collection
"""

_REGISTER_ALL = b"""
with wanted as (
    select *
    from unnest(%(collections)s::text[], %(tables)s::text[], %(hashes)s::text[], %(uuids)s::bytea[])
        as w (collection, name, hash, uuid)
),

forgotten as (
    delete from replicator.snapshot_progress as p using wanted as w
    where p.stream = %(stream)s and p.collection = w.collection
),

forgotten_ranges as (
    delete from replicator.snapshot_range as g using wanted as w
    where g.stream = %(stream)s and g.collection = w.collection
)

insert into replicator.collection as c (stream, collection, table_name, state, mapping_hash, uuid)
select %(stream)s, w.collection, w.name, 'snapshotting', w.hash, w.uuid from wanted as w
on conflict (stream, collection) do update set
    table_name = excluded.table_name, state = excluded.state, mapping_hash = excluded.mapping_hash,
    uuid = excluded.uuid, updated_at = now()
"""

_REGISTER = b"""
insert into replicator.collection as c (stream, collection, table_name, tables, state, mapping_hash, uuid)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (stream, collection) do update set
    table_name = excluded.table_name, tables = excluded.tables, state = excluded.state,
    mapping_hash = excluded.mapping_hash, uuid = excluded.uuid, updated_at = now()
"""

_START = b"""
insert into replicator.snapshot_progress (stream, collection, expected, sweeps) values (%s, %s, %s, %s)
on conflict (stream, collection) do update set
    documents = 0, bytes = 0, expected = excluded.expected, sweeps = excluded.sweeps, sweep_place = null,
    started_at = now(), finished_at = null
"""

_FORGET_RANGES = b"delete from replicator.snapshot_range where stream = %s and collection = %s"
_ADD_RANGES = b"""
insert into replicator.snapshot_range (stream, collection, number, place, upto)
select %s, %s, r.number, r.place, r.upto
from unnest(%s::integer[], %s::bytea[], %s::bytea[]) as r (number, place, upto)
"""

_SET_UUID = b"update replicator.collection set uuid = %s where stream = %s and collection = %s"
_SET_STATE = b"""
update replicator.collection
set state = %s, updated_at = now(), uuid = case when %s = 'dropped' then null else uuid end
where stream = %s and collection = %s
"""
_MOVE = b"""
with moved as (
    update replicator.snapshot_range
    set
        place = coalesce(%(place)s, place), documents = documents + %(documents)s,
        finished_at = case when %(place)s::bytea is null then now() end
    where stream = %(stream)s and collection = %(collection)s and number = %(number)s
)

update replicator.snapshot_progress
set documents = documents + %(documents)s, bytes = bytes + %(size)s
where stream = %(stream)s and collection = %(collection)s
"""
_SWEEP = b"update replicator.snapshot_progress set sweep_place = %s where stream = %s and collection = %s"
_FINISH = b"""
update replicator.snapshot_progress set finished_at = now(), sweep_place = null where stream = %s and collection = %s
"""
"""The key where the sweep was last is nobody's any more: its row may have gone, or a mask have come."""

SnapshotStep = (
    RegisterSnapshots | PrepareTables | SetState | StartSnapshot | ChunkDone | StartSweep | Sweep | FinishSnapshot
)


def registered(connection: Connection, stream: str, only: str | None = None) -> list[Registered]:
    """Every collection the stream has ever had, or ``only`` that one."""
    with translated():
        rows = connection.execute(_REGISTERED, {"stream": stream, "only": only}).fetchall()
    return [
        Registered(
            name,
            table,
            CollectionState(state),
            mapping_hash,
            tuple(tables),
            uuid,
            Progress(tuple(map(Range, numbers or (), places or (), ends or ())), *progress) if has_progress else None,
        )
        for name, table, state, mapping_hash, tables, uuid, has_progress, numbers, places, ends, *progress in rows
    ]


def queries(stream: str, step: SnapshotStep) -> list[Query]:
    """What remembers what a step says of collections and their snapshots."""
    match step:
        case RegisterSnapshots():
            values = {
                "stream": stream,
                "collections": [each.collection for each, _ in step.collections],
                "tables": [each.table for each, _ in step.collections],
                "hashes": [fingerprint(each) for each, _ in step.collections],
                "uuids": [uuid for _, uuid in step.collections],
            }
            return [Query(_REGISTER_ALL, values)]
        case PrepareTables():
            return [Query(_REGISTER, _values(stream, each)) for each in step.collections]
        case SetState():
            return [set_state(stream, step.collection, step.state)]
        case StartSnapshot():
            return [
                Query(_START, (stream, step.collection, step.expected, step.sweeps)),
                Query(_SET_UUID, (step.uuid, stream, step.collection)),
                Query(_FORGET_RANGES, (stream, step.collection)),
                Query(_ADD_RANGES, (stream, step.collection, *_columns(step.ranges))),
            ]
        case ChunkDone():
            moved: dict[str, object] = {
                "stream": stream,
                "collection": step.collection,
                "number": step.number,
                "place": step.place,
                "documents": step.documents,
                "size": step.size,
            }
            return [Query(_MOVE, moved)]
        case StartSweep():
            return [Query(_SWEEP, ("", stream, step.collection))]
        case Sweep():
            return [Query(_SWEEP, (step.place, stream, step.collection))]
        case FinishSnapshot():
            return [
                Query(_FINISH, (stream, step.collection)),
                Query(_FORGET_RANGES, (stream, step.collection)),
                set_state(stream, step.collection, CollectionState.STREAMING),
            ]


def _columns(ranges: Sequence[Range]) -> tuple[list[object], ...]:
    return [each.number for each in ranges], [each.place for each in ranges], [each.upto for each in ranges]


def set_state(stream: str, collection: str, state: CollectionState) -> Query:
    """What changes the state of a registered collection; only one that exists has an identity."""
    return Query(_SET_STATE, (state.value, state.value, stream, collection))


def _values(stream: str, one: Preparation) -> tuple[object, ...]:
    mapping = one.mapping
    names = [table.name for table in tables_of(mapping)]
    return stream, mapping.collection, mapping.table, names, one.state.value, fingerprint(mapping), one.uuid


def rename(connection: Connection, stream: str, renames: Sequence[TableRename]) -> None:
    """Give collections other tables; two may change theirs, so the names are free in between."""
    statement = "update replicator.collection set table_name = %s where stream = %s and collection = %s"
    with translated():
        for each in renames:
            connection.execute(statement, (f"renamed: {each.collection}", stream, each.collection))
        for each in renames:
            connection.execute(statement, (each.target.name, stream, each.collection))


def unregister(connection: Connection, stream: str, collection: str) -> None:
    """Forget a collection and its snapshot."""
    with translated():
        connection.execute(_FORGET_RANGES, (stream, collection))
        connection.execute(
            "delete from replicator.snapshot_progress where stream = %s and collection = %s", (stream, collection)
        )
        connection.execute(
            "delete from replicator.collection where stream = %s and collection = %s", (stream, collection)
        )
