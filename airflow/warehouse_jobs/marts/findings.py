"""Values that did not fit their columns, as far as a mart uses these columns (``replicator.schema_finding``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from psycopg import sql

from replicator_service.core.naming import column_name
from replicator_service.core.words import counted
from warehouse_jobs.marts.catalog import columns_of

if TYPE_CHECKING:
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor

_COLUMNS = {"stream", "collection", "path", "kind", "last_seen", "count"}
_MISFITS = """
    select stream, collection, path, kind, sum(count)::bigint, max(last_seen)
    from replicator.schema_finding
    where kind in ('misfit', 'gone') and stream = any(%s)
    group by stream, collection, path, kind
    order by stream, collection, path, kind
"""


_IN_CHILD = """
    select exists (
        select
        from pg_catalog.pg_class as relation
        join pg_catalog.pg_namespace as space on space.oid = relation.relnamespace and space.nspname = %(schema)s
        join pg_catalog.pg_attribute as place
            on place.attrelid = relation.oid and place.attname = '_ordinal' and not place.attisdropped
        join pg_catalog.pg_attribute as attribute
            on attribute.attrelid = relation.oid and attribute.attname = any(%(names)s::name[])
    )
"""


@dataclass(frozen=True, slots=True)
class Used:
    """A replicated table that a mart reads, the columns that it uses, and the collection behind it."""

    stream: str
    schema: str
    table: str
    columns: tuple[str, ...]
    collection: str
    state: str


def misfits(cursor: Cursor, mart: Mart, used: tuple[Used, ...]) -> tuple[str, ...]:
    """A line for each path of which values did not fit a column that the mart uses, or that has none any more.

    Which column a path has is said by the mapping, which is not here. A column has the name of its path's end or of its
    whole path; where the collection has no such column it was given another name, and the path is told of as well.
    """
    if not columns_of(cursor, "replicator.schema_finding").keys() >= _COLUMNS:
        return ()
    streams = sorted({each.stream for each in used})
    rows = cast(
        "list[tuple[str, str, str, str, int, datetime]]",
        cursor.execute(_MISFITS, [streams]).fetchall() if streams else [],
    )
    lines = []
    for stream, collection, path, kind, count, last_seen in rows:
        tables = [each for each in used if (each.stream, each.collection) == (stream, collection)]
        if not tables:
            continue
        names = _names(path)
        hit = [f"{each.table}.{name}" for each in tables for name in names if name in each.columns]
        if not hit and _is_unused(cursor, tables, names):
            continue
        concerned = ", ".join(_concerned(mart, hit))
        told = f" ({', '.join(hit)}; concerns {concerned})" if concerned else f" ({', '.join(hit)})" if hit else ""
        lines.append(
            f"{counted(count, 'value')} of {collection}.{path}{told} did not fit the column, the last on "
            f"{last_seen:%Y-%m-%d}"
            if kind == "misfit"
            else f"{collection}.{path}{told} has no value in any of {counted(count, 'row')}"
        )
    return tuple(lines)


def _is_unused(cursor: Cursor, tables: list[Used], names: set[str]) -> bool:
    """Whether the path has a column that the mart does not use: in these tables, or in a child table."""
    if any(names & columns_of(cursor, _quoted(each)).keys() for each in tables):
        return True
    row = cursor.execute(_IN_CHILD, {"schema": tables[0].schema, "names": list(names)}).fetchone()
    return cast("tuple[bool]", row)[0]


def _quoted(used: Used) -> str:
    return sql.Identifier(used.schema, used.table).as_string()


def _names(path: str) -> set[str]:
    """The names that the column of a path may have."""
    parts = [part for part in path.replace("[]", "").split(".") if part and not part.isdecimal()]
    if not parts:
        return set()
    return {column_name(parts), column_name(parts[-1:]), column_name(parts[1:]) if parts[1:] else parts[-1], parts[-1]}


def _concerned(mart: Mart, columns: list[str]) -> list[str]:
    return [column.name for column in mart.columns if set(column.sources) & set(columns)]
