"""From a commit in MongoDB until the row can be seen in PostgreSQL, at a steady rate of writes.

A process of its own writes with several connections, each of which gives its documents growing times; here, PostgreSQL
is asked about once a millisecond how far each of them can be seen. Both processes read the same monotonic clock.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from pymongo import MongoClient

from benchmarks.documents import BEGINNING, EVENT_LOGS, event_log

if TYPE_CHECKING:
    from benchmarks.lab import Connection

_WRITERS = 10
_POLL_SECONDS = 0.001
_PATIENCE_SECONDS = 20.0

_VISIBLE = """
select w.name, (select max(e.timestamp) from {schema}.event_logs as e where e.user_id = w.name)
from unnest(%s::text[]) as w (name)
"""


@dataclass(frozen=True, slots=True)
class Write:
    """One insert: who made it, its place in the order of that writer, when it was sent and acknowledged."""

    writer: int
    place: int
    sent: float
    acknowledged: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the acknowledgement, and from the sending, of each write until it was visible; in order of size."""

    from_acknowledgement: list[float]
    from_sending: list[float]
    rate: float


def measure_latency(
    uri: str, database: str, connection: Connection, schema: str, *, rate: float, seconds: float
) -> Latency:
    """Write for so many seconds at ``rate`` a second, and follow the rows. The service must be streaming."""
    names = [_name(writer) for writer in range(_WRITERS)]
    query = _VISIBLE.format(schema=schema).encode()
    seen: list[list[tuple[float, int]]] = [[] for _ in names]
    per_writer = int(rate * seconds / _WRITERS)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        writing = pool.submit(_write_all, uri, database, rate, per_writer)
        deadline = time.monotonic() + seconds + _PATIENCE_SECONDS
        while not all(each and each[-1][1] == per_writer - 1 for each in seen) and time.monotonic() < deadline:
            rows = connection.execute(query, (names,)).fetchall()
            now = time.monotonic()
            for steps, (_, latest) in zip(seen, rows, strict=True):
                place = -1 if latest is None else _place(latest)
                if place > (steps[-1][1] if steps else -1):
                    steps.append((now, place))
            time.sleep(_POLL_SECONDS)
        writes = writing.result()
    return _latency(writes, seen)


def _latency(writes: list[Write], seen: list[list[tuple[float, int]]]) -> Latency:
    visible = [_first_seen(steps) for steps in seen]
    acknowledged, sent = [], []
    for write in writes:
        at = visible[write.writer].get(write.place)
        if at is None:
            raise TimeoutError("Some rows did not become visible in time.")
        # A write may be visible before its writer hears of it.
        acknowledged.append(max(0.0, at - write.acknowledged))
        sent.append(at - write.sent)
    began, ended = min(write.sent for write in writes), max(write.sent for write in writes)
    return Latency(sorted(acknowledged), sorted(sent), len(writes) / (ended - began))


def _first_seen(steps: list[tuple[float, int]]) -> dict[int, float]:
    """When each place was first covered by what could be seen."""
    found: dict[int, float] = {}
    following = 0
    for at, place in steps:
        found |= dict.fromkeys(range(following, place + 1), at)
        following = place + 1
    return found


def percentile(ordered: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _write_all(uri: str, database: str, rate: float, per_writer: int) -> list[Write]:
    """Runs in a process of its own."""
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client, ThreadPoolExecutor(_WRITERS) as pool:
        collection = client[database][EVENT_LOGS]
        collection.find_one()
        began = time.monotonic() + 0.2

        def write(writer: int) -> list[Write]:
            written = []
            for place in range(per_writer):
                document = event_log(10_000_000 + place * _WRITERS + writer)
                document["timestamp"] = BEGINNING + timedelta(milliseconds=place)
                document["details"]["user_id"] = _name(writer)
                due = began + (place * _WRITERS + writer) / rate
                time.sleep(max(0.0, due - time.monotonic()))
                sent = time.monotonic()
                collection.insert_one(document)
                written.append(Write(writer, place, sent, time.monotonic()))
            return written

        return [each for written in pool.map(write, range(_WRITERS)) for each in written]


def _name(writer: int) -> str:
    return f"writer-{writer}"


def _place(latest: datetime) -> int:
    return round((latest - BEGINNING) / timedelta(milliseconds=1))
