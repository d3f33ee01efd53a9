"""Columns of a mapping file: their names, their paths and their types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from replicator_service.core import naming
from replicator_service.core.mapping.column_types import column_type, suggestion
from replicator_service.core.mapping.model import ColumnType, MappedColumn
from replicator_service.core.mapping.nodes import Entry, is_text, known_keys, list_of, map_of, text_of
from replicator_service.core.mapping.problems import Place, Problems, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_COLUMNS = 1000
"""Of one table. PostgreSQL allows 1,600, but counts dropped ones, and a row has to fit into 8 kB."""

OWN_COLUMNS = frozenset({"_id", "_ordinal", "_extra", "_bson", "etl_valid_from"})
_COLUMN_KEYS = ("path", "type", "description")
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""PostgreSQL refuses these in every table ("System Columns" in its manual)."""


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column and where the file names it."""

    column: MappedColumn
    place: Place


def read_columns(entry: Entry, problems: Problems, *, child: bool) -> dict[str, ReadColumn | None]:
    """Read the map under ``columns``, in its order; a column that has a problem is None."""
    entries = map_of(entry.value, entry.path, problems, what="a map of columns")
    if entries is None:
        return {}
    if len(entries) > MAX_COLUMNS:
        message = f"the table has {len(entries)} columns and can take {MAX_COLUMNS}"
        fix = "leave the rest to _extra, or map a sub-document as one jsonb column"
        problems.add(entry.place, message, fix)
    _check_names(entries.values(), problems)
    return {name: _read_column(column, problems, child=child) for name, column in entries.items()}


def read_path(entry: Entry, problems: Problems) -> tuple[str, ...] | None:
    """Read a path: a text that dots divide, or a list of field names, which may hold dots or be empty."""
    if isinstance(entry.value, yaml.SequenceNode):
        items = list_of(entry.value, entry.path, problems, what="a path")
        names = [text_of(item.value, item.path, problems, what="a field name") for item in items or ()]
        if not names:
            problems.add(entry.value_place, "the path is empty", "name at least one field")
            return None
        return None if None in names else tuple(name for name in names if name is not None)
    text = text_of(entry.value, entry.path, problems, what="a path such as device.type")
    return None if text is None else divided_path(text, entry.value_place, problems)


def read_description(fields: Mapping[str, Entry], problems: Problems) -> str:
    """Read what people are told of a table or a column, empty where nothing is said."""
    entry = fields.get("description")
    return "" if entry is None else text_of(entry.value, entry.path, problems, what="a text for people") or ""


def divided_path(text: str, place: Place, problems: Problems) -> tuple[str, ...] | None:
    """Divide a path at its dots; a part without a name is a problem."""
    parts = tuple(text.split("."))
    if all(parts):
        return parts
    message = f"the path {quoted(text)} has a part without a name"
    problems.add(place, message, 'name every part, or list the fields as ["a.b", "c"]')
    return None


def check_name(name: str, place: Place, problems: Problems, *, what: str) -> None:
    """Note a name that PostgreSQL would refuse or cut."""
    if not name:
        problems.add(place, f"the {what} name is empty", "give it a name")
    elif naming.size(name) > naming.MAX_NAME_BYTES:
        limit = naming.MAX_NAME_BYTES
        message = f"the {what} name has {naming.size(name)} bytes, and PostgreSQL cuts names after {limit}"
        problems.add(place, message, "write a shorter one")


def _check_names(entries: Iterable[Entry], problems: Problems) -> None:
    by_cut_name: dict[str, Entry] = {}
    for entry in entries:
        name, place = entry.key, entry.place
        check_name(name, place, problems, what="column")
        if name in OWN_COLUMNS:
            problems.add(place, f"every replicated table has its own column {name}", "choose another name")
        elif name in SYSTEM_COLUMNS:
            problems.add(place, f"PostgreSQL keeps the name {name} for itself", "choose another name")
        twin = by_cut_name.setdefault(naming.cut(name), entry)
        if twin is not entry:
            message = f"cut to {naming.MAX_NAME_BYTES} bytes, the name equals that in line {twin.place.line}"
            problems.add(place, message, "let them differ earlier")


def _read_column(entry: Entry, problems: Problems, *, child: bool) -> ReadColumn | None:
    if isinstance(entry.value, yaml.ScalarNode):
        return _short_column(entry, problems)
    fields = map_of(entry.value, entry.path, problems, what="a type, or a map with path and type")
    if fields is None:
        return None
    known_keys(fields, (*_COLUMN_KEYS, "from") if child else _COLUMN_KEYS, problems)
    from_parent = _from_parent(fields["from"], problems) if child and "from" in fields else False
    path = read_path(fields["path"], problems) if "path" in fields else _own_path(entry, problems)
    if "type" not in fields:
        problems.add(entry.place, "the column has no type", "add `type: text` or another type")
        return None
    type_ = _read_type(fields["type"], problems)
    description = read_description(fields, problems)
    if type_ is None or path is None:
        return None
    column = MappedColumn(entry.key, path, type_, from_parent, description)
    return ReadColumn(column, fields.get("path", entry).place)


def _short_column(entry: Entry, problems: Problems) -> ReadColumn | None:
    type_ = _read_type(entry, problems)
    path = _own_path(entry, problems)
    if type_ is None or path is None:
        return None
    return ReadColumn(MappedColumn(entry.key, path, type_), entry.place)


def _own_path(entry: Entry, problems: Problems) -> tuple[str, ...] | None:
    """Take the column's name for the field's. A dot in it could be the field's own or divide a path: ask."""
    if "." not in entry.key:
        return (entry.key,)
    name = quoted(entry.key)
    fix = f"add `path: {entry.key}` for a field in a sub-document, or `path: [{name}]` for a field of this name"
    problems.add(entry.place, "a column whose name has a dot needs a path", fix)
    return None


def _read_type(entry: Entry, problems: Problems) -> ColumnType | None:
    if not is_text(entry.value):
        text_of(entry.value, entry.path, problems, what="a type")
        return None
    type_ = column_type(entry.value.value)
    if type_ is None:
        message = f"unknown column type {quoted(entry.value.value)}"
        problems.add(entry.value_place, message, suggestion(entry.value.value))
    return type_


def _from_parent(entry: Entry, problems: Problems) -> bool:
    text = text_of(entry.value, entry.path, problems, what="parent")
    if text is not None and text != "parent":
        message = f"unknown source {quoted(text)}"
        problems.add(entry.value_place, message, "write parent, or remove `from` to read the array's element")
    return text == "parent"
