"""What the sink remembers of each collection: its table, its state, and how far a snapshot is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from replicator_service.core.steps import ChunkDone, CollectionState, StartSnapshot
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from replicator_service.sink.connect.connection import Connection


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of ``replicator.collection`` with its snapshot, if one is under way."""

    collection: str
    table_name: str
    state: CollectionState
    mapping_hash: str
    place: bytes | None
    documents: int
    expected: int | None


@dataclass(frozen=True, slots=True)
class Request:
    """Something an operator asked for that nobody has handled yet."""

    id: int
    kind: str
    collection: str | None


_REGISTERED = """
select c.collection, c.table_name, c.state, c.mapping_hash, p.place, coalesce(p.documents, 0), p.expected
from replicator.collection as c
left join replicator.snapshot_progress as p
    on p.stream = c.stream and p.collection = c.collection and p.finished_at is null
where c.stream = %s
order by c.collection
"""


def registered(connection: Connection, stream: str) -> list[Registered]:
    """Every collection the stream has ever had."""
    with translated():
        rows = connection.execute(_REGISTERED, (stream,)).fetchall()
    return [Registered(row[0], row[1], CollectionState(row[2]), *row[3:]) for row in rows]


def register(
    connection: Connection,
    stream: str,
    collection: str,
    table: str,
    state: CollectionState,
    mapping_hash: str,
) -> None:
    """Remember a collection, or what its mapping has become."""
    statement = (
        "insert into replicator.collection as c (stream, collection, table_name, state, mapping_hash) "
        "values (%s, %s, %s, %s, %s) on conflict (stream, collection) do update set "
        "table_name = excluded.table_name, state = excluded.state, mapping_hash = excluded.mapping_hash, "
        "updated_at = now()"
    )
    with translated():
        connection.execute(statement, (stream, collection, table, state.value, mapping_hash))


def unregister(connection: Connection, stream: str, collection: str) -> None:
    """Forget a collection and its snapshot."""
    with translated():
        for table in ("collection", "snapshot_progress"):
            connection.execute(
                sql.SQL("delete from {} where stream = %s and collection = %s").format(
                    sql.Identifier("replicator", table)
                ),
                (stream, collection),
            )


def set_state(connection: Connection, stream: str, collection: str, state: CollectionState) -> None:
    """Change the state of a registered collection."""
    statement = "update replicator.collection set state = %s, updated_at = now() where stream = %s and collection = %s"
    with translated():
        connection.execute(statement, (state.value, stream, collection))


def start_snapshot(connection: Connection, stream: str, step: StartSnapshot) -> None:
    """Begin with the first document; what an unfinished snapshot had done is forgotten."""
    with translated():
        connection.execute(
            "delete from replicator.snapshot_progress where stream = %s and collection = %s",
            (stream, step.collection),
        )
        connection.execute(
            "insert into replicator.snapshot_progress (stream, collection, expected) values (%s, %s, %s)",
            (stream, step.collection, step.expected),
        )
    set_state(connection, stream, step.collection, CollectionState.SNAPSHOTTING)


def move_snapshot(connection: Connection, stream: str, step: ChunkDone) -> None:
    """Remember how far the snapshot is, in the transaction that wrote the chunk."""
    statement = (
        "update replicator.snapshot_progress set place = %s, documents = documents + %s "
        "where stream = %s and collection = %s"
    )
    with translated():
        connection.execute(statement, (step.place, step.documents, stream, step.collection))


def finish_snapshot(connection: Connection, stream: str, collection: str) -> str | None:
    """The snapshot is complete; returns the transaction id it began with, to sweep by."""
    statement = (
        "update replicator.snapshot_progress set finished_at = now() where stream = %s and collection = %s "
        "returning started_xid::text"
    )
    with translated():
        row = connection.execute(statement, (stream, collection)).fetchone()
    set_state(connection, stream, collection, CollectionState.STREAMING)
    return None if row is None else str(row[0])


def open_requests(connection: Connection, stream: str) -> list[Request]:
    """Requests that wait, the oldest first."""
    query = "select id, kind, collection from replicator.request where stream = %s and handled_at is null order by id"
    with translated():
        return [Request(*row) for row in connection.execute(query, (stream,))]


def add_request(connection: Connection, stream: str, kind: str, collection: str | None) -> int:
    """Ask the leader for something; it is done between two batches, or at the next start."""
    statement = "insert into replicator.request (stream, kind, collection) values (%s, %s, %s) returning id"
    with translated():
        row = connection.execute(statement, (stream, kind, collection)).fetchone()
    return int(row[0]) if row else 0


def mark_handled(connection: Connection, request: int) -> None:
    """A request is done."""
    with translated():
        connection.execute("update replicator.request set handled_at = now() where id = %s", (request,))
