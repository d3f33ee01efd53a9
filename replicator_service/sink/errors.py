"""PostgreSQL's errors, translated once: by SQLSTATE, see appendix A of its manual."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from replicator_service.core.errors import (
    ConfigurationError,
    Fatal,
    RecordRejected,
    ReplicatorError,
    Retryable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_REJECTING_CLASSES = frozenset({"22", "23", "44", "54", "P0"})
"""Data exception, integrity violation, check option, program limit, and what triggers raise."""

_PASSING_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""Connection, transaction state, rollback, resources, objects in use, operator intervention, system error."""

_UNUSABLE_CONNECTION = {
    "password authentication failed": "PostgreSQL refuses the user name or password",
    "no password supplied": "PostgreSQL asks for a password and none is set",
    "no pg_hba.conf entry": "PostgreSQL does not let this user connect from this host",
    "does not exist": "the database or the user of the connection does not exist",
    "permission denied for database": "the user may not connect to this database",
}
"""libpq gives no SQLSTATE for a connection that fails: the one place where a message has to be read. A server that
speaks another language is retried instead, with its own words in the log."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise what PostgreSQL's driver raises as one of our errors."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


def translate(error: psycopg.Error) -> ReplicatorError:
    """The error of ours that says what to do about one of the driver."""
    state = error.sqlstate
    if state is None:
        return _translate_without_state(error)
    if state[:2] in _REJECTING_CLASSES:
        return RecordRejected(
            f"PostgreSQL refuses the row: {_primary(error)} (SQLSTATE {state})",
            hint="Remove what refuses it (a constraint, a trigger, an index), then: replicator dead-letters retry",
        )
    if state[:2] in _PASSING_CLASSES:
        return Retryable(
            f"PostgreSQL is not available for a while (SQLSTATE {state})",
            hint="Nothing to do when it comes back by itself; otherwise look at PostgreSQL's log and disk space.",
        )
    if state[:2] == "28":
        return ConfigurationError("PostgreSQL refuses the user name or password", hint="Check REPLICATOR_POSTGRES_DSN.")
    if state == "2BP01":
        return ConfigurationError(
            f"{_primary(error)}: {error.diag.message_detail}",
            hint="Drop what depends on the table (a view, a foreign key), start again, and create it anew afterwards.",
        )
    if state == "42501":
        return ConfigurationError(
            f"the PostgreSQL user lacks a privilege: {_primary(error)}",
            hint="Grant create on the database to the replicator's user, or let it own the schemas it writes to.",
        )
    return Fatal(
        f"PostgreSQL refused a statement: {_primary(error)} (SQLSTATE {state})",
        hint="A replicated table was probably changed by hand: 'replicator mapping ddl' shows what it should be.",
    )


def _primary(error: psycopg.Error) -> str:
    """The message without its detail: the detail may quote values of the row."""
    diagnostic = error.diag
    state = error.sqlstate or ""
    if state[:2] in ("22", "P0"):
        return f"{type(error).__name__}{_where(diagnostic)}"
    return (diagnostic.message_primary or type(error).__name__) + _where(diagnostic)


def _where(diagnostic: psycopg.errors.Diagnostic) -> str:
    names = [
        f"{kind} {name}"
        for kind, name in (
            ("table", diagnostic.table_name),
            ("column", diagnostic.column_name),
            ("constraint", diagnostic.constraint_name),
        )
        if name
    ]
    return f" [{', '.join(names)}]" if names else ""


def _translate_without_state(error: psycopg.Error) -> ReplicatorError:
    text = str(error)
    if isinstance(error, psycopg.OperationalError):
        for pattern, cause in _UNUSABLE_CONNECTION.items():
            if pattern in text:
                return ConfigurationError(cause, hint="Check REPLICATOR_POSTGRES_DSN and the server's pg_hba.conf.")
        return Retryable(
            "PostgreSQL cannot be reached, or the connection to it was lost",
            hint="Check that it runs and that REPLICATOR_POSTGRES_DSN names the right host and port.",
        )
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigurationError(
            "the PostgreSQL connection string cannot be read",
            hint="REPLICATOR_POSTGRES_DSN is postgresql://USER:PASSWORD@HOST:PORT/DATABASE, percent-encoded.",
        )
    if isinstance(error, psycopg.DataError):
        return RecordRejected(f"the row cannot be sent to PostgreSQL ({type(error).__name__})")
    return Fatal(
        f"PostgreSQL's driver failed in an unknown way ({type(error).__name__})",
        hint="Please report this with the log around it.",
    )
