"""What commands print: text and tables for people, JSON for programs; results on standard output, errors beside it."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_JSON = "json"


def _remember(context: typer.Context, value: bool) -> bool:  # noqa: FBT001 - the signature of a callback
    context.meta[_JSON] = value or context.meta.get(_JSON, False)
    return value


Json = Annotated[bool, typer.Option("--json", callback=_remember, is_eager=True, help="Print JSON.")]
"""The option of every command. Errors are printed as JSON as well once it was given."""


def wants_json(context: typer.Context) -> bool:
    """Whether the command was asked for JSON."""
    return bool(context.meta.get(_JSON))


def print_json(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_json_line(value: object) -> None:
    """Print one JSON document in one line."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Print text as it is."""
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


def printable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same for a terminal: what would move its cursor, or change how it shows, is spelled out.

    Names of collections and messages come from servers, and so from anybody who may write there.
    """
    match value:
        case str():
            return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in value)
        case dict():
            return {printable(key): printable(each) for key, each in value.items()}
        case list():
            return [printable(each) for each in value]
        case _:
            return value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are flushed right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else _cell(str(cell)) for cell in row))
    console().print(table)


def _cell(text: str) -> Text:
    return Text("\n".join(printable(line) for line in text.split("\n")))


def console(*, stderr: bool = False) -> Console:
    """A console that neither guesses markup in other people's words nor cuts lines in a pipe.

    What the terminal's encoding lacks becomes a question mark: names of collections may be in any script.
    """
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = max(made.width, 160)
    return made


def as_fields(value: object, names: Sequence[str]) -> dict[str, Any]:
    """Some attributes of an object, by name."""
    return {name: getattr(value, name) for name in names}
