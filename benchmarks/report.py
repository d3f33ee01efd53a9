"""The results as tables for a terminal, and as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.experiments import Figure, Results, Verdict


def figures_table(results: Results) -> Table:
    """Every number, by section. Processor times are microseconds an event or document."""
    table = Table(box=box.SIMPLE_HEAD, title="Measured in this run", title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for header in ("seconds", "from start", "µs service", "µs mongod", "µs PostgreSQL"):
        table.add_column(header, justify="right", style="dim", no_wrap=True)
    for section, figures in results.sections.items():
        table.add_section()
        table.add_row(f"[bold]{section}[/bold]")
        for each in figures:
            table.add_row(f"  {each.name}", _number(each.value), each.unit, *_costs(each))
    return table


def verdicts_table(results: Results) -> Table:
    """The numbers that have bounds."""
    table = Table(box=box.SIMPLE_HEAD, title="Against the design", title_justify="left")
    for header in ("what", "value", "must", "goal", ""):
        table.add_column(header, justify="left" if header in ("what", "") else "right", no_wrap=True)
    for each in results.verdicts:
        sign = "≤" if each.at_most else "≥"
        bounds = (f"{sign} {bound:g} {each.unit}".strip() for bound in (each.must, each.goal))
        table.add_row(each.name, f"{_number(each.value)} {each.unit}".strip(), *bounds, _word(each))
    return table


def as_plain(results: Results) -> dict[str, Any]:
    """The results as JSON values."""
    return {
        "figures": {section: [_plain(each) for each in figures] for section, figures in results.sections.items()},
        "verdicts": [
            {
                "name": each.name,
                "value": each.value,
                "unit": each.unit,
                "must": each.must,
                "goal": each.goal,
                "reaches_must": each.reaches_must,
                "reaches_goal": each.reaches_goal,
            }
            for each in results.verdicts
        ],
    }


def _plain(figure: Figure) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": figure.name.strip(), "value": figure.value, "unit": figure.unit}
    if figure.run is not None:
        run = figure.run
        plain |= {"seconds": run.seconds, "seconds_from_start": run.seconds_from_start, "peak_bytes": run.peak_bytes}
        plain |= {
            "service_cpu_us": _each(run.service_cpu, figure),
            "mongod_cpu_us": _each(run.mongod_cpu, figure),
            "postgres_cpu_us": _each(run.postgres_cpu, figure),
        }
    return plain


def _costs(figure: Figure) -> list[str]:
    run = figure.run
    if run is None:
        return []
    cpu = (run.service_cpu, run.mongod_cpu, run.postgres_cpu)
    return [f"{run.seconds:.1f}", f"{run.seconds_from_start:.1f}", *(f"{_each(each, figure):.1f}" for each in cpu)]


def _each(seconds: float, figure: Figure) -> float:
    return seconds / figure.number * 1e6


def _word(verdict: Verdict) -> str:
    if verdict.reaches_goal:
        return "[green]goal reached[/green]"
    if verdict.reaches_must:
        return "[yellow]must reached[/yellow]"
    return "[red]too high[/red]" if verdict.at_most else "[red]too low[/red]"


def _number(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
