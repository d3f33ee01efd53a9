"""Everything that the demo shows. Colours and moving lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devstack.demo.comparison import Comparison, TableComparison

_WIDTH_WITHOUT_TERMINAL = 110


class Screen:
    """The demo's view of the terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)

    def opening(self) -> None:
        """The first words."""
        self._console.print()
        self._console.print(
            "[bold]MongoDB → PostgreSQL replication[/bold]  a real replica set, a real PostgreSQL, a shop in between"
        )
        self._console.print()

    @contextmanager
    def step(self, title: str, about: str = "") -> Iterator[StepLine]:
        """One step: a spinner while it lasts, then a line with what it did and how long it took.

        ``about`` says beforehand what it takes; without a terminal in a line of its own.
        """
        line = StepLine()
        began = time.monotonic()
        expected = f" [dim](about {escape(about)})[/dim]" if about else ""
        if not self._console.is_terminal:
            self._console.print(f"… {title}{expected}")
        with self._console.status(f"{title} …{expected}"):
            yield line
        seconds = time.monotonic() - began
        self._console.print(
            f"[green]✓[/green] [bold]{title}[/bold]  {escape(line.told)}  [dim]{seconds:.1f} s[/dim]", soft_wrap=True
        )

    @contextmanager
    def bars(self) -> Iterator[Progress]:
        """Progress bars, which vanish when they are done."""
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            console=self._console,
            transient=True,
        )
        with progress:
            yield progress

    def proof(self, comparison: Comparison) -> None:
        """Every table with its counts and differences."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("MongoDB collection")
        table.add_column("documents", justify="right")
        table.add_column("PostgreSQL table")
        table.add_column("rows", justify="right")
        table.add_column("differences", justify="right")
        for each in comparison.tables:
            table.add_row(*_cells(each))
        self._console.print(table)

    def samples(self, title: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A few rows of a wide table, each as a column."""
        table = Table(box=box.SIMPLE, show_header=False, pad_edge=False, title=title, title_justify="left")
        for name, *values in zip(names, *rows, strict=True):
            table.add_row(f"[dim]{escape(name)}[/dim]", *(_value(value) for value in values))
        self._console.print(table)

    def verdict(self, text: str, *, good: bool) -> None:
        """One sentence that matters."""
        self._console.print(Text(f"{'✓' if good else '✗'} {text}", style="bold green" if good else "bold red"))

    def addresses(self, addresses: dict[str, str]) -> None:
        """Where to look on."""
        table = Table.grid(padding=(0, 2))
        for name, address in addresses.items():
            # Not wrapped: an address in two lines cannot be copied.
            table.add_row(Text(name, style="bold"), Text(address, no_wrap=True, overflow="ignore"))
        self._console.print()
        self._console.print(Panel(table, title="Look around", title_align="left", box=box.ROUNDED, expand=False))

    @contextmanager
    def status_line(self) -> Iterator[StatusLine]:
        """One line at the bottom that is refreshed."""
        with Live(console=self._console, refresh_per_second=4, transient=True) as live:
            yield StatusLine(live)

    def said(self, text: str) -> None:
        """A line among others."""
        self._console.print(escape(text))

    def failed(self, message: str, hint: str) -> None:
        """What went wrong and the way out."""
        self._console.print(Text(f"✗ {message}", style="bold red"))
        if hint:
            self._console.print(Text(hint))


class StepLine:
    """What a step says it did."""

    def __init__(self) -> None:
        self.told = ""

    def tell(self, text: str) -> None:
        """Set it."""
        self.told = text


class StatusLine:
    """The line at the bottom."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, text: str) -> None:
        """Replace it; ``text`` may hold markup."""
        self._live.update(_in_one_line(text))


def _in_one_line(text: str) -> Text:
    line = Text.from_markup(text, overflow="ellipsis")
    line.no_wrap = True
    return line


def _value(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case Decimal():
            return f"{value:.2f}"
        case _:
            return escape(str(value))


def _cells(table: TableComparison) -> tuple[str, str, str, str, str]:
    differences = "[green]0[/green]"
    if table.differences:
        differences = f"[red]{table.missing} missing, {table.unexpected} unexpected, {table.different} different[/red]"
    if table.is_child:
        name, expected = "  [dim]its array elements[/dim]", f"[dim]{table.expected:,}[/dim]"
    else:
        name, expected = escape(table.collection), f"{table.expected:,}"
    indent = "  " if table.is_child else ""
    return name, expected, indent + escape(table.table), f"{table.rows:,}", differences
