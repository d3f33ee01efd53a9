"""The relations of a mart: made, extended and described, never emptied.

``mart.NAME_history`` holds every version and is partitioned by list of ``etl_valid_to``: the current versions
(null) and the closed ones. ``mart.NAME`` is a view of the current partition, so that analysts read the
current rows alone however long the history grows, in exactly the columns of the definition.

Keys are found by hash indexes: an entry of any other kind holds 2,704 bytes at most, and a longer key must not stop a
load. That keys are unique is checked before anything is published, by the one load whose turn it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

from warehouse_jobs.marts.catalog import columns_of, exists
from warehouse_jobs.marts.control_tables import SCHEMA, comment
from warehouse_jobs.marts.definition import COLUMN_TYPES, VALID_FROM, VALID_TO
from warehouse_jobs.marts.errors import DefinitionError

if TYPE_CHECKING:
    from warehouse_jobs.marts.definition import Mart, MartColumn
    from warehouse_jobs.marts.server import Cursor

_VALID_FROM_COMMENT = "When this version of the row became valid: the as_of of the load that made it."
_VALID_TO_COMMENT = "When this version ended, exclusive; null while it is current."

_CREATE_HISTORY = """
    create table {history} (
        {columns},
        {valid_from} timestamptz not null,
        {valid_to} timestamptz,
        constraint {interval} check ({valid_from} < {valid_to})
    ) partition by list ({valid_to})
