"""The tables of the loader itself in schema ``mart``: what was loaded, whose turn it is, what undoing would need."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

from warehouse_jobs.marts.catalog import columns_of, comments_of, exists

if TYPE_CHECKING:
    from warehouse_jobs.marts.server import Cursor

SCHEMA = "mart"
LOAD_RUN = sql.Identifier(SCHEMA, "load_run")
LOAD_QUEUE = sql.Identifier(SCHEMA, "load_queue")
OVERWRITTEN = sql.Identifier(SCHEMA, "overwritten")

_SCHEMA_LOCK = "mart schema"
_ABOUT = "Marts for analysts, the history of their rows, and how fresh every table is: freshness."

_CREATE = {
    "load_run": """
        create table mart.load_run (
            mart text not null,
            as_of timestamptz not null,
            loaded_at timestamptz not null,
            seconds double precision not null,
            rows bigint not null,
            inserted bigint not null,
            versioned bigint not null,
            closed bigint not null,
            overwritten bigint not null,
            unchanged bigint not null,
            constraint load_run_pkey primary key (mart, as_of)
        )
    """,
    "load_queue": """
        create table mart.load_queue (
            mart text not null,
            turns bigint not null default 0,
            constraint load_queue_pkey primary key (mart)
        )
    """,
    "overwritten": """
        create table mart.overwritten (
            mart text not null,
            as_of timestamptz not null,
            key text[] not null,
            before jsonb not null
        )
    """,
}
_ADDED = {
    "source_time": "timestamptz",
    "streams": "text[]",
    "checks": "integer",
    "warnings": "text[]",
    "accepted": "text[]",
    "mode": "text",
    "reason": "text",
    "computed": "bigint",
    "fingerprint": "text",
    "journal": "text",
}
"""Columns of ``load_run`` that came later; null in the loads before."""

LOAD_RUN_COMMENTS = {
    "": "Every load of a mart that was published, in numbers of keys.",
    "mart": "The mart.",
    "as_of": "The time from which the rows of this load are valid.",
    "loaded_at": "When the load was published.",
    "seconds": "How long it took.",
    "rows": "Rows of the mart after the load.",
    "inserted": "Keys that are new, or have returned.",
    "versioned": "Keys that got a new version.",
    "closed": "Keys that are gone.",
    "overwritten": "Keys of which only untracked columns changed, in place.",
    "unchanged": "Keys that stayed as they were.",
    "source_time": "The time at MongoDB that the replicated tables showed; null where nobody says it.",
    "streams": "The replicated databases that the mart uses.",
    "checks": "How many data checks there were; all passed, but for those in accepted and warnings.",
    "warnings": "What may keep figures of this load from being right.",
    "accepted": "Checks that had failed, and were let through by a person.",
    "mode": "full: every key was computed; incremental: those that had changed; proof: both, and compared.",
    "reason": "Why a load was full that might have been incremental.",
    "computed": "How many keys had changed, or their windows had moved; null where that was not asked.",
    "fingerprint": "Of what the rows depend on besides the source: the definition and the time zone.",
    "journal": "The state in which the load left the journal of changed keys; null where none is kept.",
}
"""What the columns of ``load_run`` mean; the empty name is the table itself."""

_COMMENTS = {
    "load_run": LOAD_RUN_COMMENTS,
    "load_queue": {
        "": "A row per mart, which each load locks: loads of one mart follow each other.",
        "mart": "The mart.",
        "turns": "How many loads have had their turn.",
    },
    "overwritten": {
        "": "Untracked columns as the last load found them, as text: what undoing it puts back.",
        "mart": "The mart.",
        "as_of": "The load that has overwritten them.",
        "key": "The key of the row, as text.",
        "before": "The untracked columns before.",
    },
}


def prepare_schema(cursor: Cursor) -> None:
    """Make the schema and the tables, or what they lack; without a difference nothing is locked or written."""
    if _is_complete(cursor):
        return
    # Two marts may be loaded for the first time at the same moment.
    cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [_SCHEMA_LOCK])
    create_schema(cursor)
    for table, statement in _CREATE.items():
        if not exists(cursor, f"{SCHEMA}.{table}"):
            cursor.execute(statement)
    present = columns_of(cursor, f"{SCHEMA}.load_run")
    for column, type_ in _ADDED.items():
        if column not in present:
            add = sql.SQL("alter table {} add column {} {}")
            cursor.execute(add.format(LOAD_RUN, sql.Identifier(column), sql.SQL(type_)))
    for table, wanted in _COMMENTS.items():
        comment(cursor, "table", table, wanted)


def create_schema(cursor: Cursor) -> None:
    """Make the schema where it is missing (``if not exists`` alone would ask for the privilege even so)."""
    row = cursor.execute("select to_regnamespace(%s) is null", [SCHEMA]).fetchone()
    if cast("tuple[bool]", row)[0]:
        cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
        cursor.execute(sql.SQL("comment on schema {} is {}").format(sql.Identifier(SCHEMA), sql.Literal(_ABOUT)))


def comment(cursor: Cursor, kind: str, name: str, wanted: dict[str, str]) -> None:
    """Describe the relation (the empty name) and its columns, where that is not so already."""
    found = comments_of(cursor, f"{SCHEMA}.{name}")
    for column, text in wanted.items():
        if found.get(column) == text:
            continue
        target = (
            sql.SQL("column {}").format(sql.Identifier(SCHEMA, name, column))
            if column
            else sql.SQL("view {}" if kind == "view" else "table {}").format(sql.Identifier(SCHEMA, name))
        )
        cursor.execute(sql.SQL("comment on {} is {}").format(target, sql.Literal(text)))


def _is_complete(cursor: Cursor) -> bool:
    if not all(exists(cursor, f"{SCHEMA}.{table}") for table in _CREATE):
        return False
    return _ADDED.keys() <= columns_of(cursor, f"{SCHEMA}.load_run").keys()
