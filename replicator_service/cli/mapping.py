"""``mapping``: write a mapping file, check it, and show the tables that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from replicator_service.cli.drift import drift_command
from replicator_service.cli.infer import infer_command
from replicator_service.cli.output import Json, print_json, print_text, wants_json
from replicator_service.configuration.mapping_file import read_mapping, schema_text
from replicator_service.configuration.settings import partial_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.core.mapping.ddl import render_ddl
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.mapping.problems import MappingError
from replicator_service.core.mapping.rule_paths import unmentioned_paths
from replicator_service.core.naming import schema_name
from replicator_service.core.words import counted

mapping_app = typer.Typer(help="Write a mapping file, check it, and show its tables.", no_args_is_help=True)

mapping_app.command("infer")(infer_command)
mapping_app.command("drift")(drift_command)

File = Annotated[
    Path,
    typer.Argument(envvar="REPLICATOR_MAPPING", help="The mapping file (YAML).", metavar="FILE"),
]


@mapping_app.command("check")
def check_command(context: typer.Context, file: File, *, json: Json = False) -> None:  # noqa: ARG001 - json is read from the context
    """Report everything that is wrong in the file, with line and path, and rules that look misspelled."""
    try:
        mapping = read_mapping(file)
    except MappingError as error:
        if not wants_json(context):
            raise
        problems = [
            {"line": each.line, "column": each.column, "path": each.path, "message": each.message, "fix": each.fix}
            for each in error.problems
        ]
        print_json({"ok": False, "problems": problems})
        raise typer.Exit(ConfigurationError.exit_code) from None
    tables = {typed.collection: [spec.name for spec in tables_of(typed)] for typed in mapping.collections}
    doubtful = unmentioned_paths(mapping)
    warnings = [str(each) for each in doubtful if each.meant is not None]
    if wants_json(context):
        print_json({"ok": True, "problems": [], "warnings": warnings, "collections": tables})
        return
    named = counted(len(tables), "collection")
    print_text(f"{file}: {named}, {counted(sum(map(len, tables.values())), 'table')}, no problems")
    for each in warnings:
        print_text(f"warning: {each}")
    unknown = len(doubtful) - len(warnings)
    if unknown:
        print_text(
            f"{counted(unknown, 'path')} of rules no column mentions: 'replicator check' looks for them in documents"
        )


@mapping_app.command("ddl")
def ddl_command(
    context: typer.Context,
    file: File,
    database: Annotated[
        str | None, typer.Option("--database", help="The MongoDB database. Default: that of the settings.")
    ] = None,
    *,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Print the SQL that creates the tables; the service does this by itself."""
    schema = schema_name(database or _database())
    ddl = render_ddl(schema, read_mapping(file))
    if wants_json(context):
        print_json({"schema": schema, "ddl": ddl})
    else:
        print_text(ddl)


@mapping_app.command("schema")
def schema_command(*, json: Json = False) -> None:  # noqa: ARG001 - it is JSON in any case
    """Print the JSON Schema of mapping files, with which editors complete and check them."""
    print_text(schema_text().rstrip("\n"))


def _database() -> str:
    database = partial_settings()[0].values.get("mongo_database")
    if not database:
        raise ConfigurationError(
            "the schema is called as the database, and none is named",
            hint="Give --database NAME, or set REPLICATOR_MONGO_DATABASE.",
        )
    return str(database)
