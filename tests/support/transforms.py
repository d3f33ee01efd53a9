"""Transforms in tests: run one on documents, and a plain interpreted one to compare with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bson
from bson.codec_options import DatetimeConversion
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument

from replicator_service.core.bson.marks import unmarked
from replicator_service.core.codec import CODEC_OPTIONS, encode_key, may_hold_lossy_types
from replicator_service.core.codec.columns import SCALARS
from replicator_service.core.codec.exact import decode_exact, source_id
from replicator_service.core.codec.extjson import json_text
from replicator_service.core.codec.key import is_digest
from replicator_service.core.mapping.model import (
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    KeepBson,
    MappedColumn,
)
from replicator_service.core.schema_findings import FindingKind, Path
from replicator_service.core.transform import Transform, compile_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.bson.declaration import Value

VALID_FROM = "2024-01-02 03:04:05+00"
Row = list[str | None]


def rows_of(mapping: CollectionMapping, raw: bytes) -> list[list[Row]]:
    """Transform one document, on the path that it needs, into cells by table; null is None."""
    transform = compile_transform(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    write(transform, raw, lines)
    return [[cells_of(line) for line in table] for table in lines]


def write(transform: Transform, raw: bytes, lines: Sequence[list[str]]) -> str:
    """Write a document as the pipeline does."""
    if may_hold_lossy_types(raw):
        return transform.write_exact(raw, VALID_FROM, lines)
    try:
        document = bson.decode(raw, CODEC_OPTIONS)
    except bson.errors.InvalidBSON:
        return transform.write_exact(raw, VALID_FROM, lines)
    return transform.write(document, lambda: raw, VALID_FROM, lines)


def cells_of(line: str) -> Row:
    """Read a line of COPY as PostgreSQL does."""
    assert "\n" not in line
    assert "\r" not in line
    return [None if cell == "\\N" else _unescaped(cell) for cell in line.split("\t")]


def _unescaped(cell: str) -> str:
    characters = iter(cell)
    letters = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
    return "".join(letters[next(characters)] if each == "\\" else each for each in characters)


@dataclass
class Reference:
    """The same mapping, interpreted value by value, with no thought of speed."""

    mapping: CollectionMapping
    replaced: bool = False
    found: Counter[tuple[FindingKind, Path]] = field(default_factory=Counter)
    """What was left over, by kind and path."""

    def rows(self, raw: bytes) -> list[list[Row]]:
        """Return the cells of one document by table."""
        decoded = decode_exact(raw)
        document = decoded.fields
        source = source_id(raw)
        key = encode_key(source)
        if isinstance(self.mapping, DocumentCollection):
            head: Row = [key, self._stored(json_text(document))]
            keep = self._keep(decoded.has_duplicates)
            return [[[*head, _bytea(raw) if keep else None, VALID_FROM]]]
        columns = self.mapping.columns
        arrays = tuple(child.path for child in self.mapping.children)
        cells = [self._stored(_cell(column, document)) for column in columns]
        # The key holds an _id that is not mapped.
        is_mapped = any(path[0] == "_id" for path in (*(column.path for column in columns), *arrays))
        fields = document if is_mapped else {name: value for name, value in document.items() if name != "_id"}
        extra = self._extra(columns, arrays, fields, ())
        if is_digest(key):
            extra["_id"] = document["_id"]
        children = []
        for child in self.mapping.children:
            values = _at(document, child.path)
            for column in child.columns:
                is_repeated = any((each.path, each.type) == (column.path, column.type) for each in columns)
                inherited = _at(document, column.path) if column.from_parent and not is_repeated else None
                if inherited is not None and _fitted(column.type, inherited) is None:
                    self.found[FindingKind.MISFIT, column.path] += 1
            items = values if isinstance(values, list) else []
            children.append(
                [self._child(child.columns, key, *item, document, raw, child.path) for item in enumerate(items)]
            )
        parent: Row = [key, *cells, self._stored(json_text(extra)) if extra else None]
        keep = self._keep(decoded.has_duplicates)
        return [[[*parent, _bytea(raw) if keep else None, VALID_FROM]], *children]

    def _child(
        self,
        columns: Sequence[MappedColumn],
        key: str,
        ordinal: int,
        item: Value,
        document: dict[str, Any],
        raw: bytes,
        path: tuple[str, ...],
    ) -> Row:
        before, self.replaced = self.replaced, False
        is_document = isinstance(item, dict)
        own = [column for column in columns if not column.from_parent]
        fields = item if is_document else {}
        row: Row = [key, str(ordinal)]
        row += [self._stored(_cell(column, document if column.from_parent else fields)) for column in columns]
        if not is_document:
            self.found[FindingKind.MISFIT, path] += 1
        extra = self._extra(own, (), fields, (), path) if is_document else item
        row.append(None if is_document and not extra else self._stored(json_text(extra)))
        row.append(_bytea(_element(raw, path, ordinal)) if self.replaced else None)
        self.replaced = self.replaced or before
        return [*row, VALID_FROM]

    def _extra(
        self,
        columns: Sequence[MappedColumn],
        arrays: Sequence[Path],
        document: dict[str, Any],
        above: Path,
        array: Path = (),
    ) -> dict[str, Any]:
        """Everything below ``above`` that is not taken: the rules of docs/reference/types.md, one by one."""
        extra: dict[str, Any] = {}
        for name, value in document.items():
            path = (*above, name)
            here = [column for column in columns if column.path == path]
            below = any(column.path[: len(path)] == path for column in columns) or any(
                array[: len(path)] == path for array in arrays
            )
            has_fields = any(each[: len(path)] == path and each != path for each in (*_paths(columns), *arrays))
            if here:
                for column in here:
                    if value is not None and _fitted(column.type, value) is None:
                        extra[name] = value
                        self.found[FindingKind.MISFIT, (*array, *path)] += 1
            elif not below:
                extra[name] = value
                self.found[FindingKind.NEW_FIELD, (*array, *path)] += 1
            elif value is None or (path in arrays and isinstance(value, list)):
                continue
            elif isinstance(value, dict) and has_fields:
                inner = self._extra(columns, arrays, value, path, array)
                if inner:
                    extra[name] = inner
            else:
                extra[name] = value
                self.found[FindingKind.MISFIT, (*array, *path)] += 1
        return extra

    def _stored(self, text: str | None) -> str | None:
        if text is None:
            return None
        stored = unmarked(text)
        self.replaced = self.replaced or stored != text
        return stored

    def _keep(self, has_duplicates: bool) -> bool:  # noqa: FBT001 - part of the question
        return self.replaced or has_duplicates or self.mapping.keep_bson is KeepBson.ALWAYS


def _paths(columns: Sequence[MappedColumn]) -> list[tuple[str, ...]]:
    return [column.path for column in columns]


def _at(document: Value, path: tuple[str, ...]) -> Value:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _cell(column: MappedColumn, document: dict[str, Any]) -> str | None:
    value = _at(document, column.path)
    return None if value is None else _fitted(column.type, value)


def _fitted(column_type: ColumnType, value: Value) -> str | None:
    element = column_type.element
    if element is None:
        return SCALARS[column_type](value)
    if not isinstance(value, list):
        return None
    items = []
    for item in value:
        text = "NULL" if item is None else SCALARS[element](item)
        if text is None:
            return None
        items.append(text if item is None else _quoted(text))
    return "{" + ",".join(items) + "}"


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\{each}" if each in '"\\' else each for each in text) + '"'


def _bytea(raw: bytes) -> str:
    return f"\\x{raw.hex()}"


def _element(raw: bytes, path: tuple[str, ...], ordinal: int) -> bytes:
    # Dates out of Python's range are data as well.
    options = DEFAULT_RAW_BSON_OPTIONS.with_options(datetime_conversion=DatetimeConversion.DATETIME_MS)
    value: Any = RawBSONDocument(raw, options)
    for name in path:
        value = value[name]
    item = value[ordinal]
    return bytes(item.raw) if isinstance(item, RawBSONDocument) else bson.encode({"": item})
