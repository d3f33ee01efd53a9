"""SCD type 2: compares the staged rows with the current versions and publishes the difference.

Everything is set-based: one full join finds what changed, one update closes, one insert opens. Versions are
never rewritten: closing sets ``etl_valid_to``, and only untracked columns are ever overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from psycopg import sql

from warehouse_jobs.marts.control_tables import OVERWRITTEN, SCHEMA
from warehouse_jobs.marts.definition import COLUMN_TYPES, VALID_FROM, VALID_TO
from warehouse_jobs.marts.narrowing import SCOPE
from warehouse_jobs.marts.results import Change, ChangeKind
from warehouse_jobs.marts.staging import STAGED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from warehouse_jobs.marts.definition import Mart
    from warehouse_jobs.marts.server import Cursor

CHANGED = sql.Identifier("pg_temp", "changed")
"""Every key that differs, with the kind of its change."""

COMPUTED = sql.Identifier("pg_temp", "computed")
"""What an incremental load would publish, in a load that proves it."""

# What has changed outside of the scope, and what was computed within it otherwise than by the whole select.
_UNPROVED = """
    with unproved as (
        select {changed_keys} from {changed} as changed where changed.{key} not in (select key from {scope})

        union

        select {either_keys}
        from (select * from {staged} where {key} in (select key from {scope})) as staged
        full join {computed} as computed on {same_key}
        where staged.{key} is null or computed.{key} is null or {differ}
    )

    select count(*), (array_agg(concat_ws(', ', {keys}) order by {keys}))[:10] from unproved
"""

_MANY = 0.1
"""Where a larger share of the rows has changed, the history is analyzed at once."""

_COMPARE = """
    create temporary table changed on commit drop as
    select
        {keys},
        case
            when current_version.{valid_from} is null then 'inserted'
            when staged.{first_key} is null then 'closed'
            when {tracked_differ} then 'versioned'
            else 'overwritten'
        end as kind
    from {staged} as staged
    full join ({current}) as current_version on {same_key}
    where
        current_version.{valid_from} is null
        or staged.{first_key} is null
        or {tracked_differ}
        or {untracked_differ}
"""

_CLOSE = """
    update {history} as version
    set {valid_to} = %(as_of)s
    from {changed} as changed
    where version.{valid_to} is null and changed.kind in ('closed', 'versioned') and {same_key}
"""

# As text, which every type reads back as it was; by name, since the definition may change before it is wanted.
_REMEMBER = """
    insert into {overwritten} (mart, as_of, key, before)
    select %(mart)s, %(as_of)s, array[{key_texts}], jsonb_object(array[{untracked_names}], array[{untracked_texts}])
    from {current} as version
    join {changed} as changed on {same_key}
    where changed.kind = 'overwritten'
"""

_OVERWRITE = """
    update {current} as version
    set {assignments}
    from {changed} as changed
    join {staged} as staged on {staged_key}
    where changed.kind = 'overwritten' and {same_key}
"""

_OPEN = """
    insert into {history} ({columns}, {valid_from}, {valid_to})
    select {staged_columns}, %(as_of)s, null
    from {staged} as staged
    join {changed} as changed on {staged_key}
    where changed.kind in ('inserted', 'versioned')
