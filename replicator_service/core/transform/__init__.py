"""Documents into rows: each collection's mapping is compiled once into one function.

A row is a line of PostgreSQL's COPY text format without its newline. Threads may share a :class:`Transform`.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bson.objectid import ObjectId

from replicator_service.core.bson.dates import DAYS, MILLISECONDS, MINUTES, SECONDS
from replicator_service.core.bson.marks import AMBIGUOUS
from replicator_service.core.codec.cells import cell_of, json_cell
from replicator_service.core.codec.copy_text import NULL, altered_cells, escape, keep_original
from replicator_service.core.codec.elements import element_document
from replicator_service.core.codec.exact import decode_exact, source_id
from replicator_service.core.codec.extjson import InexactValue
from replicator_service.core.codec.key import DIGEST, encode_key
from replicator_service.core.compiled import native
from replicator_service.core.errors import RecordRejected
from replicator_service.core.mapping.model import (
    CollectionMapping,
    ColumnType,
    DocumentCollection,
    KeepBson,
    TableSpec,
    TypedCollection,
    tables_of,
)
from replicator_service.core.transform.leftovers import Left, Leftovers, NewFields
from replicator_service.core.transform.program import program_of
from replicator_service.core.transform.source import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType
    from typing import Protocol

    from replicator_service.core.compiled import Program, Scan
    from replicator_service.core.events import Change
    from replicator_service.core.lines import Lines
    from replicator_service.core.schema_findings import Path, PathCount

    Document = dict[str, Any]
    Raw = Callable[[], bytes]
    TableLines = Sequence[list[str]]

    class Rows(Protocol):
        """The compiled function of one collection. With ``key`` given, the document was decoded exactly."""

        def __call__(
            self,
            document: Document,
            raw: Raw,
            valid_from: str,
            lines: TableLines,
            leftovers: Leftovers,
            key: str | None = None,
            keep: bool = False,  # noqa: FBT001, FBT002 - positional in the hot path
        ) -> str:
            """Append the rows of one document and return its key."""
            ...


class Transform:
    """One collection's documents into lines of its tables.

    ``tables`` are in the order of the lists of lines. Either all rows of a document are appended or none: a
    document that cannot be transformed raises :class:`RecordRejected`.
    """

    __slots__ = ("_leftovers", "_program", "_rows", "tables")

    def __init__(
        self, collection: str, tables: tuple[TableSpec, ...], rows: Rows, program: Program | None = None
    ) -> None:
        self.tables = tables
        self._program = program
        self._rows = rows
        self._leftovers = Leftovers(collection)

    @property
    def altered(self) -> int:
        """How many values so far went to ``_extra`` because they did not fit, or had a character replaced."""
        return self._leftovers.altered

    def take_findings(self) -> tuple[PathCount, ...]:
        """Return what did not fit, and the fields that no column took, since the last call; the count begins again.

        Each value is counted when its document has been written by :meth:`write` or :meth:`write_exact`, and given
        once. Any thread may ask: who asks after each group that it has encoded, on the thread that encoded it, has
        the findings of that group. A document that raised has not been counted. Costs nothing when nothing was left.
        """
        return self._leftovers.take()

    @property
    def is_compiled(self) -> bool:
        """Whether :meth:`write_changes` and :meth:`write_ordinals` write anything."""
        return self._program is not None

    def write_changes(
        self,
        changes: list[Change],
        start: int,
        scan: Scan,
        valid_from: str,
        keys: list[str],
        lines: Sequence[Lines],
        ends: list[list[int]],
    ) -> int:
        """Append the rows of changes from ``start`` on straight from their bytes, and give how many there were.

        They have one source, operation and second; ``ends`` gets the ends of their child rows. It stops after some, and
        before one that only :meth:`write` can write: 0 means that this is the next one.
        """
        if self._program is None:
            return 0
        return self._program.write_changes(changes, start, scan, valid_from, keys, lines, ends, self._leftovers)

    def write_ordinals(
        self, ordinals: Sequence[int], start: int, scan: Scan, valid_from: str, lines: Sequence[Lines]
    ) -> int:
        """The same for documents of a reply by their ordinals, from ``start`` on."""
        if self._program is None:
            return 0
        ends: list[list[int]] = [[] for _ in self.tables[1:]]
        return self._program.write_ordinals(ordinals, start, scan, valid_from, [], lines, ends, self._leftovers)

    def write(self, document: Document, raw: Raw, valid_from: str, lines: TableLines) -> str:
        """Append the rows of a decoded document and return its key.

        ``raw`` gives the document's BSON; it is called only when that is kept or decoded again.
        ``valid_from`` is PostgreSQL's input for ``etl_valid_from``. A document that may hold types of which
        the driver loses something (:func:`may_hold_lossy_types`) has to go to :meth:`write_exact` instead.
        """
        try:
            return self._rows(document, raw, valid_from, lines, self._leftovers)
        except InexactValue:
            return self.write_exact(raw(), valid_from, lines)
        except Exception as error:  # noqa: BLE001 - no document may cost another one, whatever is in it
            raise _rejected(error) from None

    def write_exact(self, raw: bytes, valid_from: str, lines: TableLines) -> str:
        """Append the rows of a document that is decoded here, slowly, from its bytes, and return its key."""
        try:
            document = decode_exact(raw)
            key = encode_key(source_id(raw))
            keep = document.has_duplicates
            return self._rows(document.fields, lambda: raw, valid_from, lines, self._leftovers, key, keep)
        except Exception as error:  # noqa: BLE001 - no document may cost another one, whatever is in it
            raise _rejected(error) from None


def compile_transform(mapping: CollectionMapping) -> Transform:
    """Compile a mapping. Costs milliseconds; the result is kept as long as the mapping holds."""
    rows = _document_rows(mapping) if isinstance(mapping, DocumentCollection) else _typed_rows(mapping)
    compiled = native()
    program = None if compiled is None else compiled.program(program_of(mapping))
    return Transform(mapping.collection, tables_of(mapping), rows, program)


def _rejected(error: Exception) -> Exception:
    if isinstance(error, MemoryError):
        return error
    # The message of the original error may hold values, so only its class is told.
    return RecordRejected(
        f"the document cannot be transformed ({type(error).__name__})",
        hint="Look at the document with `replicator dead-letters show`; it is kept as BSON.",
    )


def _document_rows(mapping: DocumentCollection) -> Rows:
    always = mapping.keep_bson is KeepBson.ALWAYS

    def rows(
        document: Document,
        raw: Raw,
        valid_from: str,
        lines: TableLines,
        leftovers: Leftovers,
        key: str | None = None,
        keep: bool = always,  # noqa: FBT001 - positional in the hot path
    ) -> str:
        if key is None:
            key = encode_key(document["_id"])
        line = f"{escape(key)}\t{json_cell(document)}\t{NULL}\t{valid_from}"
        if keep or always or "\0" in line or AMBIGUOUS in line:
            leftovers.add([altered_cells(line)])
            line = keep_original(line, raw())
        lines[0].append(line)
        return key

    return rows


def _typed_rows(mapping: TypedCollection) -> Rows:
    namespace = dict(_NAMESPACE)
    exec(_code_of(mapping), namespace)  # noqa: S102 - our own source; the mapping enters it only as literals
    rows: Rows = namespace["rows"]
    return rows


@lru_cache(maxsize=1_000)
def _code_of(mapping: TypedCollection) -> CodeType:
    """Compiling costs milliseconds, and every term begins with the same mapping."""
    return compile(source_of(mapping), f"<transform of {mapping.table}>", "exec")


def _put(extra: Document | None, name: str, value: object) -> Document:
    if extra is None:
        return {name: value}
    extra[name] = value
    return extra


def _rest(document: Document, known: frozenset[str]) -> Document:
    return {name: value for name, value in document.items() if name not in known}


def _note(left: Left | None, what: int | Path | NewFields) -> Left:
    if left is None:
        return [what]
    left.append(what)
    return left


_NAMESPACE: dict[str, Any] = {
    "AMBIGUOUS": AMBIGUOUS,
    "DAYS": DAYS,
    "DIGEST": DIGEST,
    "EMPTY": {},
    "MILLISECONDS": MILLISECONDS,
    "MINUTES": MINUTES,
    "NULL": NULL,
    "ObjectId": ObjectId,
    "SECONDS": SECONDS,
    "altered_cells": altered_cells,
    "datetime": datetime,
    "element_document": element_document,
    "encode_key": encode_key,
    "escape": escape,
    "json_cell": json_cell,
    "keep_original": keep_original,
    "note": _note,
    "put": _put,
    "rest": _rest,
    **{f"cell_{each.name.lower()}": cell_of(each) for each in ColumnType},
}
