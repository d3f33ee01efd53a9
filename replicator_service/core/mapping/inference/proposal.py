"""From shapes to the tables that are proposed: a mapping, with what is to be said about each part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from replicator_service.core import naming
from replicator_service.core.mapping.inference.choice import (
    ChildRows,
    Left,
    OneColumn,
    OwnColumns,
    landing_of,
)
from replicator_service.core.mapping.inference.names import child_keys, column_names
from replicator_service.core.mapping.inference.notes import note_of, share
from replicator_service.core.mapping.inference.shape import MAX_LEVELS, Shape
from replicator_service.core.mapping.model import ChildTable, ColumnType, MappedColumn, TypedCollection

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PROPOSED_COLUMNS = 300
"""Of one table: 8 kB, the room of a row, hold about 400 columns when all of them are filled."""
MAX_CHILDREN = 50
MAX_FIELD_NAME = 200
"""A longer name is no name that anybody would read in a mapping file."""

_AS_KEYS = frozenset({ColumnType.TEXT, ColumnType.JSONB})

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A collection, about how many documents it has, and the shape of those that were read."""

    collection: str
    documents: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Skipped:
    """A collection without typed tables, and why."""

    collection: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A field that stays in ``_extra``, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ProposedColumn:
    """A column and what was seen in it."""

    column: MappedColumn
    note: str


@dataclass(frozen=True, slots=True)
class ProposedTable:
    """A table; ``rows`` of it were seen. A child table has the ``path`` of its array and a ``key`` in the file."""

    name: str
    rows: int
    columns: tuple[ProposedColumn, ...]
    left: tuple[LeftOver, ...]
    path: Path = ()
    key: str = ""


