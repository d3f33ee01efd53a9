"""Which rows a load computes: all, those of the keys that have changed, or both, to prove that the others had not.

A load is incremental only if everything that could be missed is accounted for: the definition is that of the load
before, and the journal of changed keys was kept since and read by nobody else. Otherwise it is full, and says why.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from psycopg import sql

from replicator_service.core.words import counted
from warehouse_jobs.marts import key_journal, narrowing, staging
from warehouse_jobs.marts.catalog import columns_of
from warehouse_jobs.marts.control_tables import LOAD_RUN, SCHEMA
from warehouse_jobs.marts.errors import DefinitionError
from warehouse_jobs.marts.results import Mode

if TYPE_CHECKING:
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor
    from warehouse_jobs.marts.source import Source

PROVED_EVERY = timedelta(days=7)
"""A load that comes so long after the last full one computes everything, and compares."""

MOST_CHANGED = 0.25
"""Where a larger share of the keys has changed, computing all of them costs less."""

FEW_KEYS = 10_000
"""So many keys are computed on their own whatever their share is."""

_REVISION = 1
"""Raised when a release computes something else from the same definition."""

_LAST = """
    select fingerprint, journal, as_of, max(as_of) filter (where mode <> 'incremental') over ()
    from {} where mart = %s order by as_of desc limit 1
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The mode of a load and why it is that one. ``keys`` counts those to be computed, None where all are.

    ``watched`` are the columns (stream, table, column) that the journal shall be kept of; none: it cannot be.
    """

    mode: Mode
    reason: str = ""
    keys: int | None = None
    warning: str = ""
    fingerprint: str | None = None
    watched: tuple[tuple[str, str, str], ...] = ()

    @property
    def is_scoped(self) -> bool:
        """Whether only the keys of the scope are staged."""
        return self.mode is Mode.INCREMENTAL


@dataclass(frozen=True, slots=True)
class Asked:
    """What a load was asked for. ``proved_every`` None: never."""

    full: bool = False
    proved_every: timedelta | None = PROVED_EVERY


def plan(
    cursor: Cursor,
    mart: Mart,
    found: Source,
    asked: Asked,
    *,
    rows: int,
    as_of: datetime,
    timezone: str,
) -> Plan:
    """Decide, with the select prepared as a view; unless the load is full, that is now one of the narrowed tables.

    ``rows`` are those of the mart before the load. The keys to be computed are in the scope then.
    """
    how = mart.incremental
    if how is None:
        return Plan(Mode.FULL)
    if not key_journal.is_usable(cursor):
        return Plan(Mode.FULL, "the replicator keeps no journal of keys that this role may read")
    fingerprint = _fingerprint(mart, timezone)
    schemas = {table: schema for schema, table, _, _ in found.tables}
    streams = {table: stream for _, table, stream, _ in found.tables}
    fault = _fault(cursor, mart, found)
    if fault:
        told = f"every key is computed, although the definition says how to do with some: {fault}"
        return Plan(Mode.FULL, "the incremental section does not fit", warning=told)
    watched = tuple((streams[each.table], each.table, each.column) for each in how.sources if each.column)
    last = _last(cursor, mart)
    before = last[2] if last else None
    if reason := _obstacle(cursor, mart, last, fingerprint, asked):
        return Plan(Mode.FULL, reason, fingerprint=fingerprint, watched=watched)
    keys = narrowing.make_scope(cursor, mart, how, schemas, (cast("datetime", before), as_of), timezone)
    if keys > FEW_KEYS and keys > rows * MOST_CHANGED:
        return Plan(Mode.FULL, f"{counted(keys, 'key')} changed, of {rows}", fingerprint=fingerprint, watched=watched)
    if told := _narrow(cursor, mart, found, as_of, timezone):
        return Plan(Mode.FULL, "the select cannot be narrowed", warning=told, fingerprint=fingerprint, watched=watched)
    last_full = last[3] if last else None
    is_due = asked.proved_every is not None and (last_full is None or as_of - last_full >= asked.proved_every)
    mode = Mode.PROOF if is_due else Mode.INCREMENTAL
    return Plan(mode, "", keys, fingerprint=fingerprint, watched=watched)


def _obstacle(
    cursor: Cursor,
    mart: Mart,
    last: tuple[str | None, str | None, datetime, datetime | None] | None,
    fingerprint: str,
    asked: Asked,
) -> str:
    if last is None:
        return "the first load"
    if asked.full:
        return "asked for"
    if last[0] != fingerprint:
        return "the definition or the time zone is another than at the last load"
    state = key_journal.state(cursor, mart)
    if state is None or state != last[1]:
        return "the journal of changed keys does not begin at the last load"
    if key_journal.has_anything(cursor, mart):
        return "a table was read again, emptied or renamed"
    return ""


def _narrow(cursor: Cursor, mart: Mart, found: Source, as_of: datetime, timezone: str) -> str:
    """Put the select over narrowed tables in the place of the other; why that is impossible, or nothing."""
    how = mart.incremental
    assert how is not None  # noqa: S101 - the caller has looked
    schemas = {table: schema for schema, table, _, _ in found.tables}
    used = {table: columns for _, table, _, columns in found.tables}
    try:
        with cursor.connection.transaction():
            narrowing.narrow(cursor, how, schemas, used)
            staging.drop_select(cursor)
            staging.prepare_select(cursor, mart, narrowing.narrowed(mart.sql, schemas), as_of, timezone)
            staging.require_unread(cursor, mart, schemas)
    except DefinitionError as error:
        return f"every key is computed, although the definition says how to do with some: {error.message}"
    return ""


def prove(cursor: Cursor, mart: Mart, as_of: datetime, timezone: str) -> None:
    """Keep what an incremental load would publish as :data:`COMPUTED`, and prepare the whole select again."""
    how = mart.incremental
    assert how is not None  # noqa: S101 - only such a mart is proved
    staging.stage(cursor, mart)
    cursor.execute("alter table pg_temp.staged rename to computed")
    narrowing.widen(cursor, how)
    staging.prepare_select(cursor, mart, mart.sql, as_of, timezone)


def _fault(cursor: Cursor, mart: Mart, found: Source) -> str:
    how = mart.incremental
    assert how is not None  # noqa: S101 - the caller has looked
    named = {each.table for each in how.sources}
    read = [table for _, table, _, _ in found.tables]
    if others := sorted({table for table in read if table not in named or read.count(table) > 1}):
        return f"the select also reads {', '.join(others)}"
    if missing := sorted(named - set(read)):
        return f"the select does not read {', '.join(missing)}"
    if foreign := sorted(table for _, table, stream, _ in found.tables if not stream):
        return f"{', '.join(foreign)} is not replicated"
    return narrowing.misfit(cursor, mart, how, {table: schema for schema, table, _, _ in found.tables})


def _last(cursor: Cursor, mart: Mart) -> tuple[str | None, str | None, datetime, datetime | None] | None:
    if "fingerprint" not in columns_of(cursor, f"{SCHEMA}.load_run"):
        return None
    row = cursor.execute(sql.SQL(_LAST).format(LOAD_RUN), [mart.name]).fetchone()
    return cast("tuple[str | None, str | None, datetime, datetime | None] | None", row)


def _fingerprint(mart: Mart, timezone: str) -> str:
    """What the rows depend on besides the source and the time."""
    told = (_REVISION, mart.sql, mart.key, mart.columns, mart.incremental, timezone)
    return hashlib.sha256(repr(told).encode()).hexdigest()
