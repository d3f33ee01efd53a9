"""What commands print: text, tables and records for people, JSON for programs.

Results go to standard output, errors and warnings beside it.

Both programs print through it. What is printed is data: nothing in it is markup, and no colons become pictures.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replicator_service.core.times import time_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.text import Text

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
    """Print one JSON document, see :func:`json_text`."""
    sys.stdout.write(json_text(value, indent=2) + "\n")
    sys.stdout.flush()


def print_json_line(value: object) -> None:
    """Print one JSON document in one line."""
    sys.stdout.write(json_text(value) + "\n")
    sys.stdout.flush()


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return JSON that any program reads back as it was: a Decimal has all its digits, what is not finite is a text.

    Characters that a terminal would obey, or that its encoding lacks, are escaped, which means the same to programs.
    """
    numbers: list[str] = []
    text = json.dumps(_encodable(value, numbers), indent=indent, ensure_ascii=False, default=str)
    if numbers:
        parts = iter(numbers)
        text = _NUMBER.sub(lambda _: next(parts), text)
    can_show = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return _UNUSUAL.sub(lambda found: found[0] if can_show and found[0].isprintable() else _escaped(found[0]), text)


_UNUSUAL = re.compile(r"[^ -~\n]")
_MARK = "\ud800number"
_NUMBER = re.compile(f'"{_MARK}"')
"""Where an exact number goes: a lone surrogate, which no value can hold that comes from a server."""


def _encodable(value: object, numbers: list[str]) -> object:
    match value:
        case Decimal() if value.is_finite():
            numbers.append(format(value, "f"))
            return _MARK
        case Decimal():
            return str(value)
        case float() if not math.isfinite(value):
            return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        case datetime() if value.tzinfo is not None:
            return time_text(value)
        case dict():
            return {key: _encodable(each, numbers) for key, each in value.items()}
        case list() | tuple():
            return [_encodable(each, numbers) for each in value]
        case _:
            return value


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


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


def printable_lines(text: str) -> str:
    """Text for a terminal, with its ends of lines."""
    return "\n".join(str(printable(line)) for line in text.split("\n"))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are flushed right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else _cell(str(cell)) for cell in row))
    console().print(table)


def print_records(records: Iterable[tuple[str, Sequence[tuple[str, object]]]]) -> None:
    """Print each record as a title and a line per field, so that many fields fit a narrow terminal."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    for title, fields in records:
        out.print(Text(str(printable(title)), "bold"), soft_wrap=True)
        grid = Table.grid(padding=(0, 2, 0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in fields:
            grid.add_row(Text(str(printable(name)), "dim"), _cell(str(value)))
        out.print(grid)


def print_warning(text: str) -> None:
    """Print a warning beside the results."""
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text.assemble(("warning: ", "yellow"), str(printable(text))), soft_wrap=True)


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text("\n".join(printable(line) for line in text.split("\n")))


def console(*, stderr: bool = False) -> Console:
    """A console that neither guesses markup in other people's words nor cuts lines in a pipe.

    What the terminal's encoding lacks becomes a question mark: names of collections may be in any script.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        made.width = max(made.width, 160)
    return made
