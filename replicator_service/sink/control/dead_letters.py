"""Dead letters: documents that PostgreSQL refused, kept whole beside the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from replicator_service.core.rows import Rejected
    from replicator_service.sink.connect.connection import Connection


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row of ``replicator.dead_letter`` without its document, which may have 16 MB."""

    id: int
    stream: str
    collection: str
    source_id: str
    operation: str
    error: str
    cluster_time: int | None
    created_at: datetime
    retried_at: datetime | None


_COLUMNS = "id, stream, collection, source_id, operation, error, cluster_time, created_at, retried_at"


def add_dead_letters(connection: Connection, stream: str, rejected: Sequence[Rejected]) -> None:
    """Add dead letters inside the open transaction; an older dead letter of the same key is replaced."""
    statement = (
        "insert into replicator.dead_letter (stream, collection, source_id, operation, document, error, cluster_time) "
        "values (%s, %s, %s, %s, %s, %s, %s)"
    )
    with translated():
        for each in rejected:
            change = each.change
            settle(connection, stream, change.collection, (change.key,))
            parameters = (
                stream,
                change.collection,
                change.key,
                change.operation.value,
                each.document(),
                each.error,
                change.cluster_time,
            )
            connection.execute(statement, parameters)


def settle(connection: Connection, stream: str, collection: str, keys: Collection[str]) -> int:
    """Remove the dead letters of keys whose later version was written (or whose document is gone)."""
    statement = "delete from replicator.dead_letter where stream = %s and collection = %s and source_id = any(%s)"
    with translated():
        return connection.execute(statement, (stream, collection, list(keys))).rowcount


def move(connection: Connection, stream: str, collection: str, target: str) -> None:
    """The collection has another name now, and so have its dead letters; those of a collection that it replaced go."""
    settle_collection(connection, stream, target)
    statement = "update replicator.dead_letter set collection = %s where stream = %s and collection = %s"
    with translated():
        connection.execute(statement, (target, stream, collection))


def settle_collection(connection: Connection, stream: str, collection: str) -> int:
    """Remove the dead letters of a collection that was dropped."""
    statement = "delete from replicator.dead_letter where stream = %s and collection = %s"
    with translated():
        return connection.execute(statement, (stream, collection)).rowcount


def retried(connection: Connection, stream: str, after: int, limit: int) -> Iterator[tuple[int, str, str, bytes]]:
    """Number, collection, key and document of dead letters that were marked for another try, one document at a time."""
    marked = (
        "select id from replicator.dead_letter where stream = %s and retried_at is not null and id > %s "
        "order by id limit %s"
    )
    one = "select id, collection, source_id, document from replicator.dead_letter where id = %s"
    with translated():
        numbers = [number for (number,) in connection.execute(marked, (stream, after, limit))]
        for number in numbers:
            row = connection.execute(one, (number,)).fetchone()
            if row is not None:
                yield row


def open_keys(connection: Connection, stream: str) -> set[tuple[str, str]]:
    """Collection and key of every dead letter."""
    query = "select collection, source_id from replicator.dead_letter where stream = %s"
    with translated():
        return {(collection, key) for collection, key in connection.execute(query, (stream,))}


def list_dead_letters(
    connection: Connection, stream: str, *, collection: str | None = None, ids: Sequence[int] | None = None
) -> list[DeadLetter]:
    """Dead letters of a stream, the oldest first."""
    query = (
        f"select {_COLUMNS} from replicator.dead_letter where stream = %s "  # noqa: S608 - constant column list
        "and (%s::text is null or collection = %s) and (%s::bigint[] is null or id = any(%s)) order by id"
    )
    chosen = list(ids) if ids is not None else None
    with translated():
        rows = connection.execute(query, (stream, collection, collection, chosen, chosen)).fetchall()
    return [DeadLetter(*row) for row in rows]


def document_of(connection: Connection, stream: str, number: int) -> bytes:
    """The document of one dead letter, as BSON; of a delete, its ``_id`` alone."""
    query = "select document from replicator.dead_letter where stream = %s and id = %s"
    with translated():
        row = connection.execute(query, (stream, number)).fetchone()
    return bytes(row[0]) if row else b""


def mark_retried(connection: Connection, stream: str, ids: Sequence[int]) -> int:
    """Remember that these dead letters were tried again."""
    statement = "update replicator.dead_letter set retried_at = now() where stream = %s and id = any(%s)"
    with translated():
        return connection.execute(statement, (stream, list(ids))).rowcount


def drop_dead_letters(connection: Connection, stream: str, ids: Sequence[int]) -> int:
    """Give up these documents: their dead letters are deleted."""
    statement = "delete from replicator.dead_letter where stream = %s and id = any(%s)"
    with translated():
        return connection.execute(statement, (stream, list(ids))).rowcount
