"""How an existing table becomes the one that the mapping wants: by adding, or by a resync.

A table only ever grows in place. Columns, keys and indexes are added; a column that is no longer mapped stays, with
the values that it had, until somebody drops it. What would need every row anew, a column of another type or a
document table that becomes a typed one, is reported and left to `resync`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replicator_service.core.mapping.ddl import comment_statements, create_table, identifier, listed, qualified
from replicator_service.core.mapping.descriptions import is_ours

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from replicator_service.core.mapping.model import Column, TableSpec

MAX_TABLE_COLUMNS = 1600
"""PostgreSQL's own limit (MaxHeapAttributeNumber); it counts columns that were dropped."""

_RESYNC = "run `replicator resync` for the collection, which builds the table anew"
_RELATIONS = {"v": "view", "m": "materialized view", "f": "foreign table"}


@dataclass(frozen=True, slots=True)
class ExistingColumn:
    """A column as it is. ``type`` is the mapping's name of it, or PostgreSQL's description of any other.

    ``is_generated``: its values are computed, so none can be written.
    """

    type: str
    is_generated: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ExistingTable:
    """A table as it is, its columns by name.

    ``key`` is the primary key that ``on conflict`` can use: empty when there is none, or another one.
    ``indexes`` are the columns of each plain one, whatever its name. ``attributes`` counts columns with those that were
    dropped. ``kind`` is ``relkind`` of PostgreSQL's ``pg_class``. ``may_describe``: our user owns it.
    """

    columns: Mapping[str, ExistingColumn]
    key: tuple[str, ...] = ()
    has_other_key: bool = False
    indexes: frozenset[tuple[str, ...]] = frozenset()
    attributes: int = 0
    kind: str = "r"
    comment: str = ""
    may_describe: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """What cannot be done in place: the message says what differs, the fix what to do.

    Unless it is ``rebuildable`` the table is not ours: it must not be dropped, not even when somebody asks
    for a resync.
    """

    table: str
    column: str | None
    message: str
    fix: str
    rebuildable: bool = True

    def __str__(self) -> str:
        place = self.table if self.column is None else f"{self.table}.{self.column}"
        return f"{place}: {self.message}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Evolution:
    """The difference between the table that exists and the one that is wanted.

    ``add_columns`` are null in the rows that are already there: the collection has to be read again (a
    backfill). ``add_key``: there is no primary key. ``unmapped`` names columns that stay although nothing fills them
    any more. ``describe`` are columns whose comment is to be another one, None the table. ``missing_indexes`` are no
    part of it: they are made beside the commits, see :mod:`sink.indexes`. With a conflict nothing may be applied.
    """

    table: TableSpec
    create: bool
    add_columns: tuple[Column, ...] = ()
    add_key: bool = False
    conflicts: tuple[Conflict, ...] = ()
    unmapped: tuple[str, ...] = ()
    missing_indexes: tuple[tuple[str, ...], ...] = field(default=())
    describe: tuple[str | None, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every row can be written and found."""
        return not (self.create or self.add_columns or self.add_key or self.conflicts)

    @property
    def is_empty(self) -> bool:
        """Whether the table is already as wanted, apart from columns that stay unmapped."""
        return self.is_whole and not self.describe


def plan_evolution(existing: ExistingTable | None, wanted: TableSpec) -> Evolution:
    """Compare a wanted table with the one of its name, if there is one."""
    if existing is None:
        return Evolution(wanted, create=True, missing_indexes=wanted.indexes)
    missing = tuple(index for index in wanted.indexes if index not in existing.indexes)
    names = {column.name for column in wanted.columns}
    unmapped = tuple(name for name in existing.columns if name not in names)
    kind = _other_kind(existing, wanted)
    if kind is not None:
        return Evolution(wanted, create=False, conflicts=(kind,), unmapped=unmapped, missing_indexes=missing)
    added = tuple(column for column in wanted.columns if column.name not in existing.columns)
    return Evolution(
        table=wanted,
        create=False,
        add_columns=added,
        add_key=not existing.key,
        conflicts=tuple(_conflicts(existing, wanted, added)),
        unmapped=unmapped,
        missing_indexes=missing,
        describe=_undescribed(existing, wanted) if existing.may_describe else (),
    )


def evolution_statements(schema: str, evolution: Evolution, taken: Collection[str] = ()) -> tuple[str, ...]:
    """Write the statements that apply an evolution; ``taken`` are names of keys that something else has.

    Adding a column takes the table's strongest lock, for an instant; adding a key holds up writing. No index is made:
    a table that is filled costs a third with each.

    :raises ValueError: the evolution has conflicts.
    """
    if evolution.conflicts:
        raise ValueError(f"the table {evolution.table.name} cannot be changed in place")
    if evolution.create:
        return (create_table(schema, evolution.table, taken),)
    name = evolution.table.name
    alter = f"alter table {qualified(schema, name)}"
    added = tuple(
        f"{alter} add column if not exists {identifier(column.name)} {column.type}" for column in evolution.add_columns
    )
    # Without a name: the one that it had may be taken by now.
    key = (f"{alter} add primary key ({listed(evolution.table.primary_key)})",) if evolution.add_key else ()
    return (*added, *key)


def describing_statements(schema: str, evolution: Evolution) -> tuple[str, ...]:
    """Write the statements that describe what exists: whoever may not run them loses no row."""
    return comment_statements(schema, evolution.table, None if evolution.create else evolution.describe)


def _undescribed(existing: ExistingTable, wanted: TableSpec) -> tuple[str | None, ...]:
    """What has another comment than the mapping says. What somebody else has said stays."""
    found: list[str | None] = []
    if existing.comment != wanted.comment and is_ours(existing.comment):
        found.append(None)
    for column in wanted.columns:
        there = existing.columns.get(column.name)
        if there is None or (there.comment != column.comment and is_ours(there.comment)):
            found.append(column.name)
    return tuple(found)


def _conflicts(existing: ExistingTable, wanted: TableSpec, added: tuple[Column, ...]) -> list[Conflict]:
    found = []
    for column in wanted.columns:
        there = existing.columns.get(column.name)
        if there is None:
            if column.name in wanted.primary_key:
                found.append(Conflict(wanted.name, column.name, "the column of the key is not there", _RESYNC))
        elif there.type != column.type:
            message = f"the column is {there.type}, and the mapping wants {column.type}"
            found.append(Conflict(wanted.name, column.name, message, _RESYNC))
        elif there.is_generated:
            message = "the column's values are generated, and the mapping fills it"
            found.append(Conflict(wanted.name, column.name, message, _RESYNC))
    if existing.has_other_key or existing.key not in ((), wanted.primary_key):
        message = f"the primary key is not a plain one of ({', '.join(wanted.primary_key)})"
        found.append(Conflict(wanted.name, None, message, _RESYNC))
    count = max(existing.attributes, len(existing.columns))
    if added and count + len(added) > MAX_TABLE_COLUMNS:
        message = f"the table would have more than {MAX_TABLE_COLUMNS} columns, unmapped and dropped ones included"
        found.append(Conflict(wanted.name, None, message, _RESYNC))
    return found


def _other_kind(existing: ExistingTable, wanted: TableSpec) -> Conflict | None:
    if not _is_ours(existing):
        what = _RELATIONS.get(existing.kind, "table")
        message = f"a {what} of this name exists that is not a replicated one"
        fix = f"rename that {what}, or give the collection another `table`"
        return Conflict(wanted.name, None, message, fix, rebuildable=False)
    kind = _kind([column.name for column in wanted.columns])
    found = _kind(existing.columns) or kind
    if found == kind:
        return None
    return Conflict(wanted.name, None, f"the table exists as a {found}, and the mapping wants a {kind}", _RESYNC)


def _is_ours(existing: ExistingTable) -> bool:
    """Whether the service has made this table: it has its own columns, all of them but one that somebody dropped."""
    types = {name: column.type for name, column in existing.columns.items()}
    own = (
        types.get("_id") == "text",
        types.get("_bson") == "bytea",
        types.get("etl_valid_from") == "timestamptz",
        "jsonb" in (types.get("_extra"), types.get("doc")),
    )
    return existing.kind not in _RELATIONS and sum(own) >= len(own) - 1


def _kind(columns: Collection[str]) -> str | None:
    """Tell the kind of a table by the columns that only this kind has; None when those were dropped."""
    if "_ordinal" in columns:
        return "child table"
    if "_extra" in columns:
        return "typed table"
    return "document table" if "doc" in columns else None
