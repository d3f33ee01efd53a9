"""Connections to the warehouse and the session settings that a load depends on."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, errors
from psycopg.pq import TransactionStatus

from replicator_service.core.addresses import postgres_dsn_flaw
from replicator_service.core.errors import Fatal
from replicator_service.sink.connect import address as postgres
from replicator_service.sink.connect.connection_errors import why_refused
from warehouse_jobs.marts.address import Address
from warehouse_jobs.marts.errors import LoginRefusedError, MartError, ServerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[tuple[object, ...]]
Warehouse = Connection | str
"""A connection of the caller, or where to open one of our own."""

DEFAULT_TIMEZONE = "UTC"
DEFAULT_WORK_MEM = "64MB"
"""What docs/reference/marts.md was measured with; the largest hash tables take twice as much before they spill."""

# PostgreSQL reads UTC+3 as three hours *west* of Greenwich, so such POSIX names are refused: Etc/GMT-3 says
# what it means.
_TIMEZONE = re.compile(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*")
_CONNECT_TIMEOUT_SECONDS = 10
_VARIABLES = {"TimeZone": "MART_TIMEZONE", "work_mem": "MART_WORK_MEM"}


@contextmanager
def connected(warehouse: Warehouse) -> Iterator[Connection]:
    """Lend the caller's connection, which must not be in a transaction, or one of our own."""
    if isinstance(warehouse, psycopg.Connection):
        if warehouse.info.transaction_status is not TransactionStatus.IDLE:
            raise MartError(
                "the connection is inside a transaction",
                hint="Commit or roll back first: a load is one transaction of its own.",
            )
        yield warehouse
        return
    with _connect(warehouse if isinstance(warehouse, Address) else Address(warehouse)) as connection:
        yield connection


def _connect(address: Address) -> Connection:
    parameters = _parameters(address)
    try:
        return psycopg.connect(
            str(address),
            autocommit=True,
            connect_timeout=int(str(parameters.get("connect_timeout") or _CONNECT_TIMEOUT_SECONDS)),
            application_name=str(parameters.get("application_name") or "warehouse marts"),
        )
    except psycopg.OperationalError as error:
        # The same words as the service has for it, and the place where their reader corrects it.
        why = why_refused(str(error), postgres.Address.of(address))
        kind = LoginRefusedError if isinstance(why, Fatal) else ServerError
        raise kind(why.message, hint=why.hint.replace("REPLICATOR_POSTGRES_DSN", address.told_by)) from None


def _parameters(address: Address) -> Mapping[str, object]:
    if flaw := postgres_dsn_flaw(address):
        raise SettingsError(f"{address.told_by} is wrong: it {flaw.cause}", hint=flaw.fix)
    try:
        return conninfo.conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        # The driver's message quotes the string, and with it the password.
        raise SettingsError(
            f"{address.told_by} is wrong: it has an option, or a form, that PostgreSQL does not have",
            hint="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and options as PostgreSQL spells them: sslmode.",
        ) from None


def settle(cursor: Cursor, timezone: str, work_mem: str) -> None:
    """Set what the transaction depends on, for it alone; raises SettingsError for an unknown value."""
    if not _TIMEZONE.fullmatch(timezone):
        raise SettingsError(
            f"{timezone!r} is no time zone for marts",
            hint="Set MART_TIMEZONE to a name such as Europe/Moscow or UTC, not to an offset.",
        )
    # JIT compilation costs more than it saves on these selects (measured). The styles are how values are read as text.
    settings = (
        ("TimeZone", timezone),
        ("work_mem", work_mem),
        ("jit", "off"),
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "postgres"),
        ("extra_float_digits", "1"),
    )
    for name, value in settings:
        try:
            cursor.execute("select set_config(%s, %s, true)", [name, value])
        except errors.InvalidParameterValue:
            raise SettingsError(
                f"PostgreSQL does not accept {value!r} as its {name}",
                hint=f"Correct {_VARIABLES.get(name, name)}. The view pg_timezone_names lists the time zones.",
            ) from None
