"""Runs: parts compared one after another or each by a task of its own, and what they have found together."""

from __future__ import annotations

import gc
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from replicator_service.core.errors import ReplicatorError, Retryable
from replicator_service.reconcile.attempt import Attempt
from replicator_service.reconcile.comparing import compare_part
from replicator_service.reconcile.encoding import Encoding, encoding_with
from replicator_service.reconcile.options import Options
from replicator_service.reconcile.parts import PART_BYTES, PART_DOCUMENTS, Part, plan_parts
from replicator_service.reconcile.servers import opened, opened_sink
from replicator_service.sink.reconcile import reconciliation as store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from replicator_service.configuration.settings import Settings
    from replicator_service.core.mapping.model import Mapping
    from replicator_service.core.reconciliation import Difference, PartResult, RunResult

    _Compare = Callable[[Settings, Mapping, Sequence[Part], int, Options, "Progress"], list[ReplicatorError]]


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
    """Begin a run over these collections, or over all and return its number."""
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
    """Compare one part at a fresh comparison point, repair it if asked to, and remember the result.

    Parts of one run may be compared in any order and at the same time; a part that is compared again replaces what it
    had found before, but for what it has repaired. A process that is killed loses nothing: repairs are remembered in
    their own transactions.

    Raises :class:`Retryable` when something could not be compared within ``timeout_seconds``, :class:`Fatal` and
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
    processes: int = 1,
) -> RunResult:
    """Compare everything, or these collections, part by part. One part that fails does not keep the others from it.

    ``helpers`` is how many processes transform documents beside this one, see :func:`encoding_with`; with more than
    one of ``processes`` each compares parts of its own instead, and parts are smaller.

    Raises the first part's error after the run was stored as failed.
    """
    options, progress = options or Options(), progress or NoProgress()
    if processes > 1:
        with in_processes(processes) as pool:
            return _reconcile(settings, mapping, collections, options, progress, partial(_compare_all, pool), processes)
    with encoding_with(helpers) as encoder:
        return _reconcile(settings, mapping, collections, options, progress, partial(_compare_each, encoder), 1)


def _reconcile(
    settings: Settings,
    mapping: Mapping,
    collections: Sequence[str] | None,
    options: Options,
    progress: Progress,
    compare: _Compare,
    processes: int,
) -> RunResult:
    parts = plan_parts(
        settings,
        collections=collections,
        part_documents=PART_DOCUMENTS // _share_of(processes),
        part_bytes=PART_BYTES // _share_of(processes),
    )
    run_id = start_run(settings, collections=collections, options=options)
    progress.planned(parts)
    try:
        errors = compare(settings, mapping, parts, run_id, options, progress)
    except BaseException as error:
        finish_run(settings, run_id, error=f"interrupted ({type(error).__name__})")
        raise
    result = finish_run(settings, run_id, error=errors[0].message if errors else None)
    if errors:
        raise errors[0]
    return result


def _share_of(processes: int) -> int:
    """How much smaller parts are for several processes: small enough that none waits long for the last one."""
    return 1 if processes == 1 else 4 * processes


def _compare_each(
    encoder: Encoding,
    settings: Settings,
    mapping: Mapping,
    parts: Sequence[Part],
    run_id: int,
    options: Options,
    progress: Progress,
) -> list[ReplicatorError]:
    """Compare parts one after another, and give the errors that some have ended with."""
    errors = []
    for part in parts:
        try:
            reconcile_part(settings, mapping, part, run_id, options=options, progress=progress, encoder=encoder)
        except ReplicatorError as error:
            errors.append(error)
    return errors


def _compare_all(
    pool: ProcessPoolExecutor,
    settings: Settings,
    mapping: Mapping,
    parts: Sequence[Part],
    run_id: int,
    options: Options,
    progress: Progress,
) -> list[ReplicatorError]:
    """Compare parts in other processes."""
    errors: list[ReplicatorError] = []
    coming = {pool.submit(reconcile_part, settings, mapping, part, run_id, options=options): part for part in parts}
    try:
        for done in as_completed(coming):
            try:
                result = done.result()
            except ReplicatorError as error:
                errors.append(error)
            else:
                progress.advanced(coming[done], result.documents)
                progress.finished(coming[done], result)
    except BrokenProcessPool as error:
        raise Retryable(
            "a process that compared a part was ended", hint="It may have had too little memory: take fewer processes."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return errors


@contextmanager
def in_processes(number: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes that compare parts. Call it before connections are opened: they are forked."""
    with ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("fork")) as pool:
        pool.submit(os.getpid).result()
        yield pool


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
