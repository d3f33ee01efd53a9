"""Loads marts: the one transaction from the select to the published versions.

1. Take the mart's advisory lock, so that loads queue up.
2. Look at ``as_of``: refuse an older one; the same one again is done already.
3. Run the select into a temporary table.
4. Check the staged rows; a failed check ends here.
5. Make the relations fit the definition.
6. Compare with the current versions and publish the difference.
7. Record the load and commit.

Readers see the state before or after the commit and nothing between: no relation is emptied or swapped. Steps
1 to 4 lock nothing that readers use.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, cast

from psycopg import sql
from psycopg.rows import tuple_row

from warehouse_jobs.marts import staging, storage, versions
from warehouse_jobs.marts.catalog import exists
from warehouse_jobs.marts.checks import run_checks
from warehouse_jobs.marts.definition import VALID_FROM, VALID_TO, Mart
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY, read_mart
from warehouse_jobs.marts.errors import AsOfRefusedError, ChecksFailedError, DefinitionError, MartError
from warehouse_jobs.marts.results import ChangeKind, CheckResult, DiffResult, LoadResult, ValidRows
from warehouse_jobs.marts.server import (
    DEFAULT_TIMEZONE,
    DEFAULT_WORK_MEM,
    Connection,
    Cursor,
    connected,
    settle,
)
from warehouse_jobs.marts.server_errors import translated

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


_DDL_LOCK_TIMEOUT = "10s"


def load(
    connection_or_dsn: Connection | str,
    mart: Mart | str,
    as_of: datetime,
    *,
    timezone: str = DEFAULT_TIMEZONE,
    work_mem: str = DEFAULT_WORK_MEM,
    directory: Path = DEFAULT_DIRECTORY,
) -> LoadResult:
    """Publish the mart as it is now, valid from ``as_of``; the whole load is one transaction.

    ``mart`` is a definition or the name of one in ``directory``. ``as_of`` must have a time zone. The same
    ``as_of`` twice changes nothing (a retry is safe). Raises AsOfRefusedError for an older one than the last,
    ChecksFailedError when a data check fails, DefinitionError for a faulty select or definition, ServerError
    for PostgreSQL. After any error the mart is as it was before.
    """
    started = perf_counter()
    mart = _definition(mart, as_of, directory)
    with translated(mart.name), connected(connection_or_dsn) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("set transaction isolation level read committed")
        settle(cursor, timezone, work_mem)
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"mart {mart.name}"])
        last = _last_as_of(cursor, mart)
        _refuse_older(mart, as_of, last)
        if as_of == last:
            rows = _current_rows(cursor, mart)
            return LoadResult(
                mart.name, as_of, rows, 0, 0, 0, 0, rows, (), perf_counter() - started, already_loaded=True
            )
        staging.stage(cursor, mart, as_of, timezone)
        rows, checks = run_checks(cursor, mart, staging.STAGED, _current_rows(cursor, mart))
        _refuse_failed(LoadResult(mart.name, as_of, rows, 0, 0, 0, 0, 0, checks, perf_counter() - started))
        # A reader's long transaction would hold up our statement on the view, and ours every new reader
        # behind it.
        cursor.execute("select set_config('lock_timeout', %s, true)", [_DDL_LOCK_TIMEOUT])
        storage.prepare(cursor, mart)
        counts = versions.compare(cursor, mart, storage.history_columns(cursor, mart))
        versions.publish(cursor, mart, as_of, counts)
        result = _summary(mart, as_of, rows, counts, checks, perf_counter() - started)
        _record(cursor, result)
    return replace(result, seconds=perf_counter() - started)


def diff(
    connection_or_dsn: Connection | str,
    mart: Mart | str,
    as_of: datetime,
    *,
    timezone: str = DEFAULT_TIMEZONE,
    work_mem: str = DEFAULT_WORK_MEM,
    directory: Path = DEFAULT_DIRECTORY,
    limit: int = 20,
) -> DiffResult:
    """Tell what :func:`load` would do, with the first ``limit`` changes by key; publishes nothing.

    Failed checks are in the result rather than raised. The rest of the contract is that of :func:`load`.
    """
    started = perf_counter()
    mart = _definition(mart, as_of, directory)
    with (
        translated(mart.name),
        connected(connection_or_dsn) as connection,
        connection.transaction(force_rollback=True),
    ):
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("set transaction isolation level repeatable read")
        settle(cursor, timezone, work_mem)
        last = _last_as_of(cursor, mart)
        _refuse_older(mart, as_of, last)
        current_rows = _current_rows(cursor, mart)
        if as_of == last:
            nothing = dict.fromkeys(ChangeKind, 0)
            summary = _summary(mart, as_of, current_rows, nothing, (), perf_counter() - started)
            return DiffResult(replace(summary, already_loaded=True), ())
        staging.stage(cursor, mart, as_of, timezone)
        rows, checks = run_checks(cursor, mart, staging.STAGED, current_rows)
        if not all(check.passed for check in checks[: len(mart.key) + 1]):
            # Without a sound key there is nothing to compare by.
            return DiffResult(LoadResult(mart.name, as_of, rows, 0, 0, 0, 0, 0, checks, perf_counter() - started), ())
        existing = storage.history_columns(cursor, mart)
        if existing:
            storage.refuse_incompatible(cursor, mart, existing)
        counts = versions.compare(cursor, mart, existing)
        changes = versions.read_changes(cursor, mart, existing, limit)
        return DiffResult(_summary(mart, as_of, rows, counts, checks, perf_counter() - started), changes)


def as_of(
    connection_or_dsn: Connection | str,
    mart: Mart | str,
    at: datetime,
    *,
    directory: Path = DEFAULT_DIRECTORY,
    limit: int | None = None,
) -> ValidRows:
    """Return the versions valid at a time, in order of the key: ``etl_valid_from <= at < etl_valid_to``."""
    mart = _definition(mart, at, directory)
    with translated(mart.name), connected(connection_or_dsn) as connection, connection.transaction():
        cursor = connection.cursor(row_factory=tuple_row)
        if not exists(cursor, f"{storage.SCHEMA}.{mart.history}"):
            raise DefinitionError(
                f"mart {mart.name} has not been loaded yet", hint=f"Run: warehouse marts load {mart.name}"
            )
        present = storage.history_columns(cursor, mart)
        columns = (*(name for name in mart.column_names if name in present), VALID_FROM, VALID_TO)
        query = sql.SQL(
            "select {columns} from {history} where {valid_from} <= %(at)s "
            "and ({valid_to} is null or {valid_to} > %(at)s) order by {key} limit %(limit)s"
        ).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            history=sql.Identifier(storage.SCHEMA, mart.history),
            valid_from=sql.Identifier(VALID_FROM),
            valid_to=sql.Identifier(VALID_TO),
            key=sql.SQL(", ").join(map(sql.Identifier, mart.key)),
        )
        rows = cursor.execute(query, {"at": at, "limit": limit}).fetchall()
    return ValidRows(mart.name, at, columns, tuple(rows))


def _definition(mart: Mart | str, at: datetime, directory: Path) -> Mart:
    if at.utcoffset() is None:
        raise MartError("the time of a load needs a time zone", hint="For example 2026-01-31T00:00:00+00:00.")
    return read_mart(mart, directory) if isinstance(mart, str) else mart


def _last_as_of(cursor: Cursor, mart: Mart) -> datetime | None:
    if not exists(cursor, f"{storage.SCHEMA}.load_run"):
        return None
    query = sql.SQL("select max(as_of) from {} where mart = %s").format(storage.LOAD_RUN)
    row = cursor.execute(query, [mart.name]).fetchone()
    return cast("tuple[datetime | None]", row)[0]


def _refuse_older(mart: Mart, as_of: datetime, last: datetime | None) -> None:
    if last is not None and as_of < last:
        raise AsOfRefusedError(
            f"mart {mart.name} was already loaded as of {last.isoformat()}, later than {as_of.isoformat()}",
            hint="History is not rewritten: load with a later as_of (the default is now).",
        )


def _refuse_failed(result: LoadResult) -> None:
    if failed := result.failed_checks:
        listed = "; ".join(f"{check.name}: {check.detail or f'{check.failing} rows'}" for check in failed)
        raise ChecksFailedError(
            f"mart {result.mart}: {len(failed)} of {len(result.checks)} data checks failed: {listed}",
            result,
            hint="Nothing was published. Mend the source or the check, then load again.",
        )


def _current_rows(cursor: Cursor, mart: Mart) -> int:
    if not exists(cursor, f"{storage.SCHEMA}.{mart.current}"):
        return 0
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(storage.SCHEMA, mart.current))
    return cast("tuple[int]", cursor.execute(query).fetchone())[0]


def _summary(
    mart: Mart,
    as_of: datetime,
    rows: int,
    counts: dict[ChangeKind, int],
    checks: tuple[CheckResult, ...],
    seconds: float,
) -> LoadResult:
    kept = rows - counts[ChangeKind.INSERTED] - counts[ChangeKind.VERSIONED] - counts[ChangeKind.OVERWRITTEN]
    return LoadResult(
        mart=mart.name,
        as_of=as_of,
        rows=rows,
        inserted=counts[ChangeKind.INSERTED],
        versioned=counts[ChangeKind.VERSIONED],
        closed=counts[ChangeKind.CLOSED],
        overwritten=counts[ChangeKind.OVERWRITTEN],
        unchanged=kept,
        checks=checks,
        seconds=seconds,
    )


def _record(cursor: Cursor, result: LoadResult) -> None:
    query = sql.SQL(
        "insert into {} (mart, as_of, loaded_at, seconds, "
        "rows, inserted, versioned, closed, overwritten, unchanged) "
        "values (%s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s)"
    ).format(storage.LOAD_RUN)
    counts = (result.inserted, result.versioned, result.closed, result.overwritten, result.unchanged)
    cursor.execute(query, [result.mart, result.as_of, result.seconds, result.rows, *counts])
