"""From changes to rows: what one write to PostgreSQL holds, and how it is made from documents.

A row group is the unit that is written at once and, when PostgreSQL refuses it, taken apart: :meth:`RowGroup.only`
encodes a part of its changes again, with what the group was made with, until the one document that is refused stands
alone. It asks nobody: whoever made the group may have forgotten the collection since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby
from operator import attrgetter, sub
from typing import TYPE_CHECKING, Self

from replicator_service.core.codec.document_id import id_bson
from replicator_service.core.codec.elements import id_document
from replicator_service.core.errors import RecordRejected
from replicator_service.core.events import Change, Operation
from replicator_service.core.lines import Lines
from replicator_service.core.position import wall_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.schema_findings import PathCount
    from replicator_service.core.transform import Transform


@dataclass(slots=True)
class Rows:
    """The rows of some documents of one collection.

    ``keys`` has one key per document, ``lines`` the rows by table, the parent first. ``ends`` has one list a child
    table: how many lines there are after each document, so the elements of one document are those between two ends.
    """

    keys: list[str]
    lines: list[Lines]
    ends: list[list[int]]

    @classmethod
    def none(cls, tables: int) -> Self:
        """No rows yet, for so many tables."""
        return cls([], [Lines() for _ in range(tables)], [[] for _ in range(tables - 1)])

    def elements(self, child: int) -> list[int]:
        """How many rows each document has in a child table, counted from 0, in the order of the keys."""
        ends = self.ends[child]
        return list(map(sub, ends, chain((0,), ends)))


@dataclass(slots=True)
class CollectionRows:
    """The rows of one collection in a row group, by what is known of them; all keys are distinct.

    Whatever they are, after the write the tables hold exactly these rows for these keys, and none for the deleted
    ones. ``inserted`` documents are most likely new, ``changed`` ones exist. ``read`` ones (a snapshot, a resync, a
    repair) are as they are in the source: rows that are the same already are not touched. ``loaded`` ones are read as
    well, and there is no row of any of them.
    """

    tables: tuple[TableSpec, ...]
    inserted: Rows
    changed: Rows
    read: Rows
    loaded: Rows
    deleted_keys: list[str] = field(default_factory=list)

    @classmethod
    def none(cls, tables: tuple[TableSpec, ...]) -> Self:
        """No rows yet."""
        number = len(tables)
        return cls(tables, Rows.none(number), Rows.none(number), Rows.none(number), Rows.none(number))


@dataclass(frozen=True, slots=True)
class Rejected:
    """A change that cannot be written, and why."""

    change: Change
    error: str

    def document(self) -> bytes:
        """The document as BSON; of a delete, its ``_id`` alone."""
        change = self.change
        if change.source is None:
            return id_document(id_bson(change.source_id))
        return change.source.raw(change.ordinal)


@dataclass(slots=True)
class RowGroup:
    """Rows of any number of collections, bounded in memory, with the changes and the transforms that they come from."""

    changes: Sequence[Change]
    transforms: dict[str, Transform] = field(default_factory=dict)
    collections: dict[str, CollectionRows] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    altered: int = 0
    """Values that did not fit their column or that PostgreSQL cannot hold as they are."""
    findings: list[PathCount] = field(default_factory=list)
    """What these documents and the mapping do not have in common."""
    is_retry: bool = False
    """Whether these are dead letters that somebody has asked to try again."""

    def only(self, changes: Sequence[Change]) -> RowGroup:
        """The group of some of these changes alone, encoded again; after a refusal no row counts as surely absent."""
        again = [
            each._replace(operation=Operation.READ) if each.operation is Operation.LOAD else each for each in changes
        ]
        return Encoder(self.transforms.__getitem__).encode(again, is_retry=self.is_retry)


class ValidFrom:
    """``etl_valid_from`` as text, remembered by the second: batches hold few of them."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, cluster_time: int) -> str:
        """The wall time of a cluster time in PostgreSQL's input form."""
        second = cluster_time >> 32
        if second != self._second:
            self._second = second
            self._text = wall_time(cluster_time).isoformat(sep=" ")
        return self._text


_COLLECTION = attrgetter("collection")


