"""What PostgreSQL's catalog says of relations."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from warehouse_jobs.marts.server import Cursor


def exists(cursor: Cursor, relation: str) -> bool:
    """Whether a relation of this qualified name is there."""
    row = cursor.execute("select to_regclass(%s) is not null", [relation]).fetchone()
    return cast("tuple[bool]", row)[0]


def columns_of(cursor: Cursor, relation: str) -> dict[str, str]:
    """Return the columns in order with their types by ``format_type``; empty without the relation."""
    query = """
        select attname, format_type(atttypid, null)
        from pg_catalog.pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
        order by attnum
    """
    return dict(cast("list[tuple[str, str]]", cursor.execute(query, [relation]).fetchall()))


def comments_of(cursor: Cursor, relation: str) -> dict[str, str | None]:
    """Return the comments of a relation's columns by name, and its own under the empty name."""
    query = """
        select '', obj_description(to_regclass(%(relation)s), 'pg_class')
        union all
        select attname, col_description(attrelid, attnum)
        from pg_catalog.pg_attribute
        where attrelid = to_regclass(%(relation)s) and attnum > 0 and not attisdropped
    """
    return dict(cast("list[tuple[str, str | None]]", cursor.execute(query, {"relation": relation}).fetchall()))