"""


def prepare(cursor: Cursor, mart: Mart) -> None:
    """Make the relations fit the definition; without a difference nothing is locked or written.

    New columns are added to the history, null in the versions that are there. Columns that the definition no
    longer has stay in the history and leave the view. Raises DefinitionError when a type or the key has
    changed.
    """
    existing = history_columns(cursor, mart)
    if not existing:
        _create_history(cursor, mart)
    else:
        refuse_incompatible(cursor, mart, existing)
        for column in mart.columns:
            if column.name not in existing:
                cursor.execute(
                    sql.SQL("alter table {} add column {} {}").format(
                        sql.Identifier(SCHEMA, mart.history), sql.Identifier(column.name), _type(column)
                    )
                )
    _prepare_indexes(cursor, mart)
    _prepare_view(cursor, mart)
    _prepare_comments(cursor, mart)


def history_columns(cursor: Cursor, mart: Mart) -> dict[str, str]:
    """Return the columns of the history with their types; empty before the first load."""
    return columns_of(cursor, f"{SCHEMA}.{mart.history}")


def refuse_incompatible(cursor: Cursor, mart: Mart, existing: dict[str, str]) -> None:
    """Raise DefinitionError when the versions that exist cannot be compared with rows of this definition."""
    faults = [
        f"column {column.name} is {existing[column.name]} in the history and {column.type} in the definition"
        for column in mart.columns
        if existing.get(column.name, COLUMN_TYPES[column.type]) != COLUMN_TYPES[column.type]
    ]
    key = _key_of(cursor, mart)
    if key != set(mart.key):
        faults.append(
            f"the key is ({', '.join(sorted(key))}) in the history, ({', '.join(mart.key)}) in the definition"
        )
    if faults:
        raise DefinitionError(
            f"mart {mart.name}: the history does not fit the definition: {'; '.join(faults)}",
            hint="Give the changed column or mart another name; or, to give up its history, drop view "
            f"mart.{mart.name} and table mart.{mart.history}.",
        )


def _create_history(cursor: Cursor, mart: Mart) -> None:
    if exists(cursor, f"{SCHEMA}.{mart.name}"):
        raise DefinitionError(
            f"mart {mart.name}: {SCHEMA}.{mart.name} exists without {SCHEMA}.{mart.history}",
            hint="It was not made by this loader: rename or drop it.",
        )
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            _type(column),
            sql.SQL(" not null" if column.name in mart.key else ""),
        )
        for column in mart.columns
    ]
    names = {
        "history": sql.Identifier(SCHEMA, mart.history),
        "current": sql.Identifier(SCHEMA, mart.current),
        "closed": sql.Identifier(SCHEMA, mart.closed),
        "columns": sql.SQL(", ").join(columns),
        "valid_from": sql.Identifier(VALID_FROM),
        "valid_to": sql.Identifier(VALID_TO),
        "interval": sql.Identifier(f"{mart.history}_interval"),
    }
    for statement in (
        _CREATE_HISTORY,
        "create table {current} partition of {history} for values in (null)",
        "create table {closed} partition of {history} default",
    ):
        cursor.execute(sql.SQL(statement).format(**names))


def _prepare_view(cursor: Cursor, mart: Mart) -> None:
    """Make the view, anew with its grants where columns changed: in place it can only grow at its end."""
    wanted = (*mart.column_names, VALID_FROM)
    found = tuple(columns_of(cursor, f"{SCHEMA}.{mart.name}"))
    if found == wanted:
        return
    view = sql.Identifier(SCHEMA, mart.name)
    grants = _grants(cursor, mart) if found else []
    if found:
        cursor.execute(sql.SQL("drop view {}").format(view))
    cursor.execute(
        sql.SQL("create view {} as select {} from {}").format(
            view, sql.SQL(", ").join(map(sql.Identifier, wanted)), sql.Identifier(SCHEMA, mart.current)
        )
    )
    for grantee, grantable in grants:
        cursor.execute(
            sql.SQL("grant select on {} to {}{}").format(
                view,
                sql.Identifier(grantee) if grantee else sql.SQL("public"),
                sql.SQL(" with grant option" if grantable else ""),
            )
        )


def _grants(cursor: Cursor, mart: Mart) -> list[tuple[str | None, bool]]:
    query = """
        select roles.rolname::text, acl.is_grantable
        from pg_catalog.pg_class as relation
        cross join lateral aclexplode(relation.relacl) as acl
        left join pg_catalog.pg_roles as roles on roles.oid = acl.grantee
        where relation.oid = to_regclass(%s)
            and acl.privilege_type = 'SELECT'
            and acl.grantee <> relation.relowner
    """
    return cast("list[tuple[str | None, bool]]", cursor.execute(query, [f"{SCHEMA}.{mart.name}"]).fetchall())


def _prepare_indexes(cursor: Cursor, mart: Mart) -> None:
    """Make the hash indexes of the key, and drop what earlier releases had in their place."""
    for partition in (mart.current, mart.closed):
        found = _indexes(cursor, partition)
        for name in sorted(name for name, method in found.items() if method == "btree" and name in _former(mart)):
            statement = sql.SQL("alter table {} drop constraint {}")
            cursor.execute(statement.format(sql.Identifier(SCHEMA, partition), sql.Identifier(name)))
        for place, column in enumerate(mart.key, start=1):
            if f"{partition}_{place}" in found:
                continue
            statement = sql.SQL("create index {} on {} using hash ({})")
            index = sql.Identifier(f"{partition}_{place}")
            cursor.execute(statement.format(index, sql.Identifier(SCHEMA, partition), sql.Identifier(column)))


def _former(mart: Mart) -> set[str]:
    return {f"{mart.current}_key", f"{mart.closed}_pkey"}


def _indexes(cursor: Cursor, table: str) -> dict[str, str]:
    """The indexes of a table with their access methods."""
    query = """
        select relation.relname::text, method.amname::text
        from pg_catalog.pg_index as index
        join pg_catalog.pg_class as relation on relation.oid = index.indexrelid
        join pg_catalog.pg_am as method on method.oid = relation.relam
        where index.indrelid = to_regclass(%s)
    """
    return dict(cast("list[tuple[str, str]]", cursor.execute(query, [f"{SCHEMA}.{table}"]).fetchall()))


def _key_of(cursor: Cursor, mart: Mart) -> set[str]:
    """The key that the history was made with: its columns, and the beginning of the validity, are never null."""
    query = """
        select attname::text
        from pg_catalog.pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped and attnotnull
    """
    rows = cursor.execute(query, [f"{SCHEMA}.{mart.current}"]).fetchall()
    return {str(row[0]) for row in rows} - {VALID_FROM}


def _prepare_comments(cursor: Cursor, mart: Mart) -> None:
    described = {column.name: column.description for column in mart.columns} | {VALID_FROM: _VALID_FROM_COMMENT}
    history = described | {VALID_TO: _VALID_TO_COMMENT}
    comment(cursor, "view", mart.name, {"": mart.description} | described)
    comment(cursor, "table", mart.history, {"": f"Every version of mart.{mart.name}. {mart.description}"} | history)
    comment(cursor, "table", mart.current, {"": f"The current versions of mart.{mart.history}."} | history)
    comment(cursor, "table", mart.closed, {"": f"The versions of mart.{mart.history} that have ended."} | history)


def _type(column: MartColumn) -> sql.SQL:
    """Spell the type in SQL: the name comes out of the fixed list of types, never from the file."""
    return sql.SQL(COLUMN_TYPES[column.type])
