"""From findings to lines for the mapping: a column for what is new, a wider type for what does not fit.

A change of a type never leaves out what fitted before: the new type holds every value of the old one, and every value
that was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from replicator_service.core.bson import containers
from replicator_service.core.mapping.inference.choice import is_identifier
from replicator_service.core.mapping.inference.names import column_names
from replicator_service.core.mapping.inference.notes import kinds_text
from replicator_service.core.mapping.inference.proposal import new_columns
from replicator_service.core.mapping.inference.shape import MAX_LEVELS, MAX_OBJECT_FIELDS, Shape
from replicator_service.core.mapping.inference.yaml_text import column_text, commented, path_text, scalar
from replicator_service.core.mapping.model import ColumnType
from replicator_service.core.schema_findings import FindingKind, Path, SchemaFinding, path_of
from replicator_service.core.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from replicator_service.core.bson.declaration import Value
    from replicator_service.core.mapping.model import MappedColumn, TypedCollection

_WIDER = {
    ColumnType.INTEGER: (ColumnType.BIGINT, ColumnType.DOUBLE_PRECISION, ColumnType.NUMERIC, ColumnType.TEXT),
    ColumnType.BIGINT: (ColumnType.NUMERIC, ColumnType.TEXT),
    ColumnType.DOUBLE_PRECISION: (ColumnType.NUMERIC,),
    ColumnType.UUID: (ColumnType.TEXT,),
    ColumnType.BOOLEAN: (ColumnType.TEXT,),
}
"""Types that hold all that a type holds; ``jsonb`` holds everything. Text only where a field is an identifier."""


@dataclass(frozen=True, slots=True)
class Table:
    """One mapped table: the parent without, a child with the path of its array."""

    array: Path
    columns: tuple[MappedColumn, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A column for the mapping, and why. ``replaces`` is the column as it is, None for a new one."""

    array: Path
    column: MappedColumn
    why: str
    replaces: MappedColumn | None = None

    @property
    def text(self) -> str:
        """The line as YAML, without its comment."""
        if not self.column.from_parent:
            return column_text(self.column)
        type_ = self.column.type.value if self.column.type.element is None else f'"{self.column.type.value}"'
        path = "" if self.column.path == (self.column.name,) else f"path: {path_text(self.column.path)}, "
        return f"{scalar(self.column.name)}: {{from: parent, {path}type: {type_}}}"


@dataclass(frozen=True, slots=True)
class Drift:
    """What a collection needs. ``remarks`` tell of findings that no line of a mapping answers."""

    collection: str
    findings: tuple[SchemaFinding, ...]
    lines: tuple[Line, ...]
    remarks: tuple[str, ...]


def shape_of(path: Path, values: Iterable[Value]) -> Shape:
    """Return the shape of values that are at a path (below the array, for elements)."""
    shape = Shape(MAX_OBJECT_FIELDS)
    for value in values:
        shape.add(value, max(0, MAX_LEVELS - len(path)), 1)
    return shape


def table_of(mapping: TypedCollection, path: Path) -> Table:
    """Return the table whose rows leave over what is at a path."""
    for child in sorted(mapping.children, key=lambda child: -len(child.path)):
        if len(path) > len(child.path) and path[: len(child.path)] == child.path:
            return Table(child.path, child.columns)
    return Table((), mapping.columns)


def is_column(mapping: TypedCollection, path: Path) -> bool:
    """Whether a column takes the values at a path; otherwise the mapping expects a sub-document or an array there."""
    return bool(_columns_at(mapping, path))


def drift_of(mapping: TypedCollection, findings: Sequence[SchemaFinding], shapes: Mapping[str, Shape]) -> Drift:
    """Answer the findings of one collection; ``shapes`` are those of the values that were looked at, by path."""
    lines: list[Line] = []
    remarks: list[str] = []
    taken: dict[Path, set[str]] = {(): {column.name for column in mapping.columns}}
    taken |= {child.path: {column.name for column in child.columns} for child in mapping.children}
    for finding in findings:
        path = path_of(finding.path)
        shape = shapes.get(finding.path)
        found: Sequence[Line] = ()
        if path is not None and shape is not None and shape.without_null:
            if finding.kind is FindingKind.NEW_FIELD:
                found = _new(mapping, path, shape, finding, taken)
            elif finding.kind is FindingKind.MISFIT:
                found = _wider(mapping, path, shape, finding)
        lines += found
        if not found:
            remarks.append(_remark(mapping, finding, path, shape))
    return Drift(mapping.collection, tuple(findings), tuple(lines), tuple(remarks))


