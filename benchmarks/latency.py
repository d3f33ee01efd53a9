"""From a commit in MongoDB until the row can be seen in PostgreSQL, at a steady rate of writes.

A process of its own writes with several connections, each of which gives its documents growing times; here, PostgreSQL
is asked again and again how far each of them can be seen. Both processes read the same monotonic clock, and both reach
the servers directly, however far away these are for the service.
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

_POLL_SECONDS = 0.001
_DEADLINE_SECONDS = 60.0

_WRITERS = 10
_ONE_TABLE = """
select w.name, (select max(e.timestamp) from {schema}.event_logs as e where e.user_id = w.name)
from unnest(array[{names}]) with ordinality as w (name, number)
order by w.number
"""

SPREAD = (
    (EVENT_LOGS, "event_logs", "timestamp"),
    ("SearchQueries", "search_queries", "timestamp"),
    ("UserRecommendations", "user_recommendations", "last_updated"),
    ("ModerationQueue", "moderation_queue", "submitted_at"),
    ("SupportTickets", "support_tickets", "updated_at"),
)
"""Collections of the shop with their tables, and the field (and column) that gets the growing times."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write: who made it, its place in the order of that writer, when it was sent and acknowledged."""

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
    uri: str, database: str, connection: Connection, schema: str, *, rate: float, seconds: float, spread: bool = False
) -> Latency:
    """Write for so many seconds at ``rate`` a second, and follow the rows. The service must be streaming.

    With ``spread``, each writer has a collection of its own (:data:`SPREAD`), and every second write is an update;
    otherwise all of them insert into one.
    """
    writers = len(SPREAD) if spread else _WRITERS
    query = _visible(schema, spread=spread)
    seen: list[list[tuple[float, int]]] = [[] for _ in range(writers)]
    per_writer = int(rate * seconds / writers)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        writing = pool.submit(_write_all, uri, database, rate, writers, per_writer, spread)
        deadline = time.monotonic() + seconds + _DEADLINE_SECONDS
        while not all(each and each[-1][1] == per_writer - 1 for each in seen) and time.monotonic() < deadline:
            rows = connection.execute(query).fetchall()
            now = time.monotonic()
            for steps, (_, latest) in zip(seen, rows, strict=True):
                place = -1 if latest is None else _place(latest)
                if place > (steps[-1][1] if steps else -1):
                    steps.append((now, place))
            time.sleep(_POLL_SECONDS)
        writes = writing.result()
    return _latency(writes, seen)


def percentile(ordered: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _visible(schema: str, *, spread: bool) -> bytes:
    if not spread:
        names = ", ".join(f"'{_name(writer)}'" for writer in range(_WRITERS))
        return _ONE_TABLE.format(schema=schema, names=names).encode()
    each = (
        f"select {number}, (select max({column}) from {schema}.{table})"  # noqa: S608 - names of ours
        for number, (_, table, column) in enumerate(SPREAD)
    )
    return (" union all ".join(each) + " order by 1").encode()


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


def _write_all(uri: str, name: str, rate: float, writers: int, per_writer: int, spread: bool) -> list[Write]:  # noqa: FBT001 - a process's
    """Runs in a process of its own."""
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client, ThreadPoolExecutor(writers) as pool:
        database = client[name]
        database[EVENT_LOGS].find_one()
        began = time.monotonic() + 0.2

        def insert(writer: int, place: int) -> None:
            document = event_log(10_000_000 + place * writers + writer)
            document["timestamp"] = _time(place)
            document["details"]["user_id"] = _name(writer)
            database[EVENT_LOGS].insert_one(document)

        def write_own(writer: int, place: int) -> None:
            collection, _, field = SPREAD[writer]
            if place % 2:
                database[collection].update_one({"_id": f"{writer}-{place - 1}"}, {"$set": {field: _time(place)}})
            else:
                database[collection].insert_one({"_id": f"{writer}-{place}", "user_id": "u", field: _time(place)})

        def write(writer: int) -> list[Write]:
            written = []
            for place in range(per_writer):
                due = began + (place * writers + writer) / rate
                time.sleep(max(0.0, due - time.monotonic()))
                sent = time.monotonic()
                (write_own if spread else insert)(writer, place)
                written.append(Write(writer, place, sent, time.monotonic()))
            return written

        return [each for written in pool.map(write, range(writers)) for each in written]


def _name(writer: int) -> str:
    return f"writer-{writer}"


def _time(place: int) -> datetime:
    return BEGINNING + timedelta(milliseconds=place)


def _place(latest: datetime) -> int:
    return round((latest - BEGINNING) / timedelta(milliseconds=1))
