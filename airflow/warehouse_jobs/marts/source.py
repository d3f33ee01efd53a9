"""What a load reads from: which collections, as of which time at MongoDB, and whether they are whole.

All of it is read in the transaction of the load, so it is what the select sees. The tables are the replicator's:
``checkpoint``, ``collection``, ``pause``, ``dead_letter`` and ``schema_finding`` in schema ``replicator``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from replicator_service.core.naming import schema_name
from replicator_service.core.position import wall_time
from replicator_service.core.words import counted
from warehouse_jobs.marts.errors import SourceNotReadyError
from warehouse_jobs.marts.findings import Used, misfits
from warehouse_jobs.marts.staging import tables_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor

DEFAULT_MAX_LAG = timedelta(hours=1)

_READABLE = """
    select
        relation.relname::text,
        has_schema_privilege(space.oid, 'usage') and has_table_privilege(relation.oid, 'select')
    from pg_catalog.pg_namespace as space
    join pg_catalog.pg_class as relation on relation.relnamespace = space.oid and relation.relkind in ('r', 'p', 'v')
    where space.nspname = 'replicator'
        and relation.relname in ('checkpoint', 'collection', 'pause', 'dead_letter', 'schema_finding')
"""
_CHECKPOINT = "select stream, cluster_time, converging_until from replicator.checkpoint"
_COLLECTIONS = "select stream, table_name, collection, state from replicator.collection"
_PAUSED = "select stream from replicator.pause"
_DEAD_LETTERS = """
    select stream, collection, count(distinct source_id)
    from replicator.dead_letter
    where stream = any(%s)
    group by stream, collection
