"""``replicator mapping drift``: what documents and mapping do not have in common, and the lines that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from replicator_service.core.mapping.inference.drift import Drift, drift_of, is_column, shape_of, table_of
from replicator_service.core.schema_findings import FindingKind, path_of
from replicator_service.sink.control import schema_findings
from replicator_service.sink.control.checkpoint import read_checkpoint
from replicator_service.sink.overview.leftover_values import leftover_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replicator_service.core.mapping.inference.shape import Shape
    from replicator_service.core.mapping.model import TypedCollection
    from replicator_service.core.schema_findings import SchemaFinding
    from replicator_service.sink.connect.connection import Connection


def drift(
    connection: Connection, stream: str, schema: str, mapped: Sequence[TypedCollection], *, sample: int
) -> list[Drift]:
    """Answer the findings of these collections, after a look for columns that nothing fills any more.

    Reads up to ``sample`` values of each path from ``_extra``; stores nothing but what is gone.
    """
    checkpoint = read_checkpoint(connection, stream)
    drifts = []
    for typed in mapped:
        if checkpoint is not None and checkpoint.position is not None:
            schema_findings.look_for_gone(connection, stream, schema, typed, checkpoint.position.cluster_time)
        findings = schema_findings.list_findings(connection, stream, typed.collection)
        shapes = {
            each.path: shape
            for each in findings
            if (shape := _shape(connection, schema, typed, each, sample)) is not None
        }
        if findings:
            drifts.append(drift_of(typed, findings, shapes))
    return drifts


def _shape(
    connection: Connection, schema: str, typed: TypedCollection, finding: SchemaFinding, sample: int
) -> Shape | None:
    path = path_of(finding.path)
    # Where a sub-document is expected, _extra has what is left of those as well: no column type answers such a misfit.
    is_answered = finding.kind is FindingKind.NEW_FIELD or (path is not None and is_column(typed, path))
    if path is None or finding.kind is FindingKind.GONE or not is_answered:
        return None
    table = table_of(typed, path)
    name = next((child.table for child in typed.children if child.path == table.array), typed.table)
    inside = path[len(table.array) :]
    return shape_of(inside, leftover_values(connection, schema, name, inside, sample))
