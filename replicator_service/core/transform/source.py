"""Python source for one typed collection: straight-line code, made once, so that no document pays for the mapping.

The source is flat, however deep the paths are: a sub-document that is missing is replaced by an empty one.
What no column takes is found by counting: a document of as many fields as were looked up and found has no
others.

The names in the source are fixed or numbered; names of fields appear only as literals, and names of tables
and columns do not appear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.bson.numbers import BIGINT_RANGE, INTEGER_RANGE
from replicator_service.core.codec.copy_text import SPECIAL
from replicator_service.core.mapping.model import ColumnType, KeepBson
from replicator_service.core.transform.tree import tree_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.model import ChildTable, MappedColumn, TypedCollection
    from replicator_service.core.schema_findings import Path
    from replicator_service.core.transform.tree import Node

_KEY = "_id"
_ISO = (
    "f'{{DAYS[{0}.toordinal()]}}{{MINUTES[{0}.hour][{0}.minute]}}"
    "{{SECONDS[{0}.second]}}{{MILLISECONDS[{0}.microsecond // 1000]}}'"
)
_RANGES = {ColumnType.INTEGER: INTEGER_RANGE, ColumnType.BIGINT: BIGINT_RANGE}


def source_of(mapping: TypedCollection) -> str:
    """Return the source of ``rows(document, raw, valid_from, lines, leftovers, key=None, keep=False)``.

    The namespace it needs is :data:`replicator_service.core.transform.NAMESPACE`, with ``cells`` by column
    type.
    """
    return _Source(mapping).text()


class _Table:
    """What is known while the code of one table is written."""

    def __init__(self, columns: Sequence[MappedColumn], prefix: str) -> None:
        self.columns = columns
        self.prefix = prefix
        self.texts: list[int] = []
        """Positions of the columns whose strings have not been looked at for special characters yet."""
        self.arrays: list[tuple[int, str]] = []
        """Child tables and the variables of their arrays."""

    def cell(self, position: int) -> str:
        return f"{self.prefix}c{position}"

    def string(self, position: int) -> str:
        return f"{self.prefix}t{position}"


class _Source:
    def __init__(self, mapping: TypedCollection) -> None:
        self._mapping = mapping
        self._constants: list[str] = []
        self._lines: list[str] = []
        self._depth = 1
        self._count = 0

    def text(self) -> str:
        mapping = self._mapping
        parent = _Table(mapping.columns, "")
        self._emit("if key is None:")
        self._emit("    value = document['_id']")
        self._emit("    key = value.binary.hex() if type(value) is ObjectId else encode_key(value)")
        self._emit("x0 = None")
        self._emit("left = None")
        self._level(tree_of(mapping.columns, mapping.children), "document", "x0", parent, (), is_root=True)
        # Last: of an _id that is mapped in parts, only the rest is there already.
        self._emit("if key[:8] == DIGEST:")
        self._emit("    x0 = put(x0, '_id', document['_id'])")
        self._escape(parent, "key")
        self._emit("extra = NULL if x0 is None else json_cell(x0)")
        variables = dict(parent.arrays)
        for position, child in enumerate(mapping.children):
            self._child(position, child, variables[position], parent)
        self._row(parent, "key_cell")
        if mapping.keep_bson is KeepBson.ALWAYS:
            self._emit("left = note(left, altered_cells(line))")
            self._emit("line = keep_original(line, raw())")
        else:
            self._emit("if keep or '\\0' in line or AMBIGUOUS in line:")
            self._emit("    left = note(left, altered_cells(line))")
            self._emit("    line = keep_original(line, raw())")
        self._emit("lines[0].append(line)")
        for position in range(len(mapping.children)):
            self._emit(f"lines[{position + 1}].extend(rows{position})")
        self._emit("if left is not None:")
        self._emit("    leftovers.add(left)")
        self._emit("return key")
        header = "def rows(document, raw, valid_from, lines, leftovers, key=None, keep=False):"
        return "\n".join([*self._constants, header, *self._lines, ""])

    def _emit(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)

    def _new(self, letter: str) -> str:
        self._count += 1
        return f"{letter}_{self._count}"

    def _level(
        self, node: Node, document: str, extra: str | None, table: _Table, above: Path, *, is_root: bool = False
    ) -> None:
        """Look up the fields of the (sub-)document at ``above``.

        ``extra`` collects what is not taken, unless it is None.
        """
        get, absent = self._new("get"), self._new("absent")
        self._emit(f"{get} = {document}.get")
        if extra is not None:
            self._emit(f"{absent} = 0")
        for name, below in node.fields.items():
            value = self._new("value")
            self._emit(f"{value} = {get}({name!r})")
            if extra is None:
                # A column holds the value whole.
                self._field((*above, name), below, value, None, None, None, table)
                continue
            missing = f"{absent} += {name!r} not in {document}"
            unfit = f"{extra} = put({extra}, {name!r}, {value}); left = note(left, {(*above, name)!r})"
            self._field((*above, name), below, value, extra, missing, unfit, table)
        if extra is not None:
            names = sorted({*node.fields, _KEY} if is_root else node.fields)
            known = f"KNOWN{len(self._constants)}"
            self._constants.append(f"{known} = frozenset(({''.join(f'{name!r}, ' for name in names)}))")
            self._emit(f"if len({document}) + {absent} != {len(names)}:")
            self._emit(f"    others = rest({document}, {known})")
            self._emit(f"    left = note(left, ({above!r}, (*others,)))")
            self._emit(f"    {extra} = others if {extra} is None else {{**others, **{extra}}}")

    def _field(
        self,
        path: Path,
        node: Node,
        value: str,
        extra: str | None,
        missing: str | None,
        unfit: str | None,
        table: _Table,
    ) -> None:
        for position in node.columns:
            self._column(table, position, value, missing, unfit)
            # The field is missing once, however many columns it has.
            missing = None
        for position in node.children:
            table.arrays.append((position, value))
        if node.columns:
            # The column has the whole value, so nothing below it is left over.
            if node.fields:
                below = self._sub_document(value, None, None, has_children=False)
                self._level(node, below, None, table, path)
            return
        if not node.fields:
            if unfit is not None:
                self._leftover(value, missing, unfit, is_array_taken=True)
            return
        below = self._sub_document(value, missing, unfit, has_children=bool(node.children))
        if extra is None:
            self._level(node, below, None, table, path)
            return
        inner = self._new("x")
        self._emit(f"{inner} = None")
        self._level(node, below, inner, table, path)
        self._emit(f"if {inner} is not None:")
        self._emit(f"    {extra} = put({extra}, {path[-1]!r}, {inner})")

    def _sub_document(self, value: str, missing: str | None, unfit: str | None, *, has_children: bool) -> str:
        below = self._new("document")
        self._emit(f"if type({value}) is dict:")
        self._emit(f"    {below} = {value}")
        self._emit("else:")
        self._emit(f"    {below} = EMPTY")
        if unfit is not None:
            self._depth += 1
            self._leftover(value, missing, unfit, is_array_taken=has_children)
            self._depth -= 1
        return below

    def _leftover(self, value: str, missing: str | None, unfit: str, *, is_array_taken: bool) -> None:
        """Put aside a value that is neither null nor taken by what is below the field."""
        self._emit(f"if {value} is None:")
        self._emit(f"    {missing or 'pass'}")
        self._emit(f"elif type({value}) is not list:" if is_array_taken else "else:")
        self._emit(f"    {unfit}")

    def _column(self, table: _Table, position: int, value: str, missing: str | None, unfit: str | None) -> None:
        column_type = table.columns[position].type
        cell, string = table.cell(position), table.string(position)
        if column_type is ColumnType.TEXT:
            table.texts.append(position)
            self._emit(f"{string} = ''")
            self._emit(f"if type({value}) is str:")
            self._emit(f"    {cell} = {string} = {value}")
            self._emit(f"elif {value} is None:")
        elif column_type is ColumnType.TIMESTAMPTZ:
            self._emit(f"if type({value}) is datetime:")
            self._emit(f"    {cell} = {_ISO.format(value)}")
            self._emit(f"elif {value} is None:")
        elif column_type in _RANGES:
            low, high = _RANGES[column_type]
            self._emit(f"if type({value}) is int and {low} <= {value} <= {high}:")
            self._emit(f"    {cell} = {value}")
            self._emit(f"elif {value} is None:")
        else:
            self._emit(f"if {value} is None:")
        self._emit(f"    {cell} = NULL")
        if missing is not None:
            self._emit(f"    {missing}")
        self._emit("else:")
        self._emit(f"    {cell} = {_cell_name(column_type)}({value})")
        self._emit(f"    if {cell} is None:")
        self._emit(f"        {cell} = NULL")
        if unfit is not None:
            self._emit(f"        {unfit}")

    def _escape(self, table: _Table, *others: str) -> None:
        """Write the strings of a row as cells. One look at all of them together: special characters are rare."""
        strings = [*others, *(table.string(position) for position in table.texts)]
        if not strings:
            return
        self._emit(f"strings = {_joined('', strings)}")
        conditions = [f"{character!r} in strings" for character in SPECIAL]
        if table.texts:
            # Keys begin with a dollar often, and only the columns' own strings are to be told from tagged ones.
            own = f"strings[{' + '.join(f'len({other})' for other in others)}:]"
            conditions += ["'\\0' in strings", f"'$' in strings and '$' in {own}" if others else "'$' in strings"]
        self._emit(f"if {' or '.join(conditions)}:")
        for position in table.texts:
            self._emit(f"    if {table.string(position)}:")
            self._emit(f"        {table.cell(position)} = {_cell_name(ColumnType.TEXT)}({table.string(position)})")
        if others:
            self._emit("    key_cell = escape(key)")
            self._emit("else:")
            self._emit("    key_cell = key")

    def _row(self, table: _Table, *keys: str) -> None:
        cells = [*keys, *(table.cell(position) for position in range(len(table.columns))), "extra"]
        self._emit(f"line = {_joined(chr(92) + 't', [*cells, 'NULL', 'valid_from'])}")

    def _child(self, number: int, child: ChildTable, array: str, parent: _Table) -> None:
        table = _Table(child.columns, f"r{number}")
        self._inherited(child, table, parent)
        self._emit(f"rows{number} = []")
        self._emit(f"if type({array}) is list:")
        self._emit(f"    for ordinal, element in enumerate({array}):")
        self._depth += 2
        self._emit("inner = element if type(element) is dict else EMPTY")
        self._emit("x1 = None")
        self._level(tree_of(child.columns), "inner", "x1", table, child.path)
        self._escape(table)
        self._emit("if inner is element:")
        self._emit("    child_extra = NULL if x1 is None else json_cell(x1)")
        self._emit("else:")
        self._emit("    child_extra = json_cell(element)")
        self._emit(f"    left = note(left, {child.path!r})")
        cells = [
            "key_cell",
            "ordinal",
            *(table.cell(position) for position in range(len(child.columns))),
            "child_extra",
        ]
        self._emit(f"line = {_joined(chr(92) + 't', [*cells, 'NULL', 'valid_from'])}")
        self._emit("if '\\0' in line or AMBIGUOUS in line:")
        self._emit("    left = note(left, altered_cells(line))")
        self._emit(f"    line = keep_original(line, element_document(raw(), {child.path!r}, ordinal))")
        self._emit("    keep = True")
        self._emit(f"rows{number}.append(line)")
        self._depth -= 2

    def _inherited(self, child: ChildTable, table: _Table, parent: _Table) -> None:
        """Fill the columns that come from the parent: its own cell where it has the same column."""
        known = {(column.path, column.type): position for position, column in enumerate(parent.columns)}
        for position, column in enumerate(child.columns):
            if not column.from_parent:
                continue
            same = known.get((column.path, column.type))
            if same is not None:
                self._emit(f"{table.cell(position)} = {parent.cell(same)}")
                continue
            value = "document"
            for name in column.path:
                below = self._new("value")
                self._emit(f"{below} = {value}.get({name!r}) if type({value}) is dict else None")
                value = below
            cell = table.cell(position)
            self._emit(f"{cell} = None if {value} is None else {_cell_name(column.type)}({value})")
            self._emit(f"if {cell} is None:")
            self._emit(f"    {cell} = NULL")
            self._emit(f"    if {value} is not None:")
            self._emit(f"        left = note(left, {column.path!r})")


def _cell_name(column_type: ColumnType) -> str:
    return "cell_" + column_type.name.lower()


def _joined(separator: str, names: list[str]) -> str:
    return "f'" + separator.join(f"{{{name}}}" for name in names) + "'"
