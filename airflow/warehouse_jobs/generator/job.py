"""The generation as one call, for the command line and the DAG."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

from warehouse_jobs.generator.history import produce
from warehouse_jobs.generator.live import run_live
from warehouse_jobs.generator.server import connect
from warehouse_jobs.generator.writer import apply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from threading import Event

    from warehouse_jobs.generator.parameters import Interval, Parameters
    from warehouse_jobs.generator.settings import MongoSettings
    from warehouse_jobs.generator.summary import Summary

_ALLOCATIONS_BETWEEN_COLLECTIONS = 500_000


def generate(
    settings: MongoSettings,
    parameters: Parameters,
    interval: Interval,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Write the shop's history of the interval; doing it again changes nothing more.

    ``progress`` is called with the number of operations after each batch. Raises :class:`.errors.GeneratorError`.
    """
    with connect(settings.uri, settings.database) as database, _few_collections():
        return apply(database, produce(parameters, interval), progress=progress)


def generate_live(
    settings: MongoSettings,
    parameters: Parameters,
    clock: Callable[[], datetime],
    stop: Event,
    *,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Write the shop's history as it happens by ``clock``, until ``stop`` is set.

    ``parameters`` are those of :meth:`.parameters.Parameters.live`. ``progress`` is called with all that was done so
    far. Raises :class:`.errors.GeneratorError`.
    """
    with connect(settings.uri, settings.database) as database:
        return run_live(database, parameters, clock, stop, progress=progress)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Let Python look for reference cycles rarely.

    A batch is a hundred thousand small objects without any cycle; looking for one again and again while it grows
    was measured to take a quarter of all the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
