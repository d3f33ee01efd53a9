"""Many collections, and the start of a process: what is paid before the first document."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from benchmarks.lab import MAPPING
from benchmarks.results import Bounds

if TYPE_CHECKING:
    from benchmarks.lab import Lab, Progress
    from benchmarks.results import Results

COLLECTIONS = 5_000
_CREATORS = 4
_STARTS = 3


def many_collections(lab: Lab, results: Results, scale: float) -> None:
    """Collections of one document each, from the start of the process until all of them are streamed."""
    count, source = int(COLLECTIONS * scale), "many"
    database = lab.fresh_source(source)
    lab.say(f"making {count:,} collections in MongoDB")
    with ThreadPoolExecutor(_CREATORS) as pool:
        list(pool.map(lambda number: database[f"c{number}"].insert_one({"n": number}), range(count)))

    def all_streaming(progress: Progress) -> bool:
        if progress.is_snapshotting:
            return False
        query = "select count(*) from replicator.collection where stream = %s and state = 'streaming'"
        row = lab.connection.execute(query, (source,)).fetchone()
        return row is not None and row[0] >= count

    run = lab.measure(source, mapping=None, done=all_streaming)
    # A bound holds for all of them: at a scale, for its part.
    bounds = Bounds(60 * scale, 20 * scale, at_most=True)
    section = "many collections"
    results.add(section, f"{count:,} of one document, until streaming", run.seconds_from_start, "s", bounds)
    results.memory(section, run)
    lab.client.drop_database(source)
    with psycopg.connect(lab.dsn, autocommit=True) as connection:
        # One by one: thousands of locks are more than one transaction may take.
        names = connection.execute("select tablename from pg_tables where schemaname = %s", (source,)).fetchall()
        for (name,) in names:
            connection.execute(psycopg.sql.SQL("drop table {}").format(psycopg.sql.Identifier(source, name)))


def starting(lab: Lab, results: Results, _scale: float) -> None:
    """From the start of the process: until it leads, where it has led before, and what short commands take."""
    section, source = "start", "starting"
    lab.fresh_source(source)["EventLogs"].insert_one({"event_id": "1"})
    lab.measure(source, mapping=MAPPING, done=lambda p: not p.is_snapshotting)
    best = min(_until_it_leads(lab, source) for _ in range(_STARTS))
    results.add(section, "replicator run, until it leads", best, "s", Bounds(0.5, 0.4, at_most=True))
    with lab.service(source, mapping=MAPPING) as process:
        epoch = lab.progress(source).epoch
        lab.wait(process, source, lambda p: p.epoch >= epoch and bool(process.path()))
        for command in ("health", "status"):
            seconds = min(_takes(lab, command, process.url) for _ in range(_STARTS))
            results.add(section, f"replicator {command}", seconds, "s", Bounds(0.5, 0.25, at_most=True))
    lab.client.drop_database(source)


def _until_it_leads(lab: Lab, source: str) -> float:
    epoch = lab.progress(source).epoch
    began = time.perf_counter()
    with lab.service(source, mapping=MAPPING) as process:
        lab.wait(process, source, lambda p: p.epoch > epoch)
        return time.perf_counter() - began


def _takes(lab: Lab, command: str, url: str) -> float:
    program = lab.program or Path(sys.executable).with_name("replicator")
    began = time.perf_counter()
    subprocess.run([program, command, "--url", url], capture_output=True, check=True, timeout=60)  # noqa: S603 - our own command
    return time.perf_counter() - began
