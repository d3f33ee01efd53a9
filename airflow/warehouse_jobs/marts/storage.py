"""The relations of a mart: made, extended and described, never emptied.

``mart.NAME_history`` holds every version and is partitioned by list of ``etl_valid_to``: the current versions
(null) and the closed ones. ``mart.NAME`` is a view of the current partition, so that analysts read the
current rows alone however long the history grows, in exactly the columns of the definition. ``mart.load_run``
remembers the loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

from warehouse_jobs.marts.catalog import columns_of, comments_of, exists
from warehouse_jobs.marts.definition import COLUMN_TYPES, VALID_FROM, VALID_TO
from warehouse_jobs.marts.errors import DefinitionError

if TYPE_CHECKING:
    from warehouse_jobs.marts.definition import Mart, MartColumn
    from warehouse_jobs.marts.server import Cursor

SCHEMA = "mart"
LOAD_RUN = sql.Identifier(SCHEMA, "load_run")

_SCHEMA_LOCK = "mart schema"
_VALID_FROM_COMMENT = "When this version of the row became valid: the as_of of the load that made it."
_VALID_TO_COMMENT = "When this version ended, exclusive; null while it is current."

_CREATE_LOAD_RUN = """
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
"""


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
    _prepare_schema(cursor)
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


def _prepare_schema(cursor: Cursor) -> None:
    if exists(cursor, f"{SCHEMA}.load_run"):
        return
    # Two marts may be loaded for the first time at the same moment.
    cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [_SCHEMA_LOCK])
    create_schema(cursor)
    if not exists(cursor, f"{SCHEMA}.load_run"):
        cursor.execute(_CREATE_LOAD_RUN)
        cursor.execute(
            "comment on table mart.load_run is 'Every load of a mart that was published, in numbers of keys.'"
        )


def create_schema(cursor: Cursor) -> None:
    """Make the schema where it is missing (``if not exists`` alone would ask for the privilege even so)."""
    row = cursor.execute("select to_regnamespace(%s) is null", [SCHEMA]).fetchone()
    if cast("tuple[bool]", row)[0]:
        cursor.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))


def _create_history(cursor: Cursor, mart: Mart) -> None:
    if exists(cursor, f"{SCHEMA}.{mart.name}"):
        raise DefinitionError(
            f"mart {mart.name}: {SCHEMA}.{mart.name} exists without {SCHEMA}.{mart.history}",
            hint="It was not made by this loader: rename or drop it.",
        )
    key = sql.SQL(", ").join(map(sql.Identifier, mart.key))
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
        "key": key,
        "interval": sql.Identifier(f"{mart.history}_interval"),
        "current_key": sql.Identifier(f"{mart.current}_key"),
        "closed_key": sql.Identifier(f"{mart.closed}_pkey"),
    }
    for statement in (
        _CREATE_HISTORY,
        "create table {current} partition of {history} for values in (null)",
        "create table {closed} partition of {history} default",
        "alter table {current} add constraint {current_key} primary key ({key})",
        "alter table {closed} add constraint {closed_key} primary key ({key}, {valid_from})",
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


def _key_of(cursor: Cursor, mart: Mart) -> set[str]:
    query = """
        select attribute.attname
        from pg_catalog.pg_index as index
        join pg_catalog.pg_attribute as attribute
            on attribute.attrelid = index.indrelid and attribute.attnum = any(index.indkey)
        where index.indrelid = to_regclass(%s) and index.indisprimary
    """
    rows = cursor.execute(query, [f"{SCHEMA}.{mart.current}"]).fetchall()
    return {str(row[0]) for row in rows}


def _prepare_comments(cursor: Cursor, mart: Mart) -> None:
    described = {column.name: column.description for column in mart.columns} | {VALID_FROM: _VALID_FROM_COMMENT}
    history = described | {VALID_TO: _VALID_TO_COMMENT}
    _comment(cursor, "view", mart.name, {"": mart.description} | described)
    _comment(
        cursor,
        "table",
        mart.history,
        {"": f"Every version of mart.{mart.name}. {mart.description}"} | history,
    )


def _comment(cursor: Cursor, kind: str, name: str, wanted: dict[str, str]) -> None:
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


def _type(column: MartColumn) -> sql.SQL:
    """Spell the type in SQL: the name comes out of the fixed list of types, never from the file."""
    return sql.SQL(COLUMN_TYPES[column.type])
