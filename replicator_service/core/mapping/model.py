"""The mapping as values: collections, tables and columns. Knows neither YAML nor SQL text.

A collection is either a :class:`DocumentCollection` (one row of Extended JSON a document, no configuration)
or a :class:`TypedCollection` (typed columns, child tables for arrays of sub-documents). Both give their
tables as :class:`TableSpec`, with the columns in the order in which rows are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from replicator_service.core.mapping import descriptions
from replicator_service.core.masking.rules import NO_RULES, Path, Rules, Selection


class ColumnType(StrEnum):
    """A PostgreSQL type that a mapped column may have; the value is its name in SQL."""

    TEXT = "text"
    INTEGER = "integer"
    BIGINT = "bigint"
    DOUBLE_PRECISION = "double precision"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    TIMESTAMPTZ = "timestamptz"
    UUID = "uuid"
    BYTEA = "bytea"
    JSONB = "jsonb"
    TEXT_ARRAY = "text[]"
    INTEGER_ARRAY = "integer[]"
    BIGINT_ARRAY = "bigint[]"
    DOUBLE_PRECISION_ARRAY = "double precision[]"
    NUMERIC_ARRAY = "numeric[]"
    BOOLEAN_ARRAY = "boolean[]"
    TIMESTAMPTZ_ARRAY = "timestamptz[]"
    UUID_ARRAY = "uuid[]"
    BYTEA_ARRAY = "bytea[]"
    JSONB_ARRAY = "jsonb[]"

    @property
    def element(self) -> ColumnType | None:
        """The type of one element, or None when this is not an array."""
        return ColumnType(self.value[:-2]) if self.value.endswith("[]") else None


class KeepBson(StrEnum):
    """When the original document is kept in ``_bson``."""

    WHEN_NEEDED = "when_needed"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column and the path that fills it.

    ``path`` goes into sub-documents (``("details", "user_id")``). In a child table it starts at the array's
    element, or at the whole document when ``from_parent`` is true.
    """

    name: str
    path: tuple[str, ...]
    type: ColumnType
    from_parent: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class ChildTable:
    """One row an element of the array at ``path``; ``_ordinal`` counts from 0."""

    table: str
    path: tuple[str, ...]
    columns: tuple[MappedColumn, ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class TypedCollection:
    """A collection that the mapping names: typed columns and child tables."""

    collection: str
    table: str
    columns: tuple[MappedColumn, ...]
    children: tuple[ChildTable, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    keep_bson: KeepBson = KeepBson.WHEN_NEEDED
    description: str = ""
    rules: Rules = NO_RULES


@dataclass(frozen=True, slots=True)
class DocumentCollection:
    """A collection without a mapping: its rows hold whole documents."""

    collection: str
    table: str
    keep_bson: KeepBson = KeepBson.WHEN_NEEDED
    rules: Rules = NO_RULES


CollectionMapping = TypedCollection | DocumentCollection


@dataclass(frozen=True, slots=True)
class Mapping:
    """A whole mapping file. Collections that it does not name become document tables."""

    collections: tuple[TypedCollection, ...] = ()
    keep_bson: KeepBson = KeepBson.WHEN_NEEDED
    """For document tables; a typed collection has its own."""
    document_rules: tuple[tuple[str, Rules], ...] = ()
    """Of collections that are document tables, by name; a typed collection has its own."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns of collections' names, see :class:`Selection`."""
    acknowledged: tuple[tuple[str, Path], ...] = ()
    """Fields that look personal and may cross as they are, by collection: only ``check`` asks."""

    @property
    def rules(self) -> dict[str, Rules]:
        """What of each collection's documents does not cross as it is."""
        found = dict(self.document_rules) | {each.collection: each.rules for each in self.collections}
        return {name: rules for name, rules in found.items() if rules}

    @property
    def selection(self) -> Selection:
        """Which collections cross."""
        return Selection(self.include, self.exclude, bool(self.include or self.exclude or self.rules))

    def document_collection(self, collection: str, table: str) -> DocumentCollection:
        """A collection without columns in this table, under the file's rules."""
        return DocumentCollection(
            collection, table, self.keep_bson, dict(self.document_rules).get(collection, NO_RULES)
        )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a replicated table, and what is said of it there."""

    name: str
    type: str
    comment: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A replicated table: every column in the order of a written row, and what is indexed."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...] = field(default=())
    comment: str = field(default="", compare=False)


_KEY = Column("_id", "text", descriptions.KEY)
_TAIL = (
    Column("_extra", "jsonb", descriptions.EXTRA),
    Column("_bson", "bytea", descriptions.BSON),
    Column("etl_valid_from", "timestamptz", descriptions.VALID_FROM),
)


def tables_of(mapping: CollectionMapping) -> tuple[TableSpec, ...]:
    """Return the tables of one collection, the parent first, then its children in the order of the mapping."""
    match mapping:
        case DocumentCollection():
            columns = (_KEY, Column("doc", "jsonb", descriptions.DOCUMENT), *_TAIL[1:])
            about = descriptions.collection(mapping.collection, (), "")
            return (TableSpec(mapping.table, columns, ("_id",), comment=about),)
        case TypedCollection():
            arrays = ((child.table, child.path) for child in mapping.children)
            about = descriptions.collection(mapping.collection, arrays, mapping.description)
            typed = (_KEY, *_columns(mapping.columns), *_TAIL)
            parent = TableSpec(mapping.table, typed, ("_id",), mapping.indexes, about)
            return (parent, *(_child_spec(child, mapping) for child in mapping.children))


def _child_spec(child: ChildTable, parent: TypedCollection) -> TableSpec:
    key = (_KEY, Column("_ordinal", "integer", descriptions.ORDINAL))
    about = descriptions.array(parent.collection, child.path, parent.table, child.description)
    columns = (*key, *_columns(child.columns), *_TAIL)
    return TableSpec(child.table, columns, ("_id", "_ordinal"), child.indexes, about)


def _columns(mapped: tuple[MappedColumn, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(
            each.name,
            each.type.value,
            descriptions.column(each.path, each.type.value, each.description, from_parent=each.from_parent),
        )
        for each in mapped
    )
