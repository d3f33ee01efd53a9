"""What the commands print: tables for people, one JSON document for programs; errors go to standard error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from warehouse_jobs.marts.errors import ChecksFailedError, MartError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warehouse_jobs.marts.results import Change, CheckResult, DiffResult, LoadResult, ValidRows

_COUNTS = ("rows", "inserted", "versioned", "closed", "overwritten", "unchanged")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command did with one mart: a result or an error (``mart`` is None before the first)."""

    exit_code: int
    mart: str | None
    summary: LoadResult | None = None
    changes: tuple[Change, ...] | None = None
    error: MartError | None = None


def of_load(result: LoadResult) -> Outcome:
    """Wrap a published load."""
    return Outcome(0, result.mart, summary=result)


def of_diff(result: DiffResult) -> Outcome:
    """Wrap a comparison: exit code 1 when a load would change something or fail a check."""
    differs = bool(result.summary.changed or result.summary.failed_checks)
    return Outcome(int(differs), result.summary.mart, summary=result.summary, changes=result.changes)


def of_error(mart: str | None, error: MartError) -> Outcome:
    """Wrap a refusal, with the checks when they were the reason."""
    summary = error.result if isinstance(error, ChecksFailedError) else None
    return Outcome(error.exit_code, mart, summary=summary, error=error)


def show(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """Print all outcomes; errors also reach standard error when the output is JSON."""
    # One server that is away is one error, however many marts wanted it.
    for error in {str(outcome.error): outcome.error for outcome in outcomes if outcome.error}.values():
        _show_error(error)
    if as_json:
        _print_json({"marts": [_outcome_json(outcome) for outcome in outcomes]})
        return
    console = Console(soft_wrap=True)
    for outcome in outcomes:
        if outcome.summary is None or outcome.error is not None:
            continue
        console.print(_summary_line(outcome.summary), highlight=False)
        for line in _check_lines(outcome.summary.failed_checks):
            console.print(line, highlight=False)
        if outcome.changes:
            console.print(_change_table(outcome))


def show_rows(valid: ValidRows, *, as_json: bool) -> None:
    """Print the rows that were valid at a time."""
    if as_json:
        rows = [dict(zip(valid.columns, map(_plain, row), strict=True)) for row in valid.rows]
        _print_json({"mart": valid.mart, "at": valid.at.isoformat(), "rows": rows})
        return
    table = Table(*valid.columns, title=f"{valid.mart} as of {valid.at.isoformat()}", title_justify="left")
    for row in valid.rows:
        table.add_row(*map(_shown, row))
    Console().print(table)


def show_warning(text: str) -> None:
    """Print a warning to standard error."""
    Console(stderr=True, soft_wrap=True).print(f"[yellow]warning:[/] {escape(text)}", highlight=False)


def _show_error(error: MartError) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"[red]error:[/] {escape(error.message)}", highlight=False)
    if error.hint:
        console.print(f"  [green]fix:[/] {escape(error.hint)}", highlight=False)


def _summary_line(summary: LoadResult) -> str:
    counts = ", ".join(f"{getattr(summary, name):,} {name}" for name in _COUNTS if name != "rows")
    passed = len(summary.checks) - len(summary.failed_checks)
    checks = "already loaded" if summary.already_loaded else f"{passed} of {len(summary.checks)} checks passed"
    return (
        f"[bold]{summary.mart}[/] as of {summary.as_of.isoformat()}: {summary.rows:,} rows: {counts}; {checks}; "
        f"{summary.seconds:.2f} s"
    )


def _check_lines(checks: Sequence[CheckResult]) -> list[str]:
    return [f"[red]check failed:[/] {escape(c.name)}: {escape(c.detail or f'{c.failing} rows')}" for c in checks]


def _change_table(outcome: Outcome) -> Table:
    table = Table("change", "key", "column", "now", "then", title=outcome.mart, title_justify="left")
    for change in outcome.changes or ():
        for column, before, after in change.columns or (("", None, None),):
            table.add_row(change.kind, ", ".join(map(_shown, change.key)), column, _shown(before), _shown(after))
    return table


def _outcome_json(outcome: Outcome) -> dict[str, object]:
    document: dict[str, object] = {"mart": outcome.mart}
    if summary := outcome.summary:
        document |= {"as_of": summary.as_of.isoformat(), "already_loaded": summary.already_loaded}
        document |= {name: getattr(summary, name) for name in _COUNTS}
        document["checks"] = [
            {"name": check.name, "passed": check.passed, "failing": check.failing} for check in summary.checks
        ]
        document["seconds"] = round(summary.seconds, 3)
    if outcome.changes is not None:
        document["changes"] = [
            {
                "kind": change.kind,
                "key": [_plain(value) for value in change.key],
                "columns": {name: {"now": _plain(old), "then": _plain(new)} for name, old, new in change.columns},
            }
            for change in outcome.changes
        ]
    if error := outcome.error:
        document["error"] = {"class": type(error).__name__, "message": error.message, "hint": error.hint}
    return document


def _print_json(document: object) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2)
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def _plain(value: object) -> object:
    """Turn a value into what JSON has; a numeric becomes a number."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date():
            return value.isoformat()
        case None | bool() | int() | float() | str():
            return value
        case list():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return f"{value:.2f}"
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case _:
            return escape(str(value))
