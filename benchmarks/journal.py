"""What the journal of changed keys costs the writer: commits of events with and without somebody who watches.

    python -m benchmarks.journal                   # 300,000 events there, 20 commits of 10,000 updates a round
    python -m benchmarks.journal --commits 5 --changes 100

Rounds alternate: nobody watches, one reader watches the user of an event. Time is that of the whole commit, with the
making of rows, by the service's own session and without MongoDB; processor time is that of PostgreSQL's process for
the session. The figures are ratios of medians.
"""

from __future__ import annotations

import argparse
import random
import time
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import bson
import psycopg
from pydantic import SecretStr

from benchmarks.processes import cpu_seconds
from devstack.postgres import PostgresServer
from replicator_service.app.servers import RealServers
from replicator_service.configuration.settings import Settings
from replicator_service.core.codec import encode_key
from replicator_service.core.events import Change, Operation
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.core.position import Position
from replicator_service.core.replies import Reply
from replicator_service.core.rows import Encoder
from replicator_service.core.steps import CollectionState, Commit, Preparation, PrepareTables
from replicator_service.core.transform import compile_transform
from replicator_service.runtime.state.health import Health

if TYPE_CHECKING:
    from replicator_service.core.sessions import LeaderSession

MAPPING = Path(__file__).parents[1] / "mappings" / "shop.yml"
COLLECTION = "EventLogs"
USERS = 10_000


class Stream:
    """A leader that commits changes of events."""

    def __init__(self, dsn: str) -> None:
        mapping = load_mapping(MAPPING.read_text(encoding="utf-8"), name=MAPPING.name)
        options: dict[str, Any] = {
            "mongo_uri": SecretStr("mongodb://none"),
            "postgres_dsn": SecretStr(dsn),
            "mongo_database": "origin",
        }
        self._leader: LeaderSession = RealServers(
            Settings(**options), mapping, Health("origin", clock=time.monotonic)
        ).open_leader()
        self._leader.try_lease()
        self._epoch = self._leader.raise_epoch().epoch
        self._seconds = count(1_767_225_600)
        events = next(each for each in mapping.collections if each.collection == COLLECTION)
        transform = compile_transform(events)
        self._encoder = Encoder(lambda _: transform)
        self._leader.begin()
        self._leader.apply(PrepareTables((Preparation(events, CollectionState.STREAMING),)))
        self._commit()

    def commit(self, numbers: range | list[int], operation: Operation) -> None:
        """Write events of these numbers, each of some user."""
        reply = Reply(bson.encode({str(place): _event(number) for place, number in enumerate(numbers)}))
        changes = [
            Change(COLLECTION, encode_key(number), operation, 1 << 32, reply, place, number)
            for place, number in enumerate(numbers)
        ]
        self._leader.begin()
        self._leader.write(self._encoder.encode(changes))
        self._commit()

    def close(self) -> None:
        """Give the lease back."""
        self._leader.close()

    def _commit(self) -> None:
        seconds = next(self._seconds)
        self._leader.commit(Commit(Position({"_data": str(seconds)}, seconds << 32), None), self._epoch)


def main() -> None:
    """Prepare the table, alternate the rounds and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--commits", type=int, default=20, help="commits a round")
    parser.add_argument("--changes", type=int, default=10_000, help="changes a commit")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB"}
    with PostgresServer.start(settings=settings) as server:
        stream = Stream(server.dsn())
        for start in range(0, options.events, 10_000):
            stream.commit(range(start, min(start + 10_000, options.events)), Operation.READ)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            seconds: dict[bool, list[float]] = {False: [], True: []}
            spent: dict[bool, list[float]] = {False: [], True: []}
            (backend,) = connection.execute(
                "select pid from pg_stat_activity where application_name like 'replicator%' "
                "order by backend_start limit 1"
            ).fetchone() or (0,)
            for _ in range(options.rounds):
                for is_watched in (False, True):
                    connection.execute("delete from replicator.key_watch")
                    connection.execute("truncate replicator.changed_key")
                    if is_watched:
                        connection.execute(
                            "insert into replicator.key_watch (reader, stream, table_name, key_column) "
                            "values ('benchmark', 'origin', 'event_logs', 'user_id')"
                        )
                    # The first commit learns who watches.
                    stream.commit([0], Operation.UPDATE)
                    before = cpu_seconds(backend)
                    seconds[is_watched].append(_round(stream, options))
                    spent[is_watched].append(cpu_seconds(backend) - before)
        stream.close()
    for what, figures in (("commits", seconds), ("processor of PostgreSQL", spent)):
        for is_watched, taken in figures.items():
            print(
                f"{what}, {'watched' if is_watched else 'not watched'}: {', '.join(f'{each:.2f}' for each in taken)} s"
            )
        print(f"{what}, watched / not watched: {median(figures[True]) / median(figures[False]):.2f}")


def _round(stream: Stream, options: argparse.Namespace) -> float:
    started = perf_counter()
    for _ in range(options.commits):
        stream.commit(random.sample(range(options.events), options.changes), Operation.UPDATE)
    return perf_counter() - started


def _event(number: int) -> dict[str, Any]:
    return {
        "_id": number,
        "event_id": f"event_{number}",
        "event_type": random.choice(("login", "order_placed")),  # noqa: S311 - no secret
        "details": {"user_id": f"user_{random.randrange(USERS)}", "status": "ok"},  # noqa: S311 - no secret
    }


if __name__ == "__main__":
    main()
