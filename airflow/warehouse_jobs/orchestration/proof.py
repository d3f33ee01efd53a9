"""What a reconciliation has proved, in sentences for people and as JSON for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from replicator_service.core.words import counted

if TYPE_CHECKING:
    from replicator_service.reconcile import RunResult

_SHOWN = 10


def sentences(result: RunResult) -> list[str]:
    """Documents, differences, what was repaired, the time of the source, and what was not proved."""
    told = [f"Reconciliation {result.id}: {counted(result.documents, 'document')} compared, {_differences(result)}."]
    if at := _source_time(result):
        told.append(f"The source as of {at} or later.")
    if result.collection is not None:
        told.append(f"Only these collections: {result.collection}.")
    if result.error:
        told.append(f"Failed: {result.error}.")
    if result.not_proved:
        told.append(f"Not proved: {_shown(result.not_proved)}.")
    return told


def summary(result: RunResult) -> dict[str, Any]:
    """The same as JSON. ``is_whole`` says whether everything was proved equal."""
    return {
        "run_id": result.id,
        "documents": result.documents,
        "differences": result.differences,
        "repaired": result.repaired,
        "source_time": _source_time(result),
        "not_proved": list(result.not_proved[:_SHOWN]),
        "is_whole": result.is_whole_proof,
    }


def _differences(result: RunResult) -> str:
    if not result.differences:
        return "no differences"
    return f"{counted(result.differences, 'difference')}, {result.repaired:,} repaired, {result.remaining:,} remain"


def _source_time(result: RunResult) -> str | None:
    from replicator_service.core.position import wall_time

    return None if result.cluster_time is None else f"{wall_time(result.cluster_time):%Y-%m-%d %H:%M:%S} UTC"


def _shown(reasons: tuple[str, ...]) -> str:
    told = "; ".join(reasons[:_SHOWN])
    return told if len(reasons) <= _SHOWN else f"{told}; and {len(reasons) - _SHOWN} more"
