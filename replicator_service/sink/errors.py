"""PostgreSQL's errors, translated once: by SQLSTATE, see :mod:`replicator_service.sink.sqlstates`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import psycopg

from replicator_service.core.errors import (
    ConfigurationError,
    DiskFull,
    Fatal,
    RecordRejected,
    ReplicatorError,
    SinkUnavailable,
    TableChanged,
)
from replicator_service.sink.connect.connection_errors import why_refused
from replicator_service.sink.sqlstates import (
    BY_FUNCTION,
    IN_A_FUNCTION,
    MEANINGS,
    QUOTES_VALUES,
    UNKNOWN,
    Acts,
    Meaning,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.sink.connect.address import Address


_DISK_FULL = "53100"


class Forbidden(ConfigurationError):
    """The user lacks a privilege, or something that others have made is in the way; ``check`` names it."""


@dataclass(frozen=True, slots=True)
class Where:
    """What an error is about: a ``step`` of ours that no document causes, a quoted ``table``, the address tried."""

    step: str = ""
    table: str = ""
    address: Address | None = None


@contextmanager
def translated(*, step: str = "", table: str = "", address: Address | None = None) -> Iterator[None]:
    """Raise what PostgreSQL's driver raises as one of our errors.

    With a ``step`` ("create the table") no document is at fault: what would refuse a row is then for a person, with
    PostgreSQL's own message and detail. ``table`` is the quoted name of the table, with its schema, that hints need.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, Where(step, table, address)) from error


def translate(error: psycopg.Error, where: Where = Where()) -> ReplicatorError:
    """The error of ours that says what to do about one of the driver."""
    state = error.sqlstate
    if state is None:
        return _translate_without_state(error, where)
    meaning = _meaning(error, state, where)
    hint = _filled(meaning.hint, where)
    if meaning.acts is Acts.ROW and where.step:
        told = f"PostgreSQL refuses to {where.step}: {_whole(error)} (SQLSTATE {state})"
        return ConfigurationError(told, hint="Remove what refuses it (an event trigger, a rule, a trigger).")
    told = f"{_at(meaning.cause, where)}: {_primary(error)} (SQLSTATE {state})"
    match meaning.acts:
        case Acts.RETRY:
            kind = DiskFull if state == _DISK_FULL else SinkUnavailable
            return kind(told, hint=hint)
        case Acts.ROW:
            return RecordRejected(told, hint=hint)
        case Acts.TABLE:
            return TableChanged(told, hint=hint)
        case Acts.PERSON:
            return _for_a_person(meaning, state, error, where)
        case _:
            assert_never(meaning.acts)


def _meaning(error: psycopg.Error, state: str, where: Where) -> Meaning:
    """What the code means here: codes that say nothing of our own statement may come out of a trigger's function."""
    function = error.diag.source_function or ""
    found = BY_FUNCTION.get((state, function)) or MEANINGS.get(state)
    # Only statements inside functions are reported with their text, and only plpgsql's raise takes codes of others.
    is_inside = error.diag.internal_query is not None or (found is None and function == "exec_stmt_raise")
    if is_inside and (found is None or found.acts in (Acts.TABLE, Acts.PERSON)) and not where.step:
        return IN_A_FUNCTION
    return found or UNKNOWN


def _for_a_person(meaning: Meaning, state: str, error: psycopg.Error, where: Where) -> ReplicatorError:
    hint = _filled(meaning.hint, where)
    told = f"{_at(meaning.cause, where)}: {_whole(error) if where.step else _primary(error)} (SQLSTATE {state})"
    if state == "42501":
        return Forbidden(told, hint=hint)
    if state in ("28000", "28P01", "2BP01", "3D000"):
        detail = f": {error.diag.message_detail}" if state == "2BP01" and not where.step else ""
        return ConfigurationError(f"{told}{detail}", hint=hint)
    return Fatal(told, hint=hint)


def _at(cause: str, where: Where) -> str:
    return f"{cause}, when it was to {where.step}" if where.step else cause


def _filled(hint: str, where: Where) -> str:
    address = where.address
    return (
        hint.replace("{table}", where.table or "the table")
        .replace("{role}", address.quoted_user if address else "the service's user")
        .replace("{database}", address.quoted_database if address else "the database")
    )


def _whole(error: psycopg.Error) -> str:
    """Message and detail: a statement without a document quotes no row."""
    diagnostic = error.diag
    told = (diagnostic.message_primary or type(error).__name__) + _where(diagnostic)
    return f"{told} ({diagnostic.message_detail})" if diagnostic.message_detail else told


def _primary(error: psycopg.Error) -> str:
    """The message without its detail: the detail may quote values of the row."""
    diagnostic = error.diag
    state = error.sqlstate or ""
    if state[:2] in QUOTES_VALUES or diagnostic.source_function == "exec_stmt_raise":
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


def _translate_without_state(error: psycopg.Error, where: Where) -> ReplicatorError:
    if isinstance(error, psycopg.OperationalError):
        return why_refused(str(error), where.address)
    if isinstance(error, psycopg.ProgrammingError):
        return ConfigurationError(
            "the PostgreSQL connection string cannot be read, or has an option that does not exist",
            hint="REPLICATOR_POSTGRES_DSN is postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS, percent-encoded.",
        )
    if isinstance(error, psycopg.DataError):
        return RecordRejected(
            f"the row cannot be sent to PostgreSQL ({type(error).__name__})",
            hint="Look at the document with 'replicator dead-letters show', and report this: it should have a place.",
        )
    return Fatal(
        f"PostgreSQL's driver failed in an unknown way ({type(error).__name__})",
        hint="Please report this with the log around it.",
    )
