"""From changes to rows: what one write to PostgreSQL holds, and how it is made from documents.

A row group is the unit that is written at once and, when PostgreSQL refuses it, taken apart: ``halves`` encodes each
half of its changes again until the one document that is refused stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from replicator_service.core.codec.document_id import id_bson
from replicator_service.core.errors import RecordRejected
from replicator_service.core.events import Change, Operation
from replicator_service.core.position import wall_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from replicator_service.core.mapping.model import TableSpec
    from replicator_service.core.transform import Transform


@dataclass(slots=True)
class CollectionRows:
    """The rows of one collection in a row group. Lists of lines are by table, the parent first.

    ``fresh`` rows belong to documents that were inserted (or read by a snapshot): their keys are deleted, then the
    lines are copied. ``changed`` rows belong to documents that exist: they are merged.
    """

    tables: tuple[TableSpec, ...]
    fresh: list[list[str]]
    changed: list[list[str]]
    fresh_keys: list[str] = field(default_factory=list)
    changed_keys: list[str] = field(default_factory=list)
    deleted_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A change that cannot be written, and why."""

    change: Change
    error: str

    def document(self) -> bytes:
        """The document as BSON; of a delete, its ``_id`` alone."""
        change = self.change
        if change.source is None:
            return id_bson(change.source_id)
        return change.source.raw(change.ordinal)


@dataclass(slots=True)
class RowGroup:
    """Rows of any number of collections, bounded in memory, with the changes that they come from."""

    changes: Sequence[Change]
    collections: dict[str, CollectionRows] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)


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

    def encode(self, changes: Sequence[Change]) -> RowGroup:
        """Encode changes of distinct keys, each with its document unless it is a delete."""
        group = RowGroup(changes)
        for collection, changed in groupby(changes, _COLLECTION):
            transform = self._transform_of(collection)
            rows = group.collections.get(collection)
            if rows is None:
                rows = group.collections[collection] = _empty(transform)
            self._encode_collection(changed, transform, rows, group.rejected)
        return group

    def _encode_collection(
        self, changes: Iterable[Change], transform: Transform, rows: CollectionRows, rejected: list[Rejected]
    ) -> None:
        """The hot path: nothing is looked up twice."""
        text, write = self._valid_from.text, transform.write
        previous, is_exact = None, True
        for change in changes:
            operation, source, ordinal = change.operation, change.source, change.ordinal
            if operation is Operation.DELETE:
                rows.deleted_keys.append(change.key)
                continue
            if source is None:
                rejected.append(Rejected(change, "the event carries no document"))
                continue
            if source is not previous:
                previous, is_exact = source, source.is_exact
            if operation is Operation.INSERT or operation is Operation.READ:
                lines, keys = rows.fresh, rows.fresh_keys
            else:
                lines, keys = rows.changed, rows.changed_keys
            valid_from = text(change.cluster_time)
            try:
                if is_exact or not source.needs_exact(ordinal):
                    keys.append(write(source.document(ordinal), partial(source.raw, ordinal), valid_from, lines))
                else:
                    keys.append(transform.write_exact(source.raw(ordinal), valid_from, lines))
            except RecordRejected as error:
                rejected.append(Rejected(change, error.message))


def _empty(transform: Transform) -> CollectionRows:
    tables = transform.tables
    return CollectionRows(tables, [[] for _ in tables], [[] for _ in tables])
