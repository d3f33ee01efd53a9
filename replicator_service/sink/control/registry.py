"""What the sink remembers of each collection: its tables, its state, its identity, and how far a snapshot is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.fingerprint import fingerprint
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.sessions import Progress, Registered
from replicator_service.core.steps import (
    ChunkDone,
    CollectionState,
    FinishSnapshot,
    PrepareTables,
    RegisterSnapshots,
    SetState,
    StartSnapshot,
    StartSweep,
)
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.steps import TableRename
    from replicator_service.sink.connect.connection import Connection

_REGISTERED = """
select
    c.collection, c.table_name, c.state, c.mapping_hash, c.tables, c.uuid,
    p.stream is not null, p.place, p.documents, p.expected, p.sweeps, p.sweep_place
from replicator.collection as c
left join replicator.snapshot_progress as p
    on p.stream = c.stream and p.collection = c.collection and p.finished_at is null
where c.stream = %s
order by c.collection
"""

_REGISTER_ALL = """
with wanted as (
    select * from unnest(%(collections)s::text[], %(tables)s::text[], %(hashes)s::text[]) as w (collection, name, hash)
),

forgotten as (
    delete from replicator.snapshot_progress as p using wanted as w
    where p.stream = %(stream)s and p.collection = w.collection
)

insert into replicator.collection as c (stream, collection, table_name, state, mapping_hash)
select %(stream)s, w.collection, w.name, 'snapshotting', w.hash from wanted as w
on conflict (stream, collection) do update set
    table_name = excluded.table_name, state = excluded.state, mapping_hash = excluded.mapping_hash, updated_at = now()
"""

_REGISTER = """
insert into replicator.collection as c (stream, collection, table_name, tables, state, mapping_hash, uuid)
values (%s, %s, %s, %s, %s, %s, %s)
on conflict (stream, collection) do update set
    table_name = excluded.table_name, tables = excluded.tables, state = excluded.state,
    mapping_hash = excluded.mapping_hash, uuid = excluded.uuid, updated_at = now()
"""

_START = """
insert into replicator.snapshot_progress (stream, collection, expected, sweeps) values (%s, %s, %s, %s)
on conflict (stream, collection) do update set
    place = null, documents = 0, expected = excluded.expected, sweeps = excluded.sweeps, sweep_place = null,
    started_at = now(), finished_at = null
"""

SnapshotStep = RegisterSnapshots | SetState | StartSnapshot | ChunkDone | StartSweep | FinishSnapshot


def registered(connection: Connection, stream: str) -> list[Registered]:
    """Every collection the stream has ever had."""
    with translated():
        rows = connection.execute(_REGISTERED, (stream,)).fetchall()
    return [
        Registered(
            name,
            table,
            CollectionState(state),
            mapping_hash,
            tuple(tables),
            uuid,
            Progress(*progress) if has_progress else None,
        )
        for name, table, state, mapping_hash, tables, uuid, has_progress, *progress in rows
    ]


def apply(connection: Connection, stream: str, step: SnapshotStep) -> None:
    """Remember what a step says of collections and their snapshots."""
    match step:
        case RegisterSnapshots():
            _register_all(connection, stream, step)
        case SetState():
            set_state(connection, stream, step.collection, step.state)
        case StartSnapshot():
            with translated():
                connection.execute(_START, (stream, step.collection, step.expected, step.sweeps))
                connection.execute(
                    "update replicator.collection set uuid = %s where stream = %s and collection = %s",
                    (step.uuid, stream, step.collection),
                )
        case ChunkDone():
            _move(connection, "place = %s, documents = documents + %s", (step.place, step.documents), stream, step)
        case StartSweep():
            _move(connection, "sweep_place = %s", ("",), stream, step)
        case FinishSnapshot():
            _move(connection, "finished_at = now()", (), stream, step)
            set_state(connection, stream, step.collection, CollectionState.STREAMING)


def register(connection: Connection, stream: str, step: PrepareTables) -> None:
    """Remember a collection with its tables, or what its mapping has become."""
    mapping = step.mapping
    names = [table.name for table in tables_of(mapping)]
    values = (stream, mapping.collection, mapping.table, names, step.state.value, fingerprint(mapping), step.uuid)
    with translated():
        connection.execute(_REGISTER, values)


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
        connection.execute(
            "delete from replicator.snapshot_progress where stream = %s and collection = %s", (stream, collection)
        )
        connection.execute(
            "delete from replicator.collection where stream = %s and collection = %s", (stream, collection)
        )


def set_state(connection: Connection, stream: str, collection: str, state: CollectionState) -> None:
    """Change the state of a registered collection; only one that exists has an identity."""
    statement = (
        "update replicator.collection set state = %s, updated_at = now(), "
        "uuid = case when %s = 'dropped' then null else uuid end where stream = %s and collection = %s"
    )
    with translated():
        connection.execute(statement, (state.value, state.value, stream, collection))


def move_sweep(connection: Connection, stream: str, collection: str, place: str) -> None:
    """Remember how far the look for rows without a document is."""
    statement = "update replicator.snapshot_progress set sweep_place = %s where stream = %s and collection = %s"
    with translated():
        connection.execute(statement, (place, stream, collection))


def _register_all(connection: Connection, stream: str, step: RegisterSnapshots) -> None:
    values = {
        "stream": stream,
        "collections": [each.collection for each in step.mappings],
        "tables": [each.table for each in step.mappings],
        "hashes": [fingerprint(each) for each in step.mappings],
    }
    with translated():
        connection.execute(_REGISTER_ALL, values)


def _move(
    connection: Connection,
    change: str,
    values: tuple[object, ...],
    stream: str,
    step: ChunkDone | StartSweep | FinishSnapshot,
) -> None:
    statement = f"update replicator.snapshot_progress set {change} where stream = %s and collection = %s"  # noqa: S608
    with translated():
        connection.execute(statement, (*values, stream, step.collection))
