"""Collections of a mapping file: their tables, child tables and indexes, each with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator_service.core import naming
from replicator_service.core.mapping import privacy
from replicator_service.core.mapping.columns import (
    ReadColumn,
    check_name,
    divided_path,
    read_columns,
    read_description,
    read_path,
)
from replicator_service.core.mapping.indexes import ReadIndex, read_indexes
from replicator_service.core.mapping.model import ChildTable, KeepBson, TypedCollection
from replicator_service.core.mapping.nodes import Entry, known_keys, map_of, text_of
from replicator_service.core.mapping.problems import Place, Problems, closest, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLLECTION_KEYS = ("table", "description", "keep_bson", "columns", "children", "indexes", *privacy.KEYS)
_CHILD_KEYS = ("table", "description", "path", "columns", "indexes")


@dataclass(frozen=True, slots=True)
class ReadTable:
    """One table: that of a collection, or that of an array, which has a path."""

    name: str
    place: Place
    columns: tuple[ReadColumn, ...]
    indexes: tuple[ReadIndex, ...]
    path: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class ReadCollection:
    """One collection with its own table and those of its arrays."""

    collection: str
    place: Place
    keep_bson: KeepBson | None
    table: ReadTable
    children: tuple[ReadTable, ...]
    rules: privacy.ReadRules
    is_typed: bool
    """Whether it has columns or child tables; one that has rules alone is a document table."""

    def as_typed(self, keep_bson: KeepBson) -> TypedCollection:
        """Return the model's value; ``keep_bson`` is what holds where the collection says nothing."""
        return TypedCollection(
            collection=self.collection,
            table=self.table.name,
            columns=tuple(read.column for read in self.table.columns),
            children=tuple(_as_child(child) for child in self.children),
            indexes=tuple(read.columns for read in self.table.indexes),
            keep_bson=self.keep_bson or keep_bson,
            description=self.table.description,
            rules=self.rules.as_rules(),
        )


def read_collections(entry: Entry, problems: Problems) -> tuple[ReadCollection, ...]:
    """Read the map under ``collections``; what has a problem is left out or incomplete."""
    entries = map_of(entry.value, entry.path, problems, what="a map of collections") or {}
    read = (_read_collection(collection, problems) for collection in entries.values())
    return tuple(collection for collection in read if collection is not None)


def read_keep_bson(entry: Entry, problems: Problems) -> KeepBson | None:
    """Read when the original document is kept."""
    text = text_of(entry.value, entry.path, problems, what="when_needed or always")
    if text is None:
        return None
    if text not in tuple(KeepBson):
        meant = closest(text, KeepBson)
        fix = f"did you mean {meant}?" if meant else "write when_needed or always"
        problems.add(entry.value_place, f"unknown value {quoted(text)}", fix)
        return None
    return KeepBson(text)


def _read_collection(entry: Entry, problems: Problems) -> ReadCollection | None:
    _check_collection_name(entry, problems)
    fields = map_of(entry.value, entry.path, problems, what="a map with columns")
    if fields is None:
        return None
    known_keys(fields, _COLLECTION_KEYS, problems)
    is_typed = bool({"columns", "children"} & fields.keys())
    if not is_typed and (not set(privacy.KEYS) & fields.keys() or set(fields) - set(privacy.KEYS)):
        fix = "add columns, or remove the collection from the file to replicate whole documents"
        problems.add(entry.place, "the collection has neither columns nor children", fix)
    table = _read_table(entry, fields, naming.table_name(entry.key), problems, child=False)
    children = (
        map_of(fields["children"].value, fields["children"].path, problems, what="a map of arrays")
        if "children" in fields
        else {}
    )
    read = (_read_child(child, table, problems) for child in (children or {}).values())
    return ReadCollection(
        collection=entry.key,
        place=entry.place,
        keep_bson=read_keep_bson(fields["keep_bson"], problems) if "keep_bson" in fields else None,
        table=table,
        children=tuple(child for child in read if child is not None),
        rules=privacy.read_rules(fields, problems),
        is_typed=is_typed,
    )


def _read_child(entry: Entry, parent: ReadTable, problems: Problems) -> ReadTable | None:
    fields = map_of(entry.value, entry.path, problems, what="a map with columns")
    if fields is None:
        return None
    known_keys(fields, _CHILD_KEYS, problems)
    if "columns" not in fields:
        problems.add(entry.place, "the child table has no columns", "add columns, or map the array as jsonb")
    path = _array_path(entry, fields, problems)
    default = naming.table_name(f"{parent.name}_{entry.key}")
    return _read_table(entry, fields, default, problems, child=True, path=path or ())


def _array_path(entry: Entry, fields: Mapping[str, Entry], problems: Problems) -> tuple[str, ...] | None:
    if "path" in fields:
        return read_path(fields["path"], problems)
    return divided_path(entry.key, entry.place, problems)


def _read_table(
    entry: Entry,
    fields: Mapping[str, Entry],
    default_name: str,
    problems: Problems,
    *,
    child: bool,
    path: tuple[str, ...] = (),
) -> ReadTable:
    named = _table_name(fields["table"], problems) if "table" in fields else None
    columns = read_columns(fields["columns"], problems, child=child) if "columns" in fields else {}
    indexes = read_indexes(fields["indexes"], columns, problems, child=child) if "indexes" in fields else ()
    return ReadTable(
        name=named or default_name,
        place=fields.get("table", entry).place,
        columns=tuple(column for column in columns.values() if column is not None),
        indexes=indexes,
        path=path,
        description=read_description(fields, problems),
    )


def _table_name(entry: Entry, problems: Problems) -> str | None:
    name = text_of(entry.value, entry.path, problems, what="a table name")
    if name is None:
        return None
    check_name(name, entry.value_place, problems, what="table")
    if name.endswith(naming.RELATION_SUFFIXES):
        message = f"names that end in {' or '.join(naming.RELATION_SUFFIXES)} belong to keys and indexes"
        problems.add(entry.value_place, message, "choose another name")
    return name


def _check_collection_name(entry: Entry, problems: Problems) -> None:
    if not entry.key:
        problems.add(entry.place, "the collection's name is empty", "write the name it has in MongoDB")
    elif entry.key.startswith("system."):
        message = "MongoDB keeps collections called system... for itself, and the stream leaves them out"
        problems.add(entry.place, message, "remove the collection")


def _as_child(table: ReadTable) -> ChildTable:
    return ChildTable(
        table=table.name,
        path=table.path,
        columns=tuple(read.column for read in table.columns),
        indexes=tuple(read.columns for read in table.indexes),
        description=table.description,
    )
