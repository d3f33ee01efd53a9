"""How an existing table becomes the one that the mapping wants: by adding, or by a resync.

A table only ever grows in place. Columns and indexes are added; a column that is no longer mapped stays, with
the values that it had, until somebody drops it. What would need every row anew, a column of another type or a
document table that becomes a typed one, is reported and left to `resync`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.ddl import create_index, create_statements, identifier, qualified
from replicator_service.core.naming import index_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from replicator_service.core.mapping.model import Column, TableSpec

MAX_TABLE_COLUMNS = 1600
"""PostgreSQL's own limit (MaxHeapAttributeNumber)."""

_RESYNC = "run `replicator resync` for the collection, which builds the table anew"
_FORMAT_TYPE = {"timestamptz": "timestamp with time zone"}


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
    backfill). ``unmapped`` names columns that stay although nothing fills them any more. With a conflict
    nothing may be applied.
    """

    table: TableSpec
    create: bool
    add_columns: tuple[Column, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unmapped: tuple[str, ...] = ()
    missing_indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the table is already as wanted, apart from columns that stay unmapped."""
        return not (self.create or self.add_columns or self.conflicts or self.missing_indexes)


def plan_evolution(
    existing: Mapping[str, Mapping[str, str]], wanted: TableSpec, indexes: Collection[str] = ()
) -> Evolution:
    """Compare a wanted table with what the schema holds.

    ``existing`` holds the columns of every table in the schema, each with its type as ``format_type`` spells
    it, and ``indexes`` the names of all indexes in the schema.
    """
    columns = existing.get(wanted.name)
    if columns is None:
        return Evolution(wanted, create=True, missing_indexes=wanted.indexes)
    missing = tuple(index for index in wanted.indexes if index_name(wanted.name, index) not in indexes)
    names = {column.name for column in wanted.columns}
    unmapped = tuple(name for name in columns if name not in names)
    kind = _other_kind(columns, wanted)
    if kind is not None:
        return Evolution(wanted, create=False, conflicts=(kind,), unmapped=unmapped, missing_indexes=missing)
    added = tuple(column for column in wanted.columns if column.name not in columns)
    conflicts = [
        _other_type(wanted.name, column, columns[column.name])
        for column in wanted.columns
        if column.name in columns and columns[column.name] != format_type(column.type)
    ]
    if added and len(columns) + len(added) > MAX_TABLE_COLUMNS:
        message = f"the table would have more than {MAX_TABLE_COLUMNS} columns, unmapped ones included"
        conflicts.append(Conflict(wanted.name, None, message, "drop columns that nobody reads, or run `resync`"))
    return Evolution(
        table=wanted,
        create=False,
        add_columns=added,
        conflicts=tuple(conflicts),
        unmapped=unmapped,
        missing_indexes=missing,
    )


def evolution_statements(schema: str, evolution: Evolution) -> tuple[str, ...]:
    """Write the statements that apply an evolution, each of which may run again.

    Adding a column takes the table's strongest lock, for an instant; creating an index holds up writing.

    :raises ValueError: the evolution has conflicts.
    """
    if evolution.conflicts:
        raise ValueError(f"the table {evolution.table.name} cannot be changed in place")
    if evolution.create:
        return create_statements(schema, evolution.table)
    name = evolution.table.name
    alter = f"alter table {qualified(schema, name)} add column if not exists"
    added = tuple(f"{alter} {identifier(column.name)} {column.type}" for column in evolution.add_columns)
    return (*added, *(create_index(schema, name, columns) for columns in evolution.missing_indexes))


def format_type(type_: str) -> str:
    """Spell a type of the mapping as PostgreSQL's ``format_type`` does."""
    base = type_.removesuffix("[]")
    return _FORMAT_TYPE.get(base, base) + type_[len(base) :]


def _other_kind(columns: Collection[str], wanted: TableSpec) -> Conflict | None:
    found = _kind(columns)
    if found is None:
        message = "a table of this name exists that is not a replicated one"
        fix = "rename that table, or give the collection another `table`"
        return Conflict(wanted.name, None, message, fix, rebuildable=False)
    kind = _kind([column.name for column in wanted.columns])
    if found == kind:
        return None
    return Conflict(wanted.name, None, f"the table exists as a {found}, and the mapping wants a {kind}", _RESYNC)


def _kind(columns: Collection[str]) -> str | None:
    """Tell the kind of a table by the columns that only this kind has; None when it is none of ours."""
    if "_id" not in columns or "etl_valid_from" not in columns:
        return None
    if "_extra" in columns:
        return "child table" if "_ordinal" in columns else "typed table"
    return "document table" if "doc" in columns else None


def _other_type(table: str, column: Column, found: str) -> Conflict:
    message = f"the column is {found}, and the mapping wants {format_type(column.type)}"
    return Conflict(table, column.name, message, _RESYNC)
