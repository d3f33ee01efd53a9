"""How long a change takes from MongoDB's acknowledgement until PostgreSQL shows it: measured, write by write."""

from __future__ import annotations

import threading
import time
from collections import deque
from statistics import quantiles
from typing import Any

import psycopg

_POLL_SECONDS = 0.002
_REMEMBERED = 500
_LONGEST_SECONDS = 10.0

Connection = psycopg.Connection[tuple[Any, ...]]


class LagMeter:
    """Follows one write at a time, in a thread of its own."""

    def __init__(self, dsn: str, stream: str) -> None:
        self._dsn = dsn
        self._stream = stream
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._write: tuple[int, float] | None = None
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="lag-meter", daemon=True)

    @property
    def is_idle(self) -> bool:
        """Whether there is no write to follow at the moment."""
        return self._write is None

    @property
    def milliseconds(self) -> tuple[float, float] | None:
        """Median and 99th percentile of the latest writes; None before there are some."""
        seconds = list(self._seconds)
        if len(seconds) < 2:
            return None
        parts = quantiles(seconds, n=100, method="inclusive")
        return parts[49] * 1e3, parts[98] * 1e3

    def follow(self, cluster_time: int, *, since: float) -> None:
        """Measure how long the write at ``cluster_time``, acknowledged at ``since``, takes to be visible."""
        with self._changed:
            self._write = (cluster_time, since)
            self._changed.notify()

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_LONGEST_SECONDS)

    def _run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                while not self._is_stopping:
                    with self._changed:
                        self._changed.wait_for(lambda: self._write is not None or self._is_stopping)
                    if self._write is not None:
                        self._measure(connection, *self._write)
                        self._write = None
        except psycopg.Error:
            # PostgreSQL is gone: the demo's main thread sees that as well, and says so.
            return

    def _measure(self, connection: Connection, cluster_time: int, since: float) -> None:
        query = "select cluster_time >= %s from replicator.checkpoint where stream = %s"
        while not self._is_stopping and time.monotonic() - since < _LONGEST_SECONDS:
            row = connection.execute(query, (cluster_time, self._stream)).fetchone()
            if row is not None and row[0]:
                self._seconds.append(max(0.0, time.monotonic() - since))
                return
            time.sleep(_POLL_SECONDS)
