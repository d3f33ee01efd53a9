"""What the commands say of the marts: lines and records for people, values of JSON for programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from replicator_service.cli.errors import show_error
from replicator_service.cli.output import print_json, print_records, print_text, print_warning, printable
from replicator_service.core.words import counted
from warehouse_jobs.marts.errors import ChecksFailedError, MartError
from warehouse_jobs.marts.results import CheckOutcome, Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from warehouse_jobs.marts.results import Change, DiffResult, LoadResult, MartStatus, UndoResult, ValidRows

_COUNTS = ("rows", "inserted", "versioned", "closed", "overwritten", "unchanged")
_HOW = ("mode", "reason", "computed")
_NEVER = "never loaded"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command did with one mart: a result or an error."""

    exit_code: int
    mart: str
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


def of_error(mart: str, error: MartError) -> Outcome:
    """Wrap a refusal, with the checks when they were the reason."""
    summary = error.result if isinstance(error, ChecksFailedError) else None
    return Outcome(error.exit_code, mart, summary=summary, error=error)


def show(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """Print all outcomes; errors and warnings also reach standard error when the output is JSON."""
    # One server that is away is one error, however many marts wanted it.
    for error in {str(outcome.error): outcome.error for outcome in outcomes if outcome.error}.values():
        show_error(error)
    for outcome in outcomes:
        for warning in outcome.summary.warnings if outcome.summary else ():
            print_warning(f"{outcome.mart}: {warning}")
    if as_json:
        print_json({"marts": [_outcome_json(outcome) for outcome in outcomes]})
        return
    for outcome in outcomes:
        if outcome.summary is None or outcome.error is not None:
            continue
        print_text(_summary_line(outcome.summary))
        for check in outcome.summary.failed_checks:
            print_text(f"check failed: {printable(check.told)}")
        if outcome.changes is not None:
            _show_changes(outcome.summary, outcome.changes)


def show_rows(valid: ValidRows, *, as_json: bool) -> None:
    """Print the rows that were valid at a time."""
    if as_json:
        rows = [{name: plain(value) for name, value in zip(valid.columns, row, strict=True)} for row in valid.rows]
        print_json({"mart": valid.mart, "at": valid.at.isoformat(), "total": valid.total, "rows": rows})
        return
    print_text(f"{valid.mart} as of {_told(valid.at)}: {_part(len(valid.rows), valid.total, 'row')}")
    print_records(
        (f"row {place}", [(name, _told(value)) for name, value in zip(valid.columns, row, strict=True)])
        for place, row in enumerate(valid.rows, start=1)
    )


def show_undone(result: UndoResult, *, as_json: bool) -> None:
    """Print what taking back a load did."""
    if as_json:
        names = ("mart", "as_of", "removed", "reopened", "restored", "last")
        print_json({name: plain(getattr(result, name)) for name in names})
        return
    last = f"the last load is that of {_told(result.last)}" if result.last else "no load is left"
    print_text(
        f"{result.mart}: the load of {_told(result.as_of)} is taken back: "
        f"{counted(result.removed, 'version')} removed, {result.reopened:,} opened again, "
        f"{result.restored:,} restored; {last}"
    )


def show_status(statuses: Mapping[str, MartStatus | None], *, as_json: bool) -> None:
    """Print the last load of each mart."""
    if as_json:
        print_json({"marts": [_status_json(name, status) for name, status in statuses.items()]})
        return
    print_records((name, list(_status_fields(status))) for name, status in statuses.items())


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """A value as JSON has it; numbers keep their digits."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
        case date() | time():
            return value.isoformat()
        case None | bool() | int() | float() | str() | Decimal():
            return value
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case _:
            return str(value)


def _status_fields(status: MartStatus | None) -> Iterator[tuple[str, object]]:
    if status is None:
        yield "as of", _NEVER
        return
    yield "as of", _told(status.as_of)
    yield "source time", _told(status.source_time) if status.source_time else "unknown"
    yield "loaded at", f"{_told(status.loaded_at)}, in {status.seconds:.2f} s"
    yield "rows", f"{status.rows:,}"
    if status.mode is not None:
        yield "load", computed(status)
    yield "changes", ", ".join(f"{getattr(status, name):,} {name}" for name in _COUNTS if name != "rows")
    if status.checks is not None:
        accepted = f"; let through: {', '.join(status.accepted)}" if status.accepted else ""
        yield "checks", f"{status.checks}{accepted}"
    for warning in status.warnings or ("none",):
        yield "warning", warning


def _status_json(name: str, status: MartStatus | None) -> dict[str, object]:
    if status is None:
        return {"mart": name, "as_of": None}
    names = ("mart", "as_of", "source_time", "loaded_at", "seconds", *_COUNTS, "checks", "accepted", "warnings", *_HOW)
    return {name: plain(getattr(status, name)) for name in names}


def _summary_line(summary: LoadResult) -> str:
    counts = ", ".join(f"{getattr(summary, name):,} {name}" for name in _COUNTS if name != "rows")
    passed = len(summary.checks) - len(summary.failed_checks)
    rows = counted(summary.rows, "row")
    if summary.already_loaded:
        return f"{summary.mart} had been loaded as of {_told(summary.as_of)}: nothing to do; {rows}"
    accepted = ", ".join(check.told for check in summary.checks if check.outcome is CheckOutcome.ACCEPTED)
    let_through = f" (let through: {printable(accepted)})" if accepted else ""
    source = f", of MongoDB at {_told(summary.source_time)}" if summary.source_time else ""
    return (
        f"{summary.mart} as of {_told(summary.as_of)}{source}: {rows}: {counts}; "
        f"{passed} of {len(summary.checks)} checks passed{let_through}; {computed(summary)}; {summary.seconds:.2f} s"
    )


def computed(told: LoadResult | MartStatus) -> str:
    """How a load computed its rows, in words."""
    if told.computed is None:
        return f"full ({told.reason})" if told.reason else "full"
    keys = f"{counted(told.computed, 'key')} computed"
    return f"incremental, {keys}" if told.mode == Mode.INCREMENTAL else f"full, to prove what {keys} would have been"


def _show_changes(summary: LoadResult, changes: tuple[Change, ...]) -> None:
    if len(changes) < summary.changed:
        print_text(_part(len(changes), summary.changed, "change"))
    print_records(
        (
            f"{change.kind} {', '.join(map(_told, change.key))}",
            [(name, f"{_told(old)} → {_told(new)}") for name, old, new in change.columns],
        )
        for change in changes
    )


def _part(shown: int, total: int, noun: str) -> str:
    told = counted(total, noun)
    return told if shown == total else f"the first {shown:,} of {told}; --limit shows more"


def _outcome_json(outcome: Outcome) -> dict[str, object]:
    document: dict[str, object] = {"mart": outcome.mart}
    if summary := outcome.summary:
        document |= {"as_of": plain(summary.as_of), "already_loaded": summary.already_loaded}
        document["source_time"] = plain(summary.source_time)
        document |= {"mode": summary.mode, "reason": summary.reason, "computed": summary.computed}
        document |= {name: getattr(summary, name) for name in _COUNTS}
        document["checks"] = [
            {"name": check.name, "passed": check.passed, "failing": check.failing} for check in summary.checks
        ]
        document["accepted"] = [check.name for check in summary.checks if check.outcome is CheckOutcome.ACCEPTED]
        document["warnings"] = list(summary.warnings)
        document["seconds"] = round(summary.seconds, 3)
    if outcome.changes is not None:
        document["changes"] = [
            {
                "kind": change.kind,
                "key": [plain(value) for value in change.key],
                "columns": {name: {"now": plain(old), "then": plain(new)} for name, old, new in change.columns},
            }
            for change in outcome.changes
        ]
    if error := outcome.error:
        document["error"] = {"class": type(error).__name__, "message": error.message, "hint": error.hint}
    return document


def _told(value: object) -> str:
    """A value for people, whole: null is not an empty text."""
    match value:
        case None:
            return "null"
        case datetime():
            # Whole: what a mart is loaded as of may be given back as an option.
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
        case Decimal():
            return format(value, "f")
        case timedelta():
            return str(value)
        case str():
            return str(printable(value))
        case _:
            return str(printable(str(plain(value))))