def render(drifts: Sequence[Drift]) -> str:
    """Write the lines as a mapping of their own; what replaces a line of the file says so."""
    parts = ["# For the mapping file: add what is new, and put the changed lines in the place of the old ones."]
    parts += ["# A changed type takes `replicator resync COLLECTION` after the restart.", "version: 1"]
    named = [drift for drift in drifts if drift.lines]
    parts.append("collections:" if named else "collections: {}")
    for drift in named:
        parts.append(f"  {scalar(drift.collection)}:")
        parts += _block([line for line in drift.lines if not line.array], "    ")
        arrays = sorted({line.array for line in drift.lines if line.array})
        if arrays:
            parts.append("    children:")
        for array in arrays:
            is_plain = all(array) and tuple(".".join(array).split(".")) == array
            parts.append(f"      {path_text(array) if is_plain else scalar('_'.join(array) or 'array')}:")
            if not is_plain:
                parts.append(f"        path: {path_text(array)}")
            parts += _block([line for line in drift.lines if line.array == array], "        ")
    for drift in drifts:
        parts += [f"# {remark}" for remark in drift.remarks]
    return "\n".join(parts) + "\n"


def _block(lines: Sequence[Line], indent: str) -> Iterator[str]:
    if lines:
        yield f"{indent}columns:"
        yield from commented((f"{indent}  {line.text}", line.why) for line in lines)


def _new(
    mapping: TypedCollection, path: Path, shape: Shape, finding: SchemaFinding, taken: dict[Path, set[str]]
) -> list[Line]:
    table = table_of(mapping, path)
    above = path[len(table.array) : -1]
    lines = []
    found = new_columns(path[-1], shape, above)
    names = column_names([each.column.path for each in found], taken=taken[table.array])
    for name, each in zip(names, found, strict=True):
        taken[table.array].add(name)
        why = f"new, {counted(finding.count, 'value')}: {each.note}"
        lines.append(Line(table.array, replace(each.column, name=name), why))
    return lines


def _wider(mapping: TypedCollection, path: Path, shape: Shape, finding: SchemaFinding) -> list[Line]:
    lines = []
    for array, column in _columns_at(mapping, path):
        wider = _wider_type(column, shape)
        if wider is not None:
            why = f"was {column.type.value}: what does not fit: {counted(finding.count, 'value')} ({kinds_text(shape)})"
            lines.append(Line(array, replace(column, type=wider), why, replaces=column))
    return lines


def _columns_at(mapping: TypedCollection, path: Path) -> list[tuple[Path, MappedColumn]]:
    """Return the columns that take a path, each with the array of its table."""
    tables = [Table((), mapping.columns), *(Table(child.path, child.columns) for child in mapping.children)]
    return [
        (table.array, column)
        for table in tables
        for column in table.columns
        if path == (column.path if column.from_parent else (*table.array, *column.path))
    ]


def _wider_type(column: MappedColumn, shape: Shape) -> ColumnType | None:
    """Return the narrowest type for both, or None when all that was looked at fits already."""
    element = column.type.element
    if element is not None:
        inner = shape.elements
        if shape.without_null != {containers.ARRAY.name} or inner is None:
            return ColumnType.JSONB
        if element in inner.fitting:
            return None
        wider = _narrowest(element, inner, column)
        return ColumnType.JSONB if wider is ColumnType.JSONB else ColumnType(f"{wider.value}[]")
    if column.type is ColumnType.JSONB or column.type in shape.fitting:
        return None
    return _narrowest(column.type, shape, column)


def _narrowest(type_: ColumnType, shape: Shape, column: MappedColumn) -> ColumnType:
    for wider in _WIDER.get(type_, ()):
        if wider in shape.fitting and (wider is not ColumnType.TEXT or is_identifier(column.path[-1])):
            return wider
    return ColumnType.JSONB


def _remark(mapping: TypedCollection, finding: SchemaFinding, path: Path | None, shape: Shape | None) -> str:
    noun = "row" if finding.kind is FindingKind.GONE else "value"
    told = f"{_shown(mapping.collection)} {_shown(finding.path)}: {counted(finding.count, noun)}"
    if finding.kind is FindingKind.GONE:
        return f"{told}, none with a value; the column may be taken out of the mapping."
    if path is None:
        return f"{told} of fields that are too many or too long to be named; their names may be data."
    if finding.kind is FindingKind.MISFIT and not is_column(mapping, path):
        return f"{told} where the mapping expects a sub-document or an array; see _extra."
    if shape is None or not shape.without_null:
        return f"{told}; _extra has none there now but null. replicator mapping drift --forget counts anew."
    if finding.kind is FindingKind.MISFIT:
        return f"{told} ({kinds_text(shape)}), fitting by now; replicator resync writes them again."
    return f"{told} ({kinds_text(shape)}); nothing that a column could be made of."


def _shown(text: str) -> str:
    """A name in a comment: nothing in it may end the line."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
