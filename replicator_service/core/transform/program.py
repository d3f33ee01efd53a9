"""A mapping as a program for the compiled path: fields, columns and tables as numbers.

It says the same as the Python source that :mod:`replicator_service.core.transform.source` writes, as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core.mapping.model import ColumnType, DocumentCollection, KeepBson
from replicator_service.core.transform.tree import Node, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from replicator_service.core.mapping.model import ChildTable, CollectionMapping, MappedColumn
    from replicator_service.core.schema_findings import Path

COLUMN_TYPES = (
    ColumnType.TEXT,
    ColumnType.INTEGER,
    ColumnType.BIGINT,
    ColumnType.DOUBLE_PRECISION,
    ColumnType.NUMERIC,
    ColumnType.BOOLEAN,
    ColumnType.TIMESTAMPTZ,
    ColumnType.UUID,
    ColumnType.BYTEA,
    ColumnType.JSONB,
)
"""The order of ``ColumnType`` in ``cells.pxd``."""
_ARRAYS = 16
_KEY = "_id"
_NO_NAME = b"\0"
"""No field has this name: BSON ends a name at U+0000."""

OWN, INHERITED = -1, -2
"""Where a cell comes from: its own field, a path of the parent's document; or the number of the parent's column
that has the same."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a document; field 0 is the document. Its sub-fields are ``count`` fields from ``first`` on.

    ``is_quiet``: something else holds its value whole, so nothing below it is left over.
    """

    name: bytes
    first: int
    count: int
    columns: tuple[int, ...]
    is_array: bool
    is_quiet: bool
    path: Path


@dataclass(frozen=True, slots=True)
class Cell:
    """A column: its type as a number, its field, and where it comes from."""

    type: int
    field: int
    source: int
    names: tuple[bytes, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class TableProgram:
    """One table. ``array`` is the field of the parent that has its elements, ``path`` that field's path."""

    fields: tuple[Field, ...]
    cells: tuple[Cell, ...]
    array: int = 0
    path: Path = ()


@dataclass(frozen=True, slots=True)
class CollectionProgram:
    """The tables of a collection, the parent first. ``is_document``: the whole document is its only column."""

    tables: tuple[TableProgram, ...]
    is_document: bool
    keeps_bson: bool


def program_of(mapping: CollectionMapping) -> CollectionProgram:
    """Make the program of a mapping."""
    keeps_bson = mapping.keep_bson is KeepBson.ALWAYS
    if isinstance(mapping, DocumentCollection):
        fields, _ = _fields(Node(), (), is_root=True)
        return CollectionProgram((TableProgram(fields, ()),), is_document=True, keeps_bson=keeps_bson)
    fields, arrays = _fields(tree_of(mapping.columns, mapping.children), (), is_root=True)
    parent = TableProgram(fields, _cells(mapping.columns, fields, ()))
    children = (_child(child, arrays[number], mapping.columns) for number, child in enumerate(mapping.children))
    return CollectionProgram((parent, *children), is_document=False, keeps_bson=keeps_bson)


def _child(child: ChildTable, array: int, parent: Sequence[MappedColumn]) -> TableProgram:
    fields, _ = _fields(tree_of(child.columns), child.path, is_root=False)
    return TableProgram(fields, _cells(child.columns, fields, parent), array, child.path)


def _fields(root: Node, above: Path, *, is_root: bool) -> tuple[tuple[Field, ...], dict[int, int]]:
    """Return the fields of a tree, level by level, and the field of each child table's array."""
    if is_root:
        root.at((_KEY,))
    waiting: list[tuple[str, Node, Path, bool]] = [("", root, above, False)]
    fields: list[Field] = []
    arrays: dict[int, int] = {}
    for name, node, path, is_quiet in waiting:
        # The list grows while it is read.
        first = len(waiting)
        holds = is_quiet or bool(node.columns)
        for below, each in node.fields.items():
            # The key of the row holds it whole; where it is mapped, too, it is a field like any other.
            is_key = is_root and path == () and below == _KEY and each == Node()
            waiting.append((below, each, (*path, below), holds or is_key))
        arrays.update(dict.fromkeys(node.children, len(fields)))
        fields.append(
            Field(_encoded(name), first, len(node.fields), tuple(node.columns), bool(node.children), is_quiet, path)
        )
    return tuple(fields), arrays


def _cells(
    columns: Iterable[MappedColumn], fields: Sequence[Field], parent: Sequence[MappedColumn]
) -> tuple[Cell, ...]:
    field_of = {column: number for number, field in enumerate(fields) for column in field.columns}
    known = {(column.path, column.type): position for position, column in enumerate(parent)}
    cells = []
    for position, column in enumerate(columns):
        source = known.get((column.path, column.type), INHERITED) if column.from_parent else OWN
        names = tuple(_encoded(name) for name in column.path)
        cells.append(Cell(_number(column.type), field_of.get(position, 0), source, names, column.path))
    return tuple(cells)


def _number(column_type: ColumnType) -> int:
    element = column_type.element
    return COLUMN_TYPES.index(column_type) if element is None else _ARRAYS + COLUMN_TYPES.index(element)


def _encoded(name: str) -> bytes:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return _NO_NAME
    return _NO_NAME if b"\0" in encoded else encoded
