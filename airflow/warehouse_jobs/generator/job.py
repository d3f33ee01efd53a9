"""The generation as one call: of a stretch of history, or of the shop as it happens."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from warehouse_jobs.generator.history import produce
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings, connect
from warehouse_jobs.generator.writer import Summary, apply, write_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from pymongo.database import Database

    from warehouse_jobs.generator.operations import Operation

_ALLOCATIONS_BETWEEN_COLLECTIONS = 500_000
_ENDLESS = timedelta(days=3650)
_MOST_AT_ONCE = 2_000

# Operations are gathered for so long: a command for each of them would cost the server more than the writes.
_TICK_SECONDS = 0.02


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
    with connect(settings) as database, _few_collections():
        return apply(database, produce(parameters, interval), progress=progress)


def run_live(
    database: Database[dict[str, Any]],
    parameters: Parameters,
    clock: Callable[[], datetime],
    stop: Event,
    *,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Write each operation when its time has come by ``clock``, until ``stop`` is set.

    1. Take the next operation. 2. While it lies in the future, write what is gathered and wait, or return on ``stop``.
    3. Gather it; write when much is gathered, as when the server is slower than the shop.

    ``parameters`` are those of :meth:`Parameters.live`. ``progress`` is called after every write with what has been
    done so far. What was gathered when ``stop`` is set is written. Raises the driver's errors.
    """
    begins = parameters.opening or clock()
    summary = Summary()
    gathered: list[Operation] = []

    def write() -> None:
        nonlocal summary
        if gathered:
            summary += write_batch(database, gathered, stop)
            gathered.clear()
            progress(summary)

    for operation in produce(parameters, Interval(begins, begins + _ENDLESS)):
        while (early := (operation.at - clock()).total_seconds()) > 0:
            write()
            if stop.wait(max(early, _TICK_SECONDS)):
                return summary
        gathered.append(operation)
        if len(gathered) >= _MOST_AT_ONCE:
            write()
            if stop.is_set():
                return summary
    write()
    return summary


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
