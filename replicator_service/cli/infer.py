"""``mapping infer``: writes a mapping file for a database that nobody has described yet."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from replicator_service.app.inference import Inferred, infer
from replicator_service.cli.addresses import From  # noqa: TC001 - read when the command is made
from replicator_service.cli.output import Json, console, print_json, print_table, print_text, wants_json
from replicator_service.configuration.settings import load_settings
from replicator_service.core.errors import ConfigurationError
from replicator_service.source.read.sampling import Bounds

if TYPE_CHECKING:
    from types import TracebackType

    from replicator_service.core.mapping.inference import ProposedCollection

DEFAULT_SAMPLE = 10_000

Collections = Annotated[
    list[str] | None, typer.Option("--collection", "-c", help="Only this collection; may be given again.")
]
Documents = Annotated[
    int, typer.Option("--sample", "-n", min=1, max=1_000_000, help="Documents to read of each collection, at most.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to write; standard output without.", metavar="FILE")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


def infer_command(
    context: typer.Context,
    collection: Collections = None,
    sample: Documents = DEFAULT_SAMPLE,
    output: Output = None,
    _from: From = None,
    *,
    force: Force = False,
    json: Json = False,  # noqa: ARG001 - read from the context
) -> None:
    """Sample the MongoDB database and write a commented mapping for it: types, nullability, child tables."""
    # PostgreSQL is not asked, so its address need not be set yet.
    settings = load_settings(postgres_dsn="")
    if output is not None:
        _check_writable(output, force=force)
    with Bar() as bar:
        inferred = infer(
            settings,
            collections=collection or (),
            bounds=Bounds(sample),
            command=_command(collection or [], sample),
            progress=bar,
            clock=time.monotonic,
        )
    if output is not None:
        _write(output, inferred.text, force=force)
    if wants_json(context):
        print_json(report(inferred, output))
    elif output is None:
        print_text(inferred.text)
    else:
        show(inferred, output)


class Bar:
    """One bar for all documents, on standard error, when that is a terminal."""

    def __init__(self) -> None:
        out = console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def planned(self, documents: int) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task("", total=documents or None)

    def advanced(self, collection: str) -> None:
        """Move the bar, and say where it is."""
        if self._task is not None:
            self._bar.update(self._task, advance=1, description=collection)


def report(inferred: Inferred, output: Path | None) -> dict[str, Any]:
    """The proposal as JSON; the mapping itself unless it was written to a file."""
    proposal = inferred.proposal
    return {
        "output": None if output is None else str(output),
        "documents_sampled": proposal.documents,
        "collections": {
            proposed.collection: {
                "documents": proposed.documents,
                "sampled": proposed.table.rows,
                "tables": {table.name: len(table.columns) for table in (proposed.table, *proposed.children)},
            }
            for proposed in proposal.collections
        },
        "document_tables": {each.collection: each.reason for each in proposal.document_tables},
        "not_replicable": {each.collection: each.reason for each in proposal.not_replicable},
        "mapping": inferred.text if output is None else None,
    }


def show(inferred: Inferred, output: Path) -> None:
    """What was written, for people, and what comes next."""
    proposal = inferred.proposal
    rows = [_row(proposed) for proposed in proposal.collections]
    rows += [(each.collection, "", "", "", f"document table: {each.reason}") for each in proposal.document_tables]
    rows += [(each.collection, "", "", "", f"not replicated: {each.reason}") for each in proposal.not_replicable]
    numbers = ("documents", "sampled", "columns")
    print_table(("collection", *numbers, "tables"), rows, right=numbers)
    file = shlex.quote(str(output))
    print_text(f"\nwrote {output}; look it over, then:\n")
    print_text(f"  replicator mapping check {file}")
    print_text(f"  REPLICATOR_MAPPING={file} replicator run")


def _row(proposed: ProposedCollection) -> tuple[str, str, str, str, str]:
    tables = (proposed.table, *proposed.children)
    columns = sum(len(table.columns) for table in tables)
    names = ", ".join(table.name for table in tables)
    return proposed.collection, f"{proposed.documents:,}", f"{proposed.table.rows:,}", f"{columns:,}", names


def _command(collections: list[str], sample: int) -> str:
    """The command as somebody else would give it; where the file went is their own affair."""
    words = ["replicator", "mapping", "infer"]
    for name in collections:
        words += ["--collection", name]
    if sample != DEFAULT_SAMPLE:
        words += ["--sample", str(sample)]
    return shlex.join(words)


def _check_writable(output: Path, *, force: bool) -> None:
    """Refuse before anything is read."""
    if output.is_dir():
        raise ConfigurationError(f"{output} is a directory", hint="Name a file in it.")
    if not output.parent.is_dir():
        raise ConfigurationError(f"the directory {output.parent} does not exist", hint="Create it, or name another.")
    if output.exists() and not force:
        raise ConfigurationError(f"the file {output} exists", hint="Name another one, or overwrite it with --force.")


def _write(output: Path, text: str, *, force: bool) -> None:
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"the file {output} cannot be written: {error.strerror}", hint="Check its directory and permissions."
        ) from None
