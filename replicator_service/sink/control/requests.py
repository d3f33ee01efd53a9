"""The board on which operators leave requests: three small tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.sink.control import dead_letters, registry
from replicator_service.sink.errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.sink.connect.connection import Connection
    from replicator_service.sink.control.dead_letters import DeadLetter
    from replicator_service.sink.control.registry import Request


class PostgresBoard:
    """Reads the requests of one stream on a connection of its own."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream

    def is_paused(self) -> bool:
        """Whether somebody holds the stream."""
        query = "select from replicator.pause where stream = %s"
        with translated():
            return bool(self._connection.execute(query, (self._stream,)).fetchall())

    def open_requests(self) -> Sequence[Request]:
        """Requests that nobody has handled, the oldest first."""
        return registry.open_requests(self._connection, self._stream)

    def retried_letters(self) -> Sequence[DeadLetter]:
        """Letters that were marked for another try."""
        letters = dead_letters.list_letters(self._connection, self._stream)
        return [letter for letter in letters if letter.retried_at is not None]


def hold(connection: Connection, stream: str) -> None:
    """Pause the whole stream; again does nothing."""
    statement = "insert into replicator.pause (stream) values (%s) on conflict (stream) do nothing"
    with translated():
        connection.execute(statement, (stream,))


def release(connection: Connection, stream: str) -> bool:
    """Let the stream go on; false when it was not held."""
    with translated():
        return connection.execute("delete from replicator.pause where stream = %s", (stream,)).rowcount > 0