class Encoder:
    """Makes row groups. ``transform_of`` gives the compiled transform of a collection."""

    def __init__(self, transform_of: Callable[[str], Transform]) -> None:
        self._transform_of = transform_of
        self._valid_from = ValidFrom()

    def encode(self, changes: Sequence[Change], *, is_retry: bool = False) -> RowGroup:
        """Encode changes of distinct keys, each with its document unless it is a delete."""
        group = RowGroup(changes, is_retry=is_retry)
        for collection, changed in groupby(changes, _COLLECTION):
            transform = group.transforms.get(collection)
            if transform is None:
                transform = group.transforms[collection] = self._transform_of(collection)
                group.collections[collection] = CollectionRows.none(transform.tables)
            before = transform.altered
            rows = group.collections[collection]
            if transform.is_compiled:
                self._encode_compiled(list(changed), transform, rows, group.rejected)
            else:
                self._encode_collection(changed, transform, rows, group.rejected)
            group.altered += transform.altered - before
            group.findings += transform.take_findings()
        return group

    def _encode_compiled(
        self, changes: list[Change], transform: Transform, rows: CollectionRows, rejected: list[Rejected]
    ) -> None:
        """Runs of documents straight from their bytes, and one by one what the compiled path does not know."""
        position = 0
        while position < len(changes):
            change = changes[position]
            written = 0
            if change.operation is Operation.DELETE:
                rows.deleted_keys.append(change.key)
                written = 1
            elif change.source is not None and change.source.scan is not None:
                part = _part(rows, change.operation)
                valid_from = self._valid_from.text(change.cluster_time)
                written = transform.write_changes(
                    changes, position, change.source.scan, valid_from, part.keys, part.lines, part.ends
                )
            if not written:
                self._encode_collection((change,), transform, rows, rejected)
                written = 1
            position += written

    def _encode_collection(
        self, changes: Iterable[Change], transform: Transform, rows: CollectionRows, rejected: list[Rejected]
    ) -> None:
        """The hot path: nothing is looked up twice."""
        text, write = self._valid_from.text, transform.write
        previous, is_exact = None, True
        operation_before: Operation | None = None
        made: dict[int, _OneByOne] = {}
        keys, lines, children = _OneByOne(rows.changed).targets
        for change in changes:
            operation, source, ordinal = change.operation, change.source, change.ordinal
            if operation is Operation.DELETE:
                rows.deleted_keys.append(change.key)
                continue
            if source is None:
                rejected.append(Rejected(change, "the event carries no document"))
                continue
            if operation is not operation_before:
                operation_before = operation
                part = _part(rows, operation)
                if id(part) not in made:
                    made[id(part)] = _OneByOne(part)
                keys, lines, children = made[id(part)].targets
            valid_from = text(change.cluster_time)
            # What decoding loses is known once it is done.
            document = source.document(ordinal)
            if source is not previous:
                previous, is_exact = source, source.is_exact
            try:
                if is_exact or not source.needs_exact(ordinal):
                    keys.append(write(document, partial(source.raw, ordinal), valid_from, lines))
                else:
                    keys.append(transform.write_exact(source.raw(ordinal), valid_from, lines))
            except RecordRejected as error:
                rejected.append(Rejected(change, error.message))
                continue
            for ends, table in children:
                ends.append(len(table))
        for each in made.values():
            each.finish()


def _part(rows: CollectionRows, operation: Operation) -> Rows:
    if operation is Operation.INSERT:
        return rows.inserted
    if operation is Operation.LOAD:
        return rows.loaded
    return rows.read if operation is Operation.READ else rows.changed


class _OneByOne:
    """Rows that are made one by one, to be added to those of ``part``.

    ``targets``: keys, lines by table, and each child table's ends with its lines.
    """

    __slots__ = ("_ends", "_part", "targets")

    def __init__(self, part: Rows) -> None:
        lines: list[list[str]] = [[] for _ in part.lines]
        self._part = part
        self._ends: list[list[int]] = [[] for _ in part.ends]
        self.targets: tuple[list[str], list[list[str]], list[tuple[list[int], list[str]]]] = (
            part.keys,
            lines,
            list(zip(self._ends, lines[1:], strict=True)),
        )

    def finish(self) -> None:
        """Add the lines, and the ends, which are counted from the first of them."""
        part, lines = self._part, self.targets[1]
        for whole, some, of_table in zip(part.ends, self._ends, part.lines[1:], strict=True):
            whole.extend([of_table.count + end for end in some])
        for table, made in zip(part.lines, lines, strict=True):
            table.add_lines(made)