"""


def compare(cursor: Cursor, mart: Mart, existing: dict[str, str], *, scoped: bool = False) -> dict[ChangeKind, int]:
    """Fill the temporary table ``changed`` with every key that differs, and count them by kind.

    ``existing`` are the columns of the history; one that it lacks counts as null in every current version. ``scoped``:
    only the keys of the scope are staged, and the others stay.
    """
    keys = sql.SQL(", ").join(
        sql.SQL("coalesce(staged.{0}, current_version.{0}) as {0}").format(sql.Identifier(name)) for name in mart.key
    )
    cursor.execute(
        sql.SQL(_COMPARE).format(
            keys=keys,
            valid_from=sql.Identifier(VALID_FROM),
            first_key=sql.Identifier(mart.key[0]),
            tracked_differ=_differ(mart.tracked),
            untracked_differ=_differ(mart.untracked),
            staged=STAGED,
            current=current_versions(mart, existing, scoped=scoped),
            same_key=same_key("staged", "current_version", mart.key),
        )
    )
    cursor.execute(sql.SQL("analyze {}").format(CHANGED))
    rows = cursor.execute(sql.SQL("select kind, count(*) from {} group by kind").format(CHANGED)).fetchall()
    counted = {ChangeKind(kind): count for kind, count in cast("list[tuple[str, int]]", rows)}
    return {kind: counted.get(kind, 0) for kind in ChangeKind}


def publish(cursor: Cursor, mart: Mart, as_of: datetime, counts: dict[ChangeKind, int], rows: int) -> None:
    """Close, overwrite and open versions as :func:`compare` found; ``as_of`` ends the old, begins the new.

    ``rows`` are those of the mart.
    """
    parts = {
        "history": sql.Identifier(SCHEMA, mart.history),
        "current": sql.Identifier(SCHEMA, mart.current),
        "changed": CHANGED,
        "staged": STAGED,
        "valid_from": sql.Identifier(VALID_FROM),
        "valid_to": sql.Identifier(VALID_TO),
        "same_key": same_key("version", "changed", mart.key),
        "staged_key": same_key("staged", "changed", mart.key),
        "columns": sql.SQL(", ").join(map(sql.Identifier, mart.column_names)),
        "staged_columns": sql.SQL(", ").join(sql.Identifier("staged", name) for name in mart.column_names),
        "overwritten": OVERWRITTEN,
        "key_texts": _texts(mart.key),
        "untracked_names": sql.SQL(", ").join(map(sql.Literal, mart.untracked)),
        "untracked_texts": _texts(mart.untracked),
        "assignments": sql.SQL(", ").join(
            sql.SQL("{0} = staged.{0}").format(sql.Identifier(name)) for name in mart.untracked
        ),
    }
    if counts[ChangeKind.CLOSED] or counts[ChangeKind.VERSIONED]:
        cursor.execute(sql.SQL(_CLOSE).format(**parts), {"as_of": as_of})
    cursor.execute(sql.SQL("delete from {} where mart = %s").format(OVERWRITTEN), [mart.name])
    if counts[ChangeKind.OVERWRITTEN]:
        cursor.execute(sql.SQL(_REMEMBER).format(**parts), {"mart": mart.name, "as_of": as_of})
        cursor.execute(sql.SQL(_OVERWRITE).format(**parts))
    if counts[ChangeKind.INSERTED] or counts[ChangeKind.VERSIONED]:
        cursor.execute(sql.SQL(_OPEN).format(**parts), {"as_of": as_of})
    # What a few rows change in the statistics, autovacuum finds in time.
    if sum(counts.values()) > rows * _MANY:
        cursor.execute(sql.SQL("analyze {}").format(parts["history"]))


def read_changes(cursor: Cursor, mart: Mart, existing: dict[str, str], limit: int | None) -> tuple[Change, ...]:
    """Return the first changes that :func:`compare` found, in the order of the key."""
    names = mart.column_names
    query = sql.SQL(
        "select changed.kind, {keys}, {before}, {after} from {changed} as changed "
        "left join ({current}) as current_version on {current_key} "
        "left join {staged} as staged on {staged_key} order by {keys} limit %(limit)s"
    ).format(
        keys=sql.SQL(", ").join(sql.Identifier("changed", name) for name in mart.key),
        before=sql.SQL(", ").join(sql.Identifier("current_version", name) for name in names),
        after=sql.SQL(", ").join(sql.Identifier("staged", name) for name in names),
        changed=CHANGED,
        current=current_versions(mart, existing),
        current_key=same_key("changed", "current_version", mart.key),
        staged=STAGED,
        staged_key=same_key("changed", "staged", mart.key),
    )
    changes = []
    width = len(mart.key)
    for kind, *values in cursor.execute(query, {"limit": limit}):
        key, before, after = values[:width], values[width : width + len(names)], values[width + len(names) :]
        differences = tuple(
            (name, old, new)
            for name, old, new in zip(names, before, after, strict=True)
            if name not in mart.key and _is_other(old, new)
        )
        changes.append(Change(ChangeKind(str(kind)), tuple(key), differences))
    return tuple(changes)


def _is_other(old: object, new: object) -> bool:
    """Whether PostgreSQL would call the values distinct: there, NaN equals NaN."""
    return old != new and not (old != old and new != new)  # noqa: PLR0124 - what only NaN does


def current_versions(mart: Mart, existing: dict[str, str], *, scoped: bool = False) -> sql.Composed:
    """Select the current versions in the columns of the definition, null where one does not exist yet.

    ``scoped``: those of the scope's keys alone.
    """
    columns = [
        sql.Identifier(column.name)
        if column.name in existing
        else sql.SQL("null::{} as {}").format(sql.SQL(COLUMN_TYPES[column.type]), sql.Identifier(column.name))
        for column in mart.columns
    ]
    if existing:
        columns.append(sql.Identifier(VALID_FROM))
        current = sql.Identifier(SCHEMA, mart.current)
        return sql.SQL("select {} from {}{}").format(
            sql.SQL(", ").join(columns),
            current,
            sql.SQL(" where {}").format(in_scope(mart)) if scoped else sql.SQL(""),
        )
    columns.append(sql.SQL("null::timestamptz as {}").format(sql.Identifier(VALID_FROM)))
    return sql.SQL("select {} where false").format(sql.SQL(", ").join(columns))


def resulting(mart: Mart) -> sql.Composed:
    """The rows that the mart will have when only the scope is staged: as a table in a ``from`` clause."""
    columns = sql.SQL(", ").join(map(sql.Identifier, mart.column_names))
    return sql.SQL(
        "(select {columns} from {staged} union all select {columns} from {current} where not {in_scope}) as resulting"
    ).format(columns=columns, staged=STAGED, current=sql.Identifier(SCHEMA, mart.current), in_scope=in_scope(mart))


def unproved(cursor: Cursor, mart: Mart) -> tuple[int, list[str]]:
    """Of a full load that :func:`compare` has seen: how many keys an incremental one would leave wrong, and the first.

    What it would publish is in :data:`COMPUTED`.
    """
    others = [name for name in mart.column_names if name not in mart.key]
    differences = [sql.SQL("staged.{0} is distinct from computed.{0}").format(sql.Identifier(name)) for name in others]
    query = sql.SQL(_UNPROVED).format(
        changed_keys=sql.SQL(", ").join(sql.Identifier("changed", name) for name in mart.key),
        either_keys=sql.SQL(", ").join(
            sql.SQL("coalesce(staged.{0}, computed.{0}) as {0}").format(sql.Identifier(name)) for name in mart.key
        ),
        keys=sql.SQL(", ").join(map(sql.Identifier, mart.key)),
        changed=CHANGED,
        staged=STAGED,
        computed=COMPUTED,
        scope=SCOPE,
        key=sql.Identifier(_scope_key(mart)),
        same_key=same_key("staged", "computed", mart.key),
        differ=sql.SQL(" or ").join(differences) if differences else sql.SQL("false"),
    )
    count, keys = cast("tuple[int, list[str] | None]", cursor.execute(query).fetchone())
    return count, list(keys or ())


def in_scope(mart: Mart) -> sql.Composed:
    """Whether a row of the mart belongs to the scope: a condition."""
    return sql.SQL("{} in (select key from {})").format(sql.Identifier(_scope_key(mart)), SCOPE)


def _scope_key(mart: Mart) -> str:
    assert mart.incremental is not None  # noqa: S101 - other marts have no scope
    return mart.incremental.key


def _texts(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("version", name)) for name in columns)


def _differ(columns: Iterable[str]) -> sql.Composable:
    """Whether any of the columns differs, null being equal to null."""
    differences = [
        sql.SQL("staged.{0} is distinct from current_version.{0}").format(sql.Identifier(name)) for name in columns
    ]
    return sql.SQL("({})").format(sql.SQL(" or ").join(differences)) if differences else sql.SQL("false")


def same_key(left: str, right: str, columns: Iterable[str]) -> sql.Composed:
    """Whether two rows have the same key, of which no part is null."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in columns
    )
