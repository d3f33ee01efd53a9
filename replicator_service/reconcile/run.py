"""Runs: parts compared one after another or each by a task of its own, and what they have found together."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from replicator_service.core.errors import ReplicatorError
from replicator_service.reconcile.attempt import Attempt
from replicator_service.reconcile.comparing import compare_part
from replicator_service.reconcile.encoding import Encoding, encoding_with
from replicator_service.reconcile.options import Options
from replicator_service.reconcile.parts import Part, plan_parts
from replicator_service.reconcile.servers import opened, opened_sink
from replicator_service.sink.reconcile import reconciliation as store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from replicator_service.configuration.settings import Settings
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.reconciliation import Difference, PartResult, RunResult


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def planned(self, parts: Sequence[Part]) -> None:
        """These parts will be compared, in this order."""
        ...

    def advanced(self, part: Part, documents: int) -> None:
        """So many more documents of a part were compared."""
        ...

    def finished(self, part: Part, result: PartResult) -> None:
        """A part is done."""
        ...


class NoProgress:
    """Nobody wants to know."""

    def planned(self, parts: Sequence[Part]) -> None:
        """Nothing."""

    def advanced(self, part: Part, documents: int) -> None:
        """Nothing."""

    def finished(self, part: Part, result: PartResult) -> None:
        """Nothing."""


def start_run(settings: Settings, *, collections: Sequence[str] | None = None, options: Options | None = None) -> int:
    """Begin a run over these collections, or over all; gives its number."""
    options = options or Options()
    with opened_sink(settings) as connection:
        return store.start_run(
            connection, settings.mongo_database, collections, repair=options.repair, deep=options.deep
        )


def reconcile_part(
    settings: Settings,
    mapping: Mapping,
    part: Part,
    run_id: int,
    *,
    options: Options | None = None,
    progress: Progress | None = None,
    encoder: Encoding | None = None,
) -> PartResult:
    """Compare one part at a fresh moment, repair it if asked to, and remember the result.

    Parts of one run may be compared in any order and at the same time; a part that is compared again replaces what it
    had found before, but for what it has repaired. A process that is killed loses nothing: repairs are remembered in
    their own transactions.

    Raises :class:`Retryable` when something could not be compared within the patience, :class:`Fatal` and
    :class:`ConfigurationError` when a person has to act. What was found until then is remembered.
    """
    options, progress = options or Options(), progress or NoProgress()
    with opened(settings, mapping) as servers, _collector_kept_out():
        attempt = Attempt(servers, run_id, part)
        for each in part.singles():
            findings = attempt.findings(each.collection)
            outcome = compare_part(
                servers,
                mapping,
                each,
                attempt.options(options),
                findings,
                encoder=encoder or Encoding(),
                advanced=lambda count: progress.advanced(part, count),
            )
            attempt.take(each.collection, findings, outcome)
        result = attempt.record()
    progress.finished(part, result)
    if (error := attempt.error) is not None:
        raise error
    return result


def finish_run(
    settings: Settings, run_id: int, *, planned: Sequence[Part] | None = None, error: str | None = None
) -> RunResult:
    """End a run; it has failed when ``error`` says so, when a part has, or one of the ``planned`` is not there.

    Ending it again, after parts were compared again, says how it is then.
    """
    with opened_sink(settings) as connection:
        parts = {part.label: part for part in store.read_run(connection, run_id).parts}
        failed = [f"{part.label}: {part.error}" for part in parts.values() if part.error]
        lost = [part.label for part in planned or () if part.label not in parts]
        if lost:
            failed.append(f"not compared: {', '.join(lost)}")
        return store.finish_run(connection, run_id, error=error or "; ".join(failed) or None)


def differences_of(settings: Settings, run_id: int, *, limit: int = 100) -> list[tuple[str, Difference]]:
    """Differences that a run has stored, each with its collection, those that remain first."""
    with opened_sink(settings) as connection:
        return store.stored_differences(connection, run_id, limit=limit)


def reconcile(
    settings: Settings,
    mapping: Mapping,
    *,
    collections: Sequence[str] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    helpers: int | None = None,
) -> RunResult:
    """Compare everything, or these collections, part by part. One part that fails does not keep the others from it.

    ``helpers`` is how many processes transform documents beside this one, see :func:`encoding_with`.

    Raises the first part's error after the run was stored as failed.
    """
    options, progress = options or Options(), progress or NoProgress()
    with encoding_with(helpers) as encoder:
        return _reconcile(settings, mapping, collections, options, progress, encoder)


def _reconcile(
    settings: Settings,
    mapping: Mapping,
    collections: Sequence[str] | None,
    options: Options,
    progress: Progress,
    encoder: Encoding,
) -> RunResult:
    parts = plan_parts(settings, collections=collections)
    run_id = start_run(settings, collections=collections, options=options)
    progress.planned(parts)
    errors: list[ReplicatorError] = []
    try:
        for part in parts:
            try:
                reconcile_part(settings, mapping, part, run_id, options=options, progress=progress, encoder=encoder)
            except ReplicatorError as error:
                errors.append(error)
    except BaseException as error:
        finish_run(settings, run_id, error=f"interrupted ({type(error).__name__})")
        raise
    result = finish_run(settings, run_id, error=errors[0].message if errors else None)
    if errors:
        raise errors[0]
    return result


@contextmanager
def _collector_kept_out() -> Iterator[None]:
    """Documents hold no cycles, and looking for cycles among them costs more than decoding them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
