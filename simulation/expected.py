"""What documents become: rows as the model of PostgreSQL holds them, made by the service's own transforms."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import bson

from replicator_service.core.codec import CODEC_OPTIONS
from replicator_service.core.transform import Transform, compile_transform
from simulation.postgres.rows import row_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from replicator_service.core.mapping.model import CollectionMapping
    from simulation.mongo.history import Documents

Rows = dict[tuple[str, "Hashable"], str]
"""Values by table and key of row."""


@lru_cache(maxsize=1_000)
def transform_of(mapping: CollectionMapping) -> Transform:
    """The compiled transform of a mapping."""
    return compile_transform(mapping)


@lru_cache(maxsize=100_000)
def document_rows(mapping: CollectionMapping, raw: bytes) -> tuple[str, Rows]:
    """The key and the rows of one document."""
    transform = transform_of(mapping)
    lines: list[list[str]] = [[] for _ in transform.tables]
    key = transform.write(bson.decode(raw, CODEC_OPTIONS), lambda: raw, "", lines)
    rows: Rows = {}
    for table, made in zip(transform.tables, lines, strict=True):
        is_child = len(table.primary_key) > 1
        for line in made:
            row_key, (values, _) = row_of(line, is_child=is_child)
            rows[table.name, row_key] = values
    return key, rows


def collection_rows(mapping: CollectionMapping, documents: Documents) -> Rows:
    """The rows of all documents of a collection."""
    rows: Rows = {}
    for each in documents.values():
        rows |= document_rows(mapping, each.bson)[1]
    return rows