@dataclass(frozen=True, slots=True)
class ProposedCollection:
    """A collection with its tables."""

    collection: str
    documents: int
    table: ProposedTable
    children: tuple[ProposedTable, ...]

    def as_typed(self) -> TypedCollection:
        """Return the model's value: what reading the rendered file gives."""
        return TypedCollection(
            collection=self.collection,
            table=self.table.name,
            columns=_columns(self.table),
            children=tuple(ChildTable(child.name, child.path, _columns(child)) for child in self.children),
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """All of a database: typed tables, document tables, and what cannot be replicated."""

    collections: tuple[ProposedCollection, ...]
    document_tables: tuple[Skipped, ...]
    not_replicable: tuple[Skipped, ...]

    @property
    def documents(self) -> int:
        """How many documents were read."""
        return sum(proposed.table.rows for proposed in self.collections)


def propose(samples: Sequence[Sampled], not_replicable: Sequence[Skipped] = ()) -> Proposal:
    """Propose tables for all collections that were sampled."""
    tables: dict[str, str] = {}
    for sampled in samples:
        tables[sampled.collection] = naming.resolve_table_name(sampled.collection, set(tables.values()))
    taken = set(tables.values())
    collections: list[ProposedCollection] = []
    skipped: list[Skipped] = []
    for sampled in samples:
        reason = _reason_for_documents(sampled.shape)
        if reason:
            skipped.append(Skipped(sampled.collection, reason))
            continue
        proposed = _propose_collection(sampled, tables[sampled.collection], taken)
        if proposed.table.columns or proposed.children:
            collections.append(proposed)
        else:
            skipped.append(Skipped(sampled.collection, "no field that a column could be made of"))
    return Proposal(tuple(collections), tuple(skipped), tuple(not_replicable))


def _reason_for_documents(shape: Shape) -> str:
    if not shape.count:
        return "no documents yet"
    return f"over {shape.max_fields:,} field names" if shape.has_too_many_fields else ""


def _propose_collection(sampled: Sampled, table: str, taken: set[str]) -> ProposedCollection:
    parent = _Fields(sampled.shape.count, max_children=MAX_CHILDREN)
    parent.place_key(sampled.shape.fields.get("_id"))
    parent.walk(sampled.shape, (), MAX_LEVELS, without="_id")
    children = []
    for key, (path, elements) in zip(child_keys(parent.arrays), parent.arrays.items(), strict=True):
        inner = _Fields(elements.count, max_children=0)
        inner.walk(elements, (), MAX_LEVELS)
        name = naming.resolve_table_name("_".join((table, *path)), taken)
        taken.add(name)
        children.append(inner.table(name, path, key))
    return ProposedCollection(sampled.collection, sampled.documents, parent.table(table), tuple(children))


def new_columns(name: str, shape: Shape, above: Path) -> tuple[ProposedColumn, ...]:
    """Propose the columns of a field that a table has no column for; ``above`` is the path to its sub-document."""
    levels = MAX_LEVELS - len(above)
    found = _Fields(shape.count, max_children=0)
    if levels > 0:
        around = Shape(max_fields=0, fields={name: shape})
        found.walk(around, above, levels)
    return found.table("").columns


class _Fields:
    """The fields of one table while they are gone through, in the order of the documents."""

    def __init__(self, rows: int, *, max_children: int) -> None:
        self._rows = rows
        self._max_children = max_children
        self._columns: dict[Path, tuple[Shape, OneColumn]] = {}
        self._left: list[LeftOver] = []
        self.arrays: dict[Path, Shape] = {}
        """Arrays whose elements become rows, and the shape of these."""

    def place_key(self, shape: Shape | None) -> None:
        """Find a place for the document's ``_id`` besides the key of every table, which is a text.

        Where that reads as the value does, no column would say more. Others would never join: ``$number:1`` is no 1.
        """
        landing = None if shape is None else landing_of(shape, name="_id", levels=MAX_LEVELS - 1, may_be_rows=False)
        if shape is None or landing is None:
            return
        if isinstance(landing, OneColumn) and landing.type not in _AS_KEYS:
            # Keys grow, and those of one kind are those of other collections as well.
            type_ = ColumnType.BIGINT if landing.type is ColumnType.INTEGER else landing.type
            self._columns[("_id",)] = (shape, OneColumn(type_))
        elif isinstance(landing, OwnColumns):
            self.walk(shape, ("_id",), MAX_LEVELS - 1)

    def walk(self, shape: Shape, above: Path, levels: int, *, without: str | None = None) -> None:
        """Find a place for each field of an object, but for the one that is called ``without``."""
        for name, inner in shape.fields.items():
            path = (*above, name)
            if name == without:
                continue
            if "\0" in name or len(name) > MAX_FIELD_NAME:
                reason = "its name is not UTF-8" if "\0" in name else "its name is too long"
                self._left.append(LeftOver(path, reason))
                continue
            self._place(path, inner, levels - 1)

    def _place(self, path: Path, shape: Shape, levels: int) -> None:
        may_be_rows = len(self.arrays) < self._max_children
        landing = landing_of(shape, name=path[-1], levels=levels, may_be_rows=may_be_rows)
        match landing:
            case OneColumn():
                self._columns[path] = (shape, landing)
            case OwnColumns():
                self.walk(shape, path, levels)
            case ChildRows(elements) if _has_columns(elements):
                self.arrays[path] = elements
            case ChildRows():
                self._columns[path] = (shape, OneColumn(ColumnType.JSONB, "without a field for a column"))
            case Left():
                often = "" if shape.count == self._rows else f", in {share(shape.count, self._rows)}"
                self._left.append(LeftOver(path, landing.reason + often))
            case _:
                assert_never(landing)

    def table(self, name: str, path: Path = (), key: str = "") -> ProposedTable:
        """Return the table of what was found, with the rarest fields left out when there are too many."""
        left = list(self._left)
        if len(self._columns) > MAX_PROPOSED_COLUMNS:
            by_count = sorted(self._columns, key=lambda path: -self._columns[path][0].count)
            rare = set(by_count[MAX_PROPOSED_COLUMNS:])
            left += [LeftOver(path, "rare, and the table is wide already") for path in self._columns if path in rare]
            self._columns = {path: found for path, found in self._columns.items() if path not in rare}
        names = column_names(list(self._columns))
        columns = tuple(
            ProposedColumn(MappedColumn(column, path, landing.type), note_of(shape, self._rows, landing))
            for column, (path, (shape, landing)) in zip(names, self._columns.items(), strict=True)
        )
        return ProposedTable(name, self._rows, columns, tuple(left), path, key)


def _has_columns(elements: Shape) -> bool:
    found = _Fields(elements.count, max_children=0)
    found.walk(elements, (), MAX_LEVELS)
    return bool(found.table("").columns)


def _columns(table: ProposedTable) -> tuple[MappedColumn, ...]:
    return tuple(proposed.column for proposed in table.columns)
