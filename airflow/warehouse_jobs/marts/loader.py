"""Loads marts: the one transaction from the select to the published versions.

1. Wait for the mart's turn, so that loads follow each other; the snapshot begins here.
2. Decide on ``as_of``: refuse an older one, and one in the future; the same one again is done already.
3. Look at what the select reads from: refuse half a source, and one that is too old.
4. Decide which keys to compute: all, or those that have changed.
5. Run the select into a temporary table.
6. Compare with the current versions, and check the rows and the changes; a failed check ends here.
7. Make the relations fit the definition, and publish the difference.
8. Take what was read out of the journal of changed keys, record the load and commit.

Readers see the state before or after the commit and nothing between: no relation is emptied or swapped. Steps
1 to 6 lock nothing that readers use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, cast

from psycopg import sql
from psycopg.rows import tuple_row

from warehouse_jobs.marts import key_journal, modes, source, staging, storage, times, versions
from warehouse_jobs.marts.catalog import exists
from warehouse_jobs.marts.check_run import check_changes, check_proof, check_rows, is_key_sound
from warehouse_jobs.marts.control_tables import LOAD_RUN, SCHEMA
from warehouse_jobs.marts.definition_file import DEFAULT_DIRECTORY, read_mart
from warehouse_jobs.marts.errors import ChecksFailedError
from warehouse_jobs.marts.queue import turn
from warehouse_jobs.marts.reading import read_leniently
from warehouse_jobs.marts.results import ChangeKind, CheckOutcome, CheckResult, DiffResult, LoadResult, Mode
from warehouse_jobs.marts.server import DEFAULT_TIMEZONE, DEFAULT_WORK_MEM, Cursor, Warehouse, connected, settle
from warehouse_jobs.marts.server_errors import translated

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta
    from pathlib import Path

    from warehouse_jobs.marts.definition import Mart


_DDL_LOCK_TIMEOUT = "10s"


def load(
    warehouse: Warehouse,
    mart: Mart | str,
    as_of: datetime | None = None,
    *,
    default_as_of: datetime | None = None,
    timezone: str = DEFAULT_TIMEZONE,
    work_mem: str = DEFAULT_WORK_MEM,
    directory: Path = DEFAULT_DIRECTORY,
    accept: Collection[str] = (),
    allow_stale: bool = False,
    max_lag: timedelta | None = source.DEFAULT_MAX_LAG,
    full: bool = False,
    proved_every: timedelta | None = modes.PROVED_EVERY,
) -> LoadResult:
    """Publish the mart as it is now, valid from ``as_of``; the whole load is one transaction.

    ``mart`` is a definition or the name of one in ``directory``. ``as_of`` must have a time zone. The same
    ``as_of`` twice changes nothing (a retry is safe), an older one than the last and one in the future raise
    AsOfRefusedError. When nobody asked for a time it is ``default_as_of``, or now, taken when the turn of this load has
    come; a load that another one has overtaken is then done already.

    ``accept`` are names of checks, whole or up to the parenthesis, that are let through this once. While a collection
    that the mart uses is not whole, or shows MongoDB as it was more than ``max_lag`` ago (None: no limit),
    SourceNotReadyError is raised, or with ``allow_stale`` the result has warnings.

    A mart that says how is computed for those keys alone that may have changed since the last load. With ``full``
    everything is computed; so it is ``proved_every`` so often, and compared: a key that would have been left wrong is a
    failed check.

    Raises ChecksFailedError when a data check fails, DefinitionError for a faulty select or definition, ServerError
    and LoginRefusedError for PostgreSQL. After any error the mart is as it was before.
    """
    started = perf_counter()
    times.require_zone(as_of, default_as_of)
    mart = _definition(mart, directory)
    with translated(mart.name), connected(warehouse) as connection, turn(connection, mart.name) as cursor:
        settle(cursor, timezone, work_mem)
        last = times.last_as_of(cursor, mart)
        time = times.decided(cursor, mart, as_of, default_as_of, last)
        if last is not None and time <= last:
            return _already(mart, last, _current_rows(cursor, mart), started)
        asked = modes.Asked(full, proved_every)
        staged = _stage(cursor, mart, time, timezone, max_lag, accept, asked, allow_stale=allow_stale)
        if staged.counts is None or staged.failed:
            raise _refused(staged.summary(mart, time, started))
        # A reader's long transaction would hold up our statement on the view, and ours every new reader
        # behind it.
        cursor.execute("select set_config('lock_timeout', %s, true)", [_DDL_LOCK_TIMEOUT])
        storage.prepare(cursor, mart)
        versions.publish(cursor, mart, time, staged.counts, staged.rows)
        result = staged.summary(mart, time, started)
        journal = key_journal.take(cursor, mart, staged.plan.watched) if staged.plan.watched else None
        _record(cursor, result, staged, journal)
    return replace(result, seconds=perf_counter() - started)


def diff(
    warehouse: Warehouse,
    mart: Mart | str,
    as_of: datetime | None = None,
    *,
    timezone: str = DEFAULT_TIMEZONE,
    work_mem: str = DEFAULT_WORK_MEM,
    directory: Path = DEFAULT_DIRECTORY,
    limit: int | None = 20,
) -> DiffResult:
    """Tell what :func:`load` would do, with the first ``limit`` changes by key (None: all); publishes nothing.

    Failed checks, and what would be refused of the source, are in the result rather than raised. The rest of the
    contract is that of :func:`load`.
    """
    started = perf_counter()
    times.require_zone(as_of)
    mart = _definition(mart, directory)
    with (
        translated(mart.name),
        connected(warehouse) as connection,
        connection.transaction(force_rollback=True),
    ):
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute("set transaction isolation level repeatable read")
        settle(cursor, timezone, work_mem)
        last = times.last_as_of(cursor, mart)
        time = times.decided(cursor, mart, as_of, None, last)
        if last is not None and time <= last:
            return DiffResult(_already(mart, last, _current_rows(cursor, mart), started), ())
        staged = _stage(cursor, mart, time, timezone, None, (), modes.Asked(full=True), allow_stale=True)
        if staged.counts is None:
            return DiffResult(staged.summary(mart, time, started), ())
        read_leniently(cursor)
        changes = versions.read_changes(cursor, mart, storage.history_columns(cursor, mart), limit)
        return DiffResult(staged.summary(mart, time, started), changes)


@dataclass(frozen=True, slots=True)
class _Staged:
    """The rows of a load before they are published; ``counts`` is None where their key is not sound."""

    rows: int
    counts: dict[ChangeKind, int] | None
    checks: tuple[CheckResult, ...]
    source: source.Source
    warnings: tuple[str, ...]
    plan: modes.Plan

    @property
    def failed(self) -> bool:
        return not all(check.passed for check in self.checks)

    def summary(self, mart: Mart, as_of: datetime, started: float) -> LoadResult:
        counts = self.counts or dict.fromkeys(ChangeKind, 0)
        kept = self.rows - counts[ChangeKind.INSERTED] - counts[ChangeKind.VERSIONED] - counts[ChangeKind.OVERWRITTEN]
        told = tuple(check.told for check in self.checks if check.outcome is CheckOutcome.WARNED)
        return LoadResult(
            mart=mart.name,
            as_of=as_of,
            rows=self.rows,
            inserted=counts[ChangeKind.INSERTED],
            versioned=counts[ChangeKind.VERSIONED],
            closed=counts[ChangeKind.CLOSED],
            overwritten=counts[ChangeKind.OVERWRITTEN],
            unchanged=kept if self.counts else 0,
            checks=self.checks,
            seconds=perf_counter() - started,
            source_time=self.source.time,
            warnings=(*self.warnings, *told),
            mode=self.plan.mode,
            reason=self.plan.reason,
            computed=self.plan.keys,
        )


def _stage(
    cursor: Cursor,
    mart: Mart,
    as_of: datetime,
    timezone: str,
    max_lag: timedelta | None,
    accept: Collection[str],
    asked: modes.Asked,
    *,
    allow_stale: bool,
) -> _Staged:
    staging.prepare_select(cursor, mart, mart.sql, as_of, timezone)
    found = source.read_source(cursor, mart, max_lag)
    warnings = source.require_whole(mart, found, allow_stale=allow_stale)
    existing = storage.history_columns(cursor, mart)
    if existing:
        storage.refuse_incompatible(cursor, mart, existing)
    current_rows = _current_rows(cursor, mart)
    plan = modes.plan(cursor, mart, found, asked, rows=current_rows, as_of=as_of, timezone=timezone)
    warnings += (plan.warning,) if plan.warning else ()
    if plan.mode is Mode.PROOF:
        modes.prove(cursor, mart, as_of, timezone)
    staging.stage(cursor, mart)
    rows, checks = check_rows(cursor, mart, current_rows, accept, scoped=plan.is_scoped)
    if not is_key_sound(mart, checks):
        return _Staged(rows, None, checks, found, warnings, plan)
    counts = versions.compare(cursor, mart, existing, scoped=plan.is_scoped)
    checks += check_changes(cursor, mart, existing, counts, current_rows, accept)
    if plan.mode is Mode.PROOF:
        checks += (check_proof(cursor, mart, accept),)
    return _Staged(rows, counts, checks, found, warnings, plan)


def _definition(mart: Mart | str, directory: Path) -> Mart:
    return read_mart(mart, directory) if isinstance(mart, str) else mart


def _refused(result: LoadResult) -> ChecksFailedError:
    listed = "; ".join(check.told for check in result.failed_checks)
    return ChecksFailedError(
        f"mart {result.mart}: {len(result.failed_checks)} of {len(result.checks)} data checks failed: {listed}",
        result,
        hint="Nothing was published. Fix the source or the check, then load again. What is as it should be is let "
        "through once with --accept and the name of the check (in Airflow: the parameter accept).",
    )


def _current_rows(cursor: Cursor, mart: Mart) -> int:
    if not exists(cursor, f"{SCHEMA}.{mart.current}"):
        return 0
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(SCHEMA, mart.current))
    return cast("tuple[int]", cursor.execute(query).fetchone())[0]


def _already(mart: Mart, as_of: datetime, rows: int, started: float) -> LoadResult:
    return LoadResult(mart.name, as_of, rows, 0, 0, 0, 0, rows, (), perf_counter() - started, already_loaded=True)


def _record(cursor: Cursor, result: LoadResult, staged: _Staged, journal: str | None) -> None:
    query = sql.SQL(
        "insert into {} (mart, as_of, loaded_at, seconds, rows, inserted, versioned, closed, overwritten, unchanged, "
        "source_time, streams, checks, warnings, accepted, mode, reason, computed, fingerprint, journal) "
        "values (%s, %s, clock_timestamp(), %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    ).format(LOAD_RUN)
    counts = (result.inserted, result.versioned, result.closed, result.overwritten, result.unchanged)
    accepted = [check.name for check in result.checks if check.outcome is CheckOutcome.ACCEPTED]
    told = (result.source_time, list(staged.source.streams), len(result.checks), list(result.warnings), accepted)
    how = (result.mode.value, result.reason or None, result.computed, staged.plan.fingerprint, journal)
    cursor.execute(query, [result.mart, result.as_of, result.seconds, result.rows, *counts, *told, *how])
