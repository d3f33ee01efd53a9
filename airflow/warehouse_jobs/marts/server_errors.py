"""PostgreSQL's errors as errors of the marts: by class and SQLSTATE, never by the text of a message."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors

from warehouse_jobs.marts.errors import DefinitionError, MartError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATA_EXCEPTION = "22"
_CONNECTION_CLASSES = ("08", "57P")
"""Connection exceptions, and a server that shuts down or ends sessions (PostgreSQL, appendix A)."""


def describe(error: psycopg.Error) -> str:
    """Name the cause without row values, which messages of data exceptions quote; others quote names."""
    if error.sqlstate is None or error.sqlstate.startswith(_DATA_EXCEPTION):
        return type(error).__name__
    return error.diag.message_primary or type(error).__name__


@contextmanager
def translated(mart: str) -> Iterator[None]:
    """Raise what PostgreSQL refuses inside as a :class:`MartError` about this mart."""
    try:
        yield
    except psycopg.Error as error:
        raise _translate(error, mart) from error


def _translate(error: psycopg.Error, mart: str) -> MartError:
    match error:
        case errors.InsufficientPrivilege():
            return DefinitionError(
                f"mart {mart}: a privilege is missing: {describe(error)}",
                hint="The loader's role needs select on the replicated tables, temporary on the database and "
                "create on it, or ownership of schema mart.",
            )
        case errors.DependentObjectsStillExist():
            return DefinitionError(
                f"mart {mart}: its columns changed, but other objects depend on the view, which is made anew",
                hint=f"Drop what depends on it (psql: \\d+ mart.{mart}), load again, and create it anew.",
            )
        case (
            errors.LockNotAvailable()
            | errors.QueryCanceled()
            | errors.DeadlockDetected()
            | errors.SerializationFailure()
        ):
            return ServerError(
                f"mart {mart}: PostgreSQL stopped the load: {describe(error)}",
                hint="Load again; look for long transactions (pg_stat_activity) and a statement_timeout.",
            )
        case psycopg.OperationalError() | psycopg.InterfaceError() if _is_of_the_connection(error):
            return ServerError(
                f"mart {mart}: the connection to PostgreSQL failed: {describe(error)}",
                hint="See whether the server is up, then load again: nothing was published.",
            )
        case errors.DiskFull() | errors.OutOfMemory() | errors.TooManyConnections():
            return ServerError(
                f"mart {mart}: PostgreSQL has no room: {describe(error)}",
                hint="Make room on the server, or lower MART_WORK_MEM; then load again: nothing was published.",
            )
        case _:
            return DefinitionError(
                f"mart {mart}: PostgreSQL refused a statement: {describe(error)}",
                hint="Nothing was published; the server's log has the statement.",
            )


def _is_of_the_connection(error: psycopg.Error) -> bool:
    return error.sqlstate is None or error.sqlstate.startswith(_CONNECTION_CLASSES)
