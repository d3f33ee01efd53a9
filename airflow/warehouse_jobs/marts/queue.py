"""Loads of one mart, one after the other, each with the snapshot that begins when its turn comes."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from psycopg import errors, sql
from psycopg.rows import tuple_row

from warehouse_jobs.marts.control_tables import LOAD_QUEUE, prepare_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warehouse_jobs.marts.server import Connection, Cursor


@contextmanager
def turn(connection: Connection, mart: str) -> Iterator[Cursor]:
    """Lend the cursor of one repeatable-read transaction that is alone with this mart until it ends.

    The lock is a row that every load updates, and not an advisory lock: waiting for the latter would leave the snapshot
    where the waiting began, before what the load in front has published. An update of a row that has changed since the
    snapshot fails instead (SQLSTATE 40001), which says exactly that the turn has to begin anew. It also works behind
    poolers, where a lock of the session would stay with somebody else's.
    """
    with connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        prepare_schema(cursor)
        cursor.execute(sql.SQL("insert into {} (mart) values (%s) on conflict do nothing").format(LOAD_QUEUE), [mart])
    with ExitStack() as transaction:
        while True:
            try:
                cursor = transaction.enter_context(_locked(connection, mart))
            except errors.SerializationFailure:
                continue
            break
        yield cursor


@contextmanager
def _locked(connection: Connection, mart: str) -> Iterator[Cursor]:
    with connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute(sql.SQL("update {} set turns = turns + 1 where mart = %s").format(LOAD_QUEUE), [mart])
        yield cursor
