"""Statements that are sent together: however many they are, the answer is waited for once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.sink.connect.connection import Connection

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with its parameters."""

    statement: bytes
    parameters: Sequence[object] | Mapping[str, object] | None


class QueryFailed(Exception):
    """One of the statements failed: ``index`` says which (their number, when the round trip itself did)."""

    def __init__(self, index: int, error: psycopg.Error) -> None:
        super().__init__(index)
        self.index = index
        self.error = error


def in_one_round_trip(connection: Connection, queries: Sequence[Query]) -> list[Row | None]:
    """Run statements in order, in the open transaction and return the first row of each, or None.

    Nothing is prepared: a plan made while a table was small, or the staging table empty, would be kept for when it is
    not. Raises :class:`QueryFailed`.
    """
    cursors: list[psycopg.Cursor[Row]] = []
    failure: psycopg.Error | None = None
    try:
        # Its end synchronises: to do so before as well would be a second round trip.
        with connection.pipeline():
            try:
                for query in queries:
                    cursor = connection.cursor()
                    cursors.append(cursor)
                    cursor.execute(query.statement, query.parameters, prepare=False)
            except psycopg.Error as error:
                failure = error
    except psycopg.Error as error:
        failure = failure or _cause(error)
    if failure is not None:
        answered = sum(cursor.pgresult is not None for cursor in cursors)
        raise QueryFailed(answered, failure) from failure
    return [cursor.fetchone() if cursor.description else None for cursor in cursors]


def _cause(error: psycopg.Error) -> psycopg.Error:
    """What a pipeline failed of: at its end the driver says of each statement after that one that it was left out."""
    while isinstance(error, psycopg.errors.PipelineAborted) and isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    return error