"""
_NOT_WHOLE = {"snapshotting": "is being read for the first time, or again", "paused": "is paused"}


@dataclass(frozen=True, slots=True)
class Source:
    """What was found. ``time`` is None, and there are no ``streams``, where no replicated table is used.

    ``tables`` are all that are read, each as schema, name, its stream ("" where it is not replicated), and the columns.
    """

    time: datetime | None = None
    streams: tuple[str, ...] = ()
    obstacles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[tuple[str, str, str, list[str]], ...] = ()


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    stream: str
    cluster_time: int | None
    converging_until: int | None

    @property
    def time(self) -> datetime | None:
        return None if self.cluster_time is None else wall_time(self.cluster_time)

    def obstacle(self, now: datetime, max_lag: timedelta | None) -> str:
        """Why its tables are not MongoDB as it was at one recent time; empty when they are."""
        if self.cluster_time is None or self.time is None:
            return f"the replication of {self.stream} has not begun"
        if self.converging_until is not None and self.converging_until > self.cluster_time:
            return f"{self.stream} is converging: some rows are newer than others"
        if max_lag is not None and now - self.time > max_lag:
            lag = timedelta(seconds=int((now - self.time).total_seconds()))
            shown = self.time.isoformat(sep=" ")
            return f"{self.stream} shows MongoDB as of {shown}, {lag} ago, and MART_MAX_LAG is {max_lag}"
        return ""


def read_source(cursor: Cursor, mart: Mart, max_lag: timedelta | None) -> Source:
    """Find out what the prepared select of the mart reads from; see :func:`require_whole`."""
    readable = dict(cast("list[tuple[str, bool]]", cursor.execute(_READABLE).fetchall()))
    if not {"checkpoint", "collection"} <= readable.keys():
        return Source()
    read = tables_read(cursor)
    refused = sorted(f"replicator.{table}" for table, may in readable.items() if not may)
    if refused:
        told = f"this role may not read {', '.join(refused)}, which tell whether the replicated tables are whole"
        fix = f"grant usage on schema replicator, select on {', '.join(refused)}"
        return Source(obstacles=(f"{told} ({fix})",))
    checkpoints = {schema_name(each.stream): each for each in _checkpoints(cursor)}
    collections: dict[tuple[str, str], tuple[str, str]] = {
        (schema_name(str(stream)), str(table)): (str(collection), str(state))
        for stream, table, collection, state in cursor.execute(_COLLECTIONS)
    }
    stream_of = {schema: each.stream for schema, each in checkpoints.items()}
    used = _used(mart, read, stream_of, collections)
    behind = [checkpoints[schema] for schema in sorted({each.schema for each in used})]
    now = cast("tuple[datetime]", cursor.execute("select clock_timestamp()").fetchone())[0]
    paused = {str(row[0]) for row in cursor.execute(_PAUSED)} if "pause" in readable else set()
    obstacles = [f"the replication of {each.stream} is paused" for each in behind if each.stream in paused]
    obstacles += [told for each in behind if (told := each.obstacle(now, max_lag))]
    obstacles += [
        f"{each.collection} {_NOT_WHOLE[each.state]}" for each in _by_collection(used) if each.state in _NOT_WHOLE
    ]
    streams = tuple(each.stream for each in behind)
    dead_letters = _dead_letters(cursor, used, streams) if "dead_letter" in readable else ()
    found = misfits(cursor, mart, used) if "schema_finding" in readable else ()
    times = [each.time for each in behind if each.time is not None]
    tables = tuple((schema, table, stream_of.get(schema, ""), columns) for schema, table, columns, _ in read)
    return Source(min(times, default=None), streams, tuple(obstacles), (*dead_letters, *found), tables)


def require_whole(mart: Mart, source: Source, *, allow_stale: bool) -> tuple[str, ...]:
    """Raise SourceNotReadyError where figures would be of half a source, or give the warnings of a load.

    With ``allow_stale`` the obstacles are warnings.
    """
    if source.obstacles and not allow_stale:
        raise SourceNotReadyError(
            f"mart {mart.name}: its source is not ready: {'; '.join(source.obstacles)}",
            hint="Nothing was published. See replicator status, and load again when it has caught up; or load once as "
            "it is with --allow-stale.",
        )
    return (*source.obstacles, *source.warnings)


def _used(
    mart: Mart,
    read: list[tuple[str, str, list[str], bool]],
    streams: dict[str, str],
    tables: dict[tuple[str, str], tuple[str, str]],
) -> tuple[Used, ...]:
    """The replicated tables among those that are read, each with its collection.

    Which collection a child table belongs to is said by the definition; of one that it does not know, any may be meant.
    """
    parents = dict(mart.children)
    used: list[Used] = []
    for schema, table, columns, has_ordinal in read:
        if schema not in streams:
            continue
        owner = parents.get(table, table)
        if (schema, owner) in tables:
            owners = [tables[schema, owner]]
        elif has_ordinal:
            owners = [found for (place, _), found in tables.items() if place == schema]
        else:
            # Of a mapped collection that MongoDB does not have (yet): an empty table is right.
            owners = [("", "")]
        used += [Used(streams[schema], schema, table, tuple(columns), *each) for each in owners]
    return tuple(used)


def _checkpoints(cursor: Cursor) -> list[_Checkpoint]:
    rows = cast("list[tuple[str, int | None, int | None]]", cursor.execute(_CHECKPOINT).fetchall())
    return [_Checkpoint(*row) for row in rows]


def _by_collection(used: tuple[Used, ...]) -> Iterator[Used]:
    yield from {(each.stream, each.collection): each for each in used}.values()


def _dead_letters(cursor: Cursor, used: tuple[Used, ...], streams: tuple[str, ...]) -> tuple[str, ...]:
    rows = cursor.execute(_DEAD_LETTERS, [list(streams)]).fetchall()
    wanted = {(each.stream, each.collection) for each in used}
    return tuple(
        f"{counted(cast('int', count), 'document')} of {collection} missing or old: PostgreSQL refused what came last "
        "(dead letters)"
        for stream, collection, count in sorted(rows, key=str)
        if (stream, collection) in wanted
    )
