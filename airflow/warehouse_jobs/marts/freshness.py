"""``mart.freshness``: how fresh and how proved each replicated table and each mart is, for people who may read marts.

The view calls a function that runs with its owner's rights: readers of marts need none on the schema ``replicator``.
Its body is text to PostgreSQL, so nothing here depends on the replicator's tables, which its migrations may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import errors, sql

from warehouse_jobs.marts.catalog import exists
from warehouse_jobs.marts.control_tables import comment, prepare_schema

if TYPE_CHECKING:
    from warehouse_jobs.marts.server import Cursor

COMMENTS = {
    "": "How fresh every replicated table and every mart is.",
    "kind": "replicated: a table of the replicator; mart: one of these tables.",
    "stream": "The database at MongoDB; null for marts, which may use several.",
    "table_name": "The table; a replicated one is in the schema of its database.",
    "state": "streaming: it follows every change; snapshotting: it is being read; paused; converging: some rows are "
    "newer than others; dropped: its collection is gone; loaded: of marts.",
    "as_of": "The time at MongoDB that it shows.",
    "lag": "How long ago that was.",
    "last_proof": "When it was last compared as a whole with MongoDB, a mart with all that it is computed from, and "
    "nothing was left that differs; null: never.",
    "refused_documents": "Documents that PostgreSQL has refused: they are missing, or older than at MongoDB.",
}
"""What the columns mean; the empty name is the view itself."""

_BODY = """
    select
        'replicated',
        c.stream,
        t.name,
        case
            when exists (select from replicator.pause as p where p.stream = c.stream) then 'paused'
            when c.state = 'streaming' and k.converging_until > k.cluster_time then 'converging'
            else c.state
        end,
        pg_catalog.to_timestamp(k.cluster_time >> 32),
        pg_catalog.now() - pg_catalog.to_timestamp(k.cluster_time >> 32),
        (
            select pg_catalog.max(r.finished_at)
            from replicator.reconciliation_run as r
            where r.stream = c.stream and r.state = 'finished'
                and (r.collection is null or c.collection = any(pg_catalog.string_to_array(r.collection, ', ')))
                and not exists (
                    select from replicator.reconciliation_difference as d
                    where d.run_id = r.id and d.collection = c.collection and d.repaired_at is null
                )
                and not exists (
                    select from pg_catalog.jsonb_each(r.parts) as p
                    where p.value ->> 'skipped' is not null
                        and coalesce(
                            p.value ->> 'collection' = c.collection,
                            pg_catalog.strpos(p.value ->> 'skipped', c.collection || ': ') > 0
                        )
                )
        ),
        (
            select pg_catalog.count(distinct l.source_id)
            from replicator.dead_letter as l
            where l.stream = c.stream and l.collection = c.collection
        )
    from replicator.collection as c
    left join replicator.checkpoint as k on k.stream = c.stream
    cross join lateral pg_catalog.unnest(
        case when c.tables = '{}' then array[c.table_name] else c.tables end
    ) as t (name)

    union all

    select
        'mart',
        null,
        m.mart,
        'loaded',
        m.source_time,
        pg_catalog.now() - m.source_time,
        (
            select pg_catalog.max(f.loaded_at)
            from mart.load_run as f
            where f.mart = m.mart and f.mode is distinct from 'incremental'
        ),
        null
    from (select distinct on (mart) mart, source_time from mart.load_run order by mart, as_of desc) as m
"""

_FUNCTION = """
    create or replace function mart.freshness_now()
    returns table (
        kind text, stream text, table_name text, state text, as_of timestamptz, lag interval, last_proof timestamptz,
        refused_documents bigint
    )
    language sql stable security definer set search_path = pg_catalog, pg_temp
    as {body}
"""
_IS_READABLE = """
    select count(*) = 6
    from pg_catalog.pg_namespace as space
    join pg_catalog.pg_class as relation on relation.relnamespace = space.oid
    where space.nspname = 'replicator'
        and relation.relname in (
            'checkpoint', 'collection', 'pause', 'dead_letter', 'reconciliation_run', 'reconciliation_difference'
        )
        and has_schema_privilege(space.oid, 'usage')
        and has_table_privilege(relation.oid, 'select')
"""
_FOUND = "select prosrc from pg_catalog.pg_proc where oid = pg_catalog.to_regprocedure('mart.freshness_now()')"


def install_freshness(cursor: Cursor) -> str:
    """Make the view, or bring it up to date and return a warning where it belongs to somebody else.

    Without a replicator whose tables this role may read, nothing is made.
    """
    prepare_schema(cursor)
    if not cast("tuple[bool]", cursor.execute(_IS_READABLE).fetchone())[0]:
        return ""
    try:
        with cursor.connection.transaction():
            cursor.execute("set local check_function_bodies = off")
            found = cast("tuple[str] | None", cursor.execute(_FOUND).fetchone())
            if found is None or found[0] != _BODY:
                cursor.execute(sql.SQL(_FUNCTION).format(body=sql.Literal(_BODY)))
            if not exists(cursor, "mart.freshness"):
                cursor.execute("create view mart.freshness as select * from mart.freshness_now()")
            comment(cursor, "view", "freshness", COMMENTS)
    except errors.InsufficientPrivilege:
        return "mart.freshness is not up to date: it belongs to another role, which can run: warehouse marts load"
    return ""
