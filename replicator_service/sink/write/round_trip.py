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
    """Run statements in order, in the open transaction; gives the first row of each, or None.

    Nothing is prepared: a plan made while a table was small, or the staging table empty, would be kept for when it is
    not. Raises :class:`QueryFailed`.
    """
    cursors: list[psycopg.Cursor[Row]] = []
    failure: psycopg.Error | None = None
    try:
        with connection.pipeline() as pipeline:
            try:
                for query in queries:
                    cursor = connection.cursor()
                    cursors.append(cursor)
                    cursor.execute(query.statement, query.parameters, prepare=False)
                pipeline.sync()
            except psycopg.Error as error:
                failure = error
    except psycopg.Error as error:
        # The end of a pipeline that has failed fails again, without saying why.
        failure = failure or error
    if failure is not None:
        answered = sum(cursor.pgresult is not None for cursor in cursors)
        raise QueryFailed(answered, failure) from failure
    return [cursor.fetchone() if cursor.description else None for cursor in cursors]
