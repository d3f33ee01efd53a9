"""The shop's customers: a history to begin with, then live traffic in the background."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from replicator_service.core.position import to_cluster_time
from warehouse_jobs.generator.errors import GeneratorError
from warehouse_jobs.generator.history import produce
from warehouse_jobs.generator.job import run_live
from warehouse_jobs.generator.parameters import Interval, Parameters
from warehouse_jobs.generator.server import MongoSettings, connect
from warehouse_jobs.generator.writer import Counts, Summary, apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from devstack.demo.lag import LagMeter

USERS = 1_000
PRODUCTS = 200

_HISTORY_DAYS = 14
_STOP_SECONDS = 20.0


def write_history(
    database: Database[dict[str, Any]], documents: int, now: datetime, progress: Callable[[int], None]
) -> Counts:
    """Write what the shop has seen in the last two weeks: so many documents, changed and deleted as life goes."""
    end = now.replace(minute=0, second=0, microsecond=0)
    interval = Interval.of_days(end - timedelta(days=_HISTORY_DAYS), _HISTORY_DAYS)
    parameters = Parameters.in_total(documents, interval, users=USERS, products=PRODUCTS)
    return apply(database, produce(parameters, interval), progress=progress).total


class LiveTraffic:
    """Customers who come in until ``stop``. ``counts`` and ``error`` may be read at any time."""

    def __init__(self, uri: str, database: str, *, rate: float, lag: LagMeter) -> None:
        self.counts = Counts()
        self.error: str | None = None
        self._uri = uri
        self._database = database
        self._rate = rate
        self._lag = lag
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-traffic", daemon=True)

    def start(self) -> None:
        """Open the doors."""
        self._thread.start()

    def stop(self) -> None:
        """Close them; what was under way is written. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        try:
            with connect(MongoSettings(self._uri, self._database)) as database:
                parameters = Parameters.live(self._rate, datetime.now(UTC), users=USERS, products=PRODUCTS)

                def wrote(summary: Summary) -> None:
                    acknowledged = time.monotonic()
                    self.counts = summary.total
                    if self._lag.is_idle:
                        now = database.command("ping")["operationTime"]
                        self._lag.follow(to_cluster_time(now), since=acknowledged)

                run_live(database, parameters, lambda: datetime.now(UTC), self._stopping, progress=wrote)
        except GeneratorError as error:
            self.error = error.message
