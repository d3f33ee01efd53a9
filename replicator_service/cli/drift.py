"""``mapping drift``: what the mapping does not know of the documents, as lines to add."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from replicator_service.app.drift import drift
from replicator_service.cli.database import control_tables, known_collection
from replicator_service.cli.output import Json, print_json, print_table, print_text, wants_json
from replicator_service.configuration.mapping_file import read_mapping
from replicator_service.configuration.settings import load_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.inference.drift import Drift, render
from replicator_service.core.naming import schema_name
from replicator_service.core.times import time_text
from replicator_service.sink.control import schema_findings

File = Annotated[Path | None, typer.Argument(help="The mapping file (YAML).", envvar="REPLICATOR_MAPPING")]
Collections = Annotated[
    list[str] | None, typer.Option("--collection", "-c", help="Only this collection; may be given again.")
]
Values = Annotated[int, typer.Option("--sample", "-n", min=1, max=1_000_000, help="Values to read of each field.")]
Forget = Annotated[bool, typer.Option("--forget", help="Forget what was found: from now on it is counted anew.")]


def drift_command(
    context: typer.Context,
    file: File = None,
    collection: Collections = None,
    sample: Values = 1_000,
    *,
    forget: Forget = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Print the lines that the mapping needs for fields that no column takes and values that do not fit."""
    settings = load_settings()
    if file is None:
        raise ConfigurationError(
            "there is no mapping file, so nothing can drift: document tables take everything",
            hint="Name the file, or set REPLICATOR_MAPPING. 'replicator mapping infer' writes a first one.",
        )
    mapped = read_mapping(file).collections
    stream = settings.mongo_database
    with control_tables(settings) as connection:
        if collection:
            names = {known_collection(connection, stream, name) for name in collection}
            mapped = tuple(typed for typed in mapped if typed.collection in names)
        found = drift(connection, stream, schema_name(settings.mongo_database), mapped, sample=sample)
        if forget:
            for typed in mapped:
                schema_findings.forget(connection, stream, typed.collection)
    if wants_json(context):
        print_json(report(found, is_forgotten=forget))
    elif found:
        show(found, is_forgotten=forget)
    else:
        print_text("nothing: every field has a column, and every value fits")


def report(drifts: list[Drift], *, is_forgotten: bool) -> dict[str, Any]:
    """The findings and their answers as JSON; ``mapping`` is a mapping file of the lines alone."""
    return {
        "forgotten": is_forgotten,
        "collections": {
            each.collection: {
                "findings": [
                    {
                        "path": finding.path,
                        "kind": finding.kind.value,
                        "count": finding.count,
                        "first_seen": time_text(finding.first_seen),
                        "last_seen": time_text(finding.last_seen),
                    }
                    for finding in each.findings
                ],
                "lines": [
                    {
                        "children": list(line.array) or None,
                        "column": line.column.name,
                        "path": list(line.column.path),
                        "type": line.column.type.value,
                        "replaces": None if line.replaces is None else line.replaces.type.value,
                        "yaml": line.text,
                        "why": line.why,
                    }
                    for line in each.lines
                ],
                "remarks": list(each.remarks),
            }
            for each in drifts
        },
        "mapping": render(drifts),
    }


def show(drifts: list[Drift], *, is_forgotten: bool) -> None:
    """The findings as a table, and below it the lines."""
    rows = [
        (each.collection, finding.path, finding.kind.value, f"{finding.count:,}", time_text(finding.last_seen))
        for each in drifts
        for finding in each.findings
    ]
    print_table(("collection", "path", "kind", "count", "last seen"), rows, right=("count",))
    print_text("")
    print_text(render(drifts))
    if is_forgotten:
        print_text("forgotten: from now on these are counted anew")
