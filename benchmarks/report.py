"""The rows as tables for a terminal, and as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.results import Results, Row

_COLOURS = {"goal met": "green", "must met": "yellow", "not met": "red"}


def rows_table(results: Results) -> Table:
    """Every row, by section: medians, and what lies between the lowest and the highest round."""
    table = Table(box=box.SIMPLE_HEAD, title="Measured in this run, medians of its rounds", title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("range", justify="right", style="dim", no_wrap=True)
    for header in ("µs service", "µs mongod", "µs PostgreSQL"):
        table.add_column(header, justify="right", style="dim", no_wrap=True)
    table.add_column("path", style="dim", no_wrap=True)
    section = ""
    for each in results:
        if each.section != section:
            section = each.section
            table.add_section()
            table.add_row(f"[bold]{section}[/bold]")
        costs = [number(cost) for cost in each.cost] or ["", "", ""]
        table.add_row(f"  {each.name}", number(each.value), each.unit, spread(each), *costs, path(each.note))
    return table


def verdicts_table(results: Results) -> Table:
    """The rows that have bounds."""
    table = Table(box=box.SIMPLE_HEAD, title="Against the design", title_justify="left")
    for header in ("what", "value", "range", "must", "goal", ""):
        table.add_column(header, justify="left" if header in ("what", "") else "right", no_wrap=True)
    for each in results:
        if each.bounds is not None:
            sign = "≤" if each.bounds.at_most else "≥"
            bounds = (f"{sign} {bound:g}" for bound in (each.bounds.must, each.bounds.goal))
            told = f"{number(each.value)} {each.unit}".strip()
            verdict = f"[{_COLOURS[each.verdict]}]{each.verdict}[/]"
            table.add_row(f"{each.section}: {each.name}", told, spread(each), *bounds, verdict)
    return table


def as_plain(results: Results, about: dict[str, Any]) -> dict[str, Any]:
    """The rows as JSON values; ``about`` says of what run they are."""
    return {**about, "left_out": results.left_out, "rows": [_plain(each) for each in results]}


def number(value: float) -> str:
    """A number as one reads it in a table."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(row: Row) -> str:
    """The lowest and the highest value, of more than one round."""
    return " … ".join(map(number, row.spread)) if len(row.values) > 1 else ""


def path(note: str) -> str:
    """The first word of what ``/status`` says of the path."""
    return note.partition(":")[0].partition(",")[0].partition(" (")[0]


def _plain(row: Row) -> dict[str, Any]:
    low, high = row.spread
    plain: dict[str, Any] = {"section": row.section, "name": row.name, "unit": row.unit, "median": row.value}
    plain |= {"lowest": low, "highest": high, "values": row.values}
    if row.costs:
        plain["cpu_us"] = dict(zip(("service", "mongod", "postgres"), row.cost, strict=True))
    if row.note:
        plain["path"] = row.note
    if row.bounds is not None:
        bounds = row.bounds
        plain |= {"must": bounds.must, "goal": bounds.goal, "at_most": bounds.at_most, "verdict": row.verdict}
    return plain
