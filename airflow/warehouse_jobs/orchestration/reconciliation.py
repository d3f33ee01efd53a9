"""The jobs of ``mongo_pg_replicator``: plan the parts, begin a run, compare each part, end the run.

What they hand to each other is JSON, so that each can be a task of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warehouse_jobs.orchestration.errors import NotProvedError
from warehouse_jobs.orchestration.task_log import say, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.configuration.settings import Settings
    from replicator_service.reconcile import Options, RunResult

_SHOWN = 50


def plan(settings: Settings, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts to compare, as JSON."""
    from replicator_service.reconcile import plan_parts

    parts = plan_parts(settings, collections=form["collections"] or None)
    show(("part", "documents, about"), [(part.label, part.documents) for part in parts])
    return [part.as_json() for part in parts]


def begin(settings: Settings, form: Mapping[str, Any]) -> int:
    """Begin a stored run and give its number."""
    from replicator_service.reconcile import start_run

    options = _options(form)
    run_id = start_run(settings, collections=form["collections"] or None, options=options)
    say(f"reconciliation {run_id}: {'differences are repaired' if options.repair else 'nothing is changed'}")
    return run_id


def compare(settings: Settings, form: Mapping[str, Any], part: dict[str, Any], run_id: int) -> dict[str, Any]:
    """Compare one part, repair it if the form says so, and give what was found in numbers.

    Comparing a part again replaces what it had found before.
    """
    from replicator_service.configuration.mapping_file import read_mapping
    from replicator_service.reconcile import Part, reconcile_part

    mapping = read_mapping(settings.mapping)
    found = reconcile_part(settings, mapping, Part.from_json(part), run_id, options=_options(form))
    if found.skipped:
        say(f"{found.label}: not compared: {found.skipped}")
    rate = found.documents / found.seconds if found.seconds else 0.0
    say(
        f"{found.label}: {found.documents:,} documents, {found.differences:,} differences, "
        f"{found.repaired:,} repaired, {found.seconds:.1f} s, {rate:,.0f} documents/s"
    )
    return {"documents": found.documents, "differences": found.differences, "repaired": found.repaired}


def finish(settings: Settings, run_id: int, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """End the run, show its parts as a table, and give its totals.

    Raises :class:`NotProvedError` when a part was not compared or differences remain. The result is stored before.
    """
    from replicator_service.reconcile import Part, finish_run

    result = finish_run(settings, run_id)
    compared = {part.label for part in result.parts}
    lost = [label for label in (Part.from_json(part).label for part in parts) if label not in compared]
    if lost:
        result = finish_run(settings, run_id, error=f"not compared: {', '.join(lost)}")
    _show(result)
    if result.remaining:
        _show_differences(settings, run_id)
    if result.error:
        raise NotProvedError(
            f"reconciliation {run_id} failed: {result.error}",
            hint="The logs of the parts name the cause; clear the failed parts to compare them again.",
        )
    if result.remaining:
        raise NotProvedError(
            f"reconciliation {run_id}: {result.remaining:,} of {result.differences:,} differences remain",
            hint="Run again with repair, or see replicator.reconciliation_difference for the keys.",
        )
    return {
        "run_id": run_id,
        "documents": result.documents,
        "differences": result.differences,
        "repaired": result.repaired,
    }


def _options(form: Mapping[str, Any]) -> Options:
    from replicator_service.reconcile import Options

    return Options(repair=form["repair"], deep=form["deep"], allow_deletes=form["allow_deletes"])


def _show(result: RunResult) -> None:
    rows: list[tuple[object, ...]] = [
        (part.label, part.documents, part.differences, part.repaired, part.seconds, part.error or part.skipped or "")
        for part in sorted(result.parts, key=lambda each: each.label)
    ]
    seconds = sum(part.seconds for part in result.parts)
    rows.append(("total", result.documents, result.differences, result.repaired, seconds, ""))
    show(("part", "documents", "differences", "repaired", "seconds", "remark"), rows)


def _show_differences(settings: Settings, run_id: int) -> None:
    """Keys may be data, but without them nobody can look."""
    from replicator_service.reconcile import differences_of

    found = differences_of(settings, run_id, limit=_SHOWN)
    show(("collection", "kind", "key", "where"), [(name, each.kind, each.key, each.detail) for name, each in found])
