"""How much faster two workers reconcile than one, part by part, as Airflow's workers do.

    python -m benchmarks.workers                        # 100,000 events in 8 ranges, both servers 50 ms away
    python -m benchmarks.workers --milliseconds 0       # as near as they are: the machine's cores decide
    python -m benchmarks.workers --plan 10000           # how long it takes to plan so many ranges

A worker is a process that takes the next part when it is done with one. With distant servers it mostly waits, so the
figure says how independent workers are of each other where each finds a free core; without distance it says what is
left of that on the cores of this machine, which MongoDB and PostgreSQL share. Rounds alternate: one, two, two, one.
The processor time of the workers is told, since a part must not cost more because there is another worker.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from benchmarks.lab import MAPPING, running_lab
from devstack.ports import LOOPBACK
from devstack.proxy import TcpProxy
from replicator_service.configuration.settings import Settings
from replicator_service.core.mapping.loader import load_mapping
from replicator_service.reconcile import Part, finish_run, plan_parts, reconcile_part, start_run

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier

    from benchmarks.lab import Lab

SOURCE = "workers"
COLLECTION = "EventLogs"
PARTS = 8
ROUNDS = (1, 2, 2, 1)


def main() -> None:
    """Fill both servers, compare with one worker and with two, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--milliseconds", type=int, default=50, help="the round trip to both servers")
    parser.add_argument("--plan", type=int, help="plan so many ranges instead")
    parser.add_argument("--directory", type=Path, default=Path(".devstack/workers"))
    options = parser.parse_args()
    with running_lab(options.directory.resolve()) as lab:
        _fill(lab, options.documents)
        # It stays: a reconciliation compares at the service's position, which has to move on to be readable.
        with lab.service(SOURCE, mapping=MAPPING) as service:
            lab.wait(service, SOURCE, lambda progress: progress.cluster_time > 0 and not progress.is_snapshotting)
            if options.plan:
                _time_plan(lab, options.documents, options.plan)
            else:
                _time_workers(lab, options.documents, options.milliseconds)


def _fill(lab: Lab, documents: int) -> None:
    collection = lab.fresh_source(SOURCE)[COLLECTION]
    for start in range(0, documents, 10_000):
        numbers = range(start, min(start + 10_000, documents))
        collection.insert_many(
            [{"_id": n, "event_type": "login", "details": {"user_id": f"user_{n % 1000}"}} for n in numbers]
        )


def _settings(mongo_uri: str, dsn: str) -> Settings:
    options: dict[str, Any] = {
        "mongo_uri": SecretStr(mongo_uri),
        "postgres_dsn": SecretStr(dsn),
        "mongo_database": SOURCE,
    }
    return Settings(**options)


def _time_plan(lab: Lab, documents: int, ranges: int) -> None:
    started = time.perf_counter()
    parts = plan_parts(_settings(lab.stack.mongo.uri, lab.dsn), part_documents=max(1, documents // ranges))
    print(f"{len(parts):,} parts of {documents:,} documents planned in {time.perf_counter() - started:.1f} s")


def _time_workers(lab: Lab, documents: int, milliseconds: int) -> None:
    member = lab.stack.mongo.members[0]
    with ExitStack() as stack:
        ports = [
            stack.enter_context(TcpProxy(port, round_trip=milliseconds / 1e3)).port if milliseconds else port
            for port in (member.port, lab.stack.postgres.port)
        ]
        uri = member.uri.replace(f":{member.port}", f":{ports[0]}")
        settings = _settings(uri, make_conninfo(lab.dsn, host=LOOPBACK, port=ports[1]))
        parts = [
            part.as_json()
            for part in plan_parts(_settings(lab.stack.mongo.uri, lab.dsn), part_documents=documents // PARTS)
        ]
        seconds: dict[int, list[float]] = {1: [], 2: []}
        spent: dict[int, list[float]] = {1: [], 2: []}
        for workers in ROUNDS:
            taken, processor = _round(settings, parts, workers)
            seconds[workers].append(taken)
            spent[workers].append(processor)
            print(f"{workers} workers: {len(parts)} parts in {taken:.1f} s, {processor:.1f} s of the processor")
    print(f"servers {milliseconds} ms away: two workers are {median(seconds[1]) / median(seconds[2]):.2f} times one")
    print(f"processor time of two workers / of one: {median(spent[2]) / median(spent[1]):.2f}")


def _round(settings: Settings, parts: list[dict[str, Any]], workers: int) -> tuple[float, float]:
    """The seconds from when all workers are ready until the last part is done, and their processor time."""
    run = start_run(settings)
    context = multiprocessing.get_context("spawn")
    waiting, spent, ready = context.Queue(), context.Queue(), context.Barrier(workers + 1)
    for part in [*parts, *[None] * workers]:
        waiting.put(part)
    processes = [
        context.Process(target=_work, args=(settings, run, waiting, spent, ready), daemon=True) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    ready.wait(60)
    started = time.perf_counter()
    processor = sum(spent.get() for _ in processes)
    taken = time.perf_counter() - started
    for process in processes:
        process.join()
    result = finish_run(settings, run, planned=[Part.from_json(part) for part in parts])
    if result.error or result.differences:
        raise AssertionError(f"what is equal was not found so: {result}")
    return taken, processor


def _work(
    settings: Settings, run: int, waiting: Queue[dict[str, Any] | None], spent: Queue[float], ready: Barrier
) -> None:
    mapping = load_mapping(MAPPING.read_text(encoding="utf-8"), name=MAPPING.name)
    ready.wait(60)
    before = time.process_time()
    while (part := waiting.get()) is not None:
        reconcile_part(settings, mapping, Part.from_json(part), run)
    spent.put(time.process_time() - before)


if __name__ == "__main__":
    main()
