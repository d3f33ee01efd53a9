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
from replicator_service.sink.connect.connection_errors import why_refused

if TYPE_CHECKING:
    from collections.abc import Iterator

_REJECTING_CLASSES = frozenset({"22", "23", "44", "54", "P0"})
"""Data exception, integrity violation, check option, program limit, and what triggers raise."""

_PASSING_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""Connection, transaction state, rollback, resources, objects in use, operator intervention, system error."""

_PASSING = {
    "25006": (
        "PostgreSQL is read-only here: a standby, or set so for this user or database",
        "Address the primary, with target_session_attrs=read-write; or set default_transaction_read_only to off.",
    ),
    "53100": ("PostgreSQL's disk is full", "Free space on it: the service goes on by itself."),
    "53200": ("PostgreSQL is out of memory", "The service goes on by itself when there is some again."),
}
"""Those of the passing states that somebody has to do something about."""


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
    if state in _PASSING:
        cause, hint = _PASSING[state]
        return Retryable(f"{cause} (SQLSTATE {state})", hint=hint)
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
    if isinstance(error, psycopg.OperationalError):
        return why_refused(str(error))
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigurationError(
            "the PostgreSQL connection string cannot be read, or has an option that does not exist",
            hint="REPLICATOR_POSTGRES_DSN is postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS, percent-encoded.",
        )
    if isinstance(error, psycopg.DataError):
        return RecordRejected(f"the row cannot be sent to PostgreSQL ({type(error).__name__})")
    return Fatal(
        f"PostgreSQL's driver failed in an unknown way ({type(error).__name__})",
        hint="Please report this with the log around it.",
    )
