"""The jobs of ``mongo_pg_replicator``: plan the parts, begin a run, compare each part, end the run.

What they hand to each other is JSON, so that each can be a task of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.words import counted
from warehouse_jobs.orchestration import proof
from warehouse_jobs.orchestration.errors import NotProvedError
from warehouse_jobs.orchestration.run_note import say_on_page
from warehouse_jobs.orchestration.task_log import say, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from replicator_service.configuration.settings import Settings
    from replicator_service.reconcile import Options, RunResult

_SHOWN = 50


def plan(settings: Settings, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts to compare, as JSON, each with its label: not more than Airflow lets tasks be mapped."""
    from airflow.sdk.configuration import conf

    from replicator_service.reconcile import Part, plan_parts

    most = conf.getint("core", "max_map_length", fallback=1_024)
    # Nothing to compare is one empty part: a run that compared nothing ends as any other.
    parts = plan_parts(settings, collections=form["collections"] or None, most=most) or [Part(())]
    show(("part", "documents, about"), [(part.label, part.documents) for part in parts])
    return [{"label": part.label, "part": part.as_json()} for part in parts]


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
    found = reconcile_part(settings, mapping, Part.from_json(part["part"]), run_id, options=_options(form))
    if found.skipped:
        say(f"{found.label}: not compared: {found.skipped}")
    rate = found.documents / found.seconds if found.seconds else 0.0
    say(
        f"{found.label}: {counted(found.documents, 'document')}, {counted(found.differences, 'difference')}, "
        f"{found.repaired:,} repaired, {found.seconds:.1f} s, {rate:,.0f} documents/s"
    )
    return {"documents": found.documents, "differences": found.differences, "repaired": found.repaired}


def finish(settings: Settings, run_id: int, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """End the run, show its parts as a table, and give its totals; the run's page says what was found.

    Raises :class:`NotProvedError` when a part was not compared or differences remain. The result is stored before.
    """
    from replicator_service.reconcile import Part, finish_run

    result = finish_run(settings, run_id, planned=[Part.from_json(part["part"]) for part in parts])
    _show(result)
    if result.remaining:
        _show_differences(settings, run_id)
    for sentence in proof.sentences(result):
        say(sentence)
    if result.error:
        raise NotProvedError(
            "\n".join(proof.sentences(result)),
            hint="The logs of the parts name the cause; clear the failed parts to compare them again.",
        )
    if result.remaining:
        raise NotProvedError(
            "\n".join(proof.sentences(result)),
            hint="Run again with repair, or see replicator.reconciliation_difference for the keys.",
        )
    say_on_page("\n".join(proof.sentences(result)))
    return proof.summary(result)


def require_whole(proof: Mapping[str, Any]) -> None:
    """Skip the task unless everything was proved."""
    from airflow.sdk.exceptions import AirflowSkipException

    if not proof["is_whole"]:
        raise AirflowSkipException("not everything was proved, so the asset is not published: see the note of the run")


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
