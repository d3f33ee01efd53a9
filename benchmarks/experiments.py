"""Bulk: each experiment takes its raw limits and then the service, on the same data, in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import limits
from benchmarks.backlog import load, write_rounds
from benchmarks.documents import EVENT_LOGS, SUPPORT_TICKETS, event_log, support_ticket
from benchmarks.lab import MAPPING, Lab, Progress, shop_collection
from benchmarks.latency import measure_latency, percentile
from benchmarks.results import MIB, Bounds, Results
from benchmarks.writing import batches_of, batches_of_backlog, raw_tables
from replicator_service.core.mapping.model import tables_of
from replicator_service.core.naming import schema_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.documents import Document

BACKLOG = 200_000
MILLION = 1_000_000
EXISTING = 50_000
FLAT = 300_000
NESTED = 100_000
RATE = 500.0
SECONDS = 20.0

_MEMORY_OF_BACKLOG = Bounds(180, 120, at_most=True)
_TABLES = {"event_logs": EVENT_LOGS, "support_tickets": SUPPORT_TICKETS}


def catch_up(lab: Lab, results: Results, scale: float) -> None:
    """A backlog of changes that exists before the service starts, with the shop's mapping and without one."""
    events, existing = int(BACKLOG * scale), int(EXISTING * scale)
    section = "catch-up"
    collection = shop_collection(EVENT_LOGS)
    batches = batches_of_backlog(collection, events, existing)
    with raw_tables(lab.dsn, tables_of(collection)) as writer:
        writer.copy(batches_of(collection, event_log, existing))
        results.add(section, "COPY + merge alone, same changes", writer.merge(batches), "events/s")
    del batches
    database = lab.client["catch_up"]
    replicate_existing(lab, "catch_up", existing, mapping=MAPPING)
    span = write_rounds(database, events, existing)
    raw = limits.drain(database, span, events, decoded=False)
    results.add(section, "change stream drained, raw", raw, "events/s")
    drained = limits.drain(database, span, events, decoded=True)
    results.add(section, "change stream drained, decoded", drained, "events/s")
    run = lab.measure("catch_up", mapping=MAPPING, done=lambda p: p.cluster_time >= span.end)
    rate = results.rate(section, "service, shop mapping", events, run)
    results.memory(section, run)
    require_equal(lab, "catch_up", "event_logs")
    results.add(section, "service / change stream drained, raw", rate / raw, "", Bounds(0.75, 0.9))
    results.add(section, "CPU of the service", run.service_cpu / events * 1e6, "µs/change", Bounds(7, 4, at_most=True))

    replicate_existing(lab, "catch_up_documents", existing, mapping=None)
    span = write_rounds(lab.client["catch_up_documents"], events, existing)
    run = lab.measure("catch_up_documents", mapping=None, done=lambda p: p.cluster_time >= span.end)
    results.rate(section, "service, document tables", events, run)
    require_equal(lab, "catch_up_documents", "event_logs")
    for name in ("catch_up", "catch_up_documents"):
        lab.client.drop_database(name)


def first_load(lab: Lab, results: Results, scale: float) -> None:
    """Everything that exists, read for the first time and compared: flat events, and tickets with their messages."""
    _first_load(lab, results, "flat", EVENT_LOGS, event_log, int(FLAT * scale))
    _first_load(lab, results, "nested", SUPPORT_TICKETS, support_ticket, int(NESTED * scale))


def _first_load(lab: Lab, results: Results, kind: str, name: str, make: Callable[[int], Document], count: int) -> None:
    section, unit, is_flat = f"first load, {kind}", "documents/s", kind == "flat"
    source = f"first_load_{kind}"
    collection = shop_collection(name)
    tables = tables_of(collection)
    batches = batches_of(collection, make, count)
    with raw_tables(lab.dsn, tables) as writer:
        results.add(section, "COPY alone", writer.copy(batches), unit)
    with raw_tables(lab.dsn, tables) as writer:
        results.add(section, "COPY + merge alone, new rows", writer.merge(batches), unit)
    del batches
    database = lab.fresh_source(source)
    load(database, name, make, count)
    results.add(section, "scan, raw", limits.scan(database, name, count, decoded=False), unit)
    scanned = limits.scan(database, name, count, decoded=True)
    results.add(section, "scan, decoded", scanned, unit)
    run = lab.measure(source, mapping=MAPPING, done=is_streaming)
    results.rate(section, "service", count, run, unit)
    bounds = Bounds(3, 1.5, at_most=True) if is_flat else Bounds(12, 6, at_most=True)
    results.add(section, "CPU of the service", run.service_cpu / count * 1e6, "µs/document", bounds)
    results.memory(section, run, None if is_flat else Bounds(200, 120, at_most=True))
    require_equal(lab, source, tables[0].name)
    compared = count / lab.reconcile(source, name, mapping=MAPPING)
    results.add(section, "reconciliation", compared, unit)
    bounds = Bounds(0.6, 1.0) if is_flat else Bounds(0.5, 0.8)
    results.add(section, "reconciliation / scan, decoded", compared / scanned, "", bounds)
    lab.client.drop_database(source)


def latency(lab: Lab, results: Results, scale: float) -> None:
    """500 writes a second with MongoDB's default durability, while the service streams."""
    source = "latency"
    load(lab.fresh_source(source), EVENT_LOGS, event_log, 1_000)
    section = f"latency at {RATE:.0f} writes/s"
    with lab.service(source, mapping=MAPPING) as process:
        lab.wait(process, source, lambda p: p.cluster_time > 0 and is_streaming(p))
        measured = measure_latency(
            lab.stack.mongo.uri,
            source,
            lab.connection,
            schema_name(source),
            rate=RATE,
            seconds=max(3.0, SECONDS * min(1.0, scale)),
        )
    results.add(section, "writes", measured.rate, "writes/s")
    for share, bounds in ((0.5, Bounds(6, 4, at_most=True)), (0.99, Bounds(25, 12, at_most=True))):
        name = f"p{share * 100:.0f}"
        results.add(section, f"{name}, sent → visible", percentile(measured.from_sending, share) * 1e3, "ms")
        value = percentile(measured.from_acknowledgement, share) * 1e3
        results.add(section, f"{name}, acknowledged → visible", value, "ms", bounds)
    lab.client.drop_database(source)


def million(lab: Lab, results: Results, scale: float) -> None:
    """Memory while a backlog of a million changes is caught up with."""
    events, existing = int(MILLION * scale), int(EXISTING * scale)
    replicate_existing(lab, "million", existing, mapping=MAPPING)
    lab.say(f"writing {events:,} changes")
    span = write_rounds(lab.client["million"], events, existing)
    run = lab.measure("million", mapping=MAPPING, done=lambda p: p.cluster_time >= span.end)
    section = "catch-up with a million"
    results.rate(section, "service, shop mapping", events, run)
    results.memory(section, run, _MEMORY_OF_BACKLOG)
    require_equal(lab, "million", "event_logs")
    lab.client.drop_database("million")


def large_documents(lab: Lab, results: Results, _scale: float) -> None:
    """Six documents of nearly 13 MB that are made of small fields: loaded, read again, updated."""
    source = "large_documents"
    collection = lab.fresh_source(source)["large"]
    # The small cache of these servers takes no such document unless others have made it ready for more.
    _set_cache(lab, "1GB")
    fields = {f"f{number:06d}": number for number in range(960_000)}
    for number in range(6):
        collection.insert_one({"_id": number, **fields})
    del fields
    with lab.service(source, mapping=None) as process:
        lab.wait(process, source, lambda p: p.cluster_time > 0 and is_streaming(p))
        epoch = lab.resyncs(source)
        lab.replicator(source, "resync", "large")
        lab.wait(process, source, lambda p: lab.resyncs(source) > epoch and is_streaming(p))
        collection.update_many({}, {"$set": {"f000000": -1}})
        end = lab.now()
        lab.wait(process, source, lambda p: p.cluster_time >= end)
        peak = lab.peak(process)
    results.add("large documents", "memory of the service at most", peak / MIB, "MiB", Bounds(400, 300, at_most=True))
    lab.client.drop_database(source)
    _set_cache(lab, "256MB")


def _set_cache(lab: Lab, size: str) -> None:
    lab.client.admin.command({"setParameter": 1, "wiredTigerEngineRuntimeConfig": f"cache_size={size}"})


def growth(lab: Lab, results: Results, scale: float, *, sizes: tuple[int, ...] = (100_000, 1_000_000)) -> None:
    """What a document costs in a first load, at several sizes."""
    section = "growth, first load"
    costs = []
    for size in sizes:
        count, source = int(size * scale), f"growth_{size}"
        lab.say(f"loading {count:,} documents into MongoDB")
        load(lab.fresh_source(source), EVENT_LOGS, event_log, count)
        run = lab.measure(source, mapping=MAPPING, done=is_streaming)
        results.rate(section, f"service, {size / MILLION:g} million", count, run, "documents/s")
        costs.append((run.service_cpu + run.mongod_cpu + run.postgres_cpu) / count)
        require_equal(lab, source, "event_logs")
        lab.client.drop_database(source)
    name = f"CPU of a document at {sizes[-1] / MILLION:g} million / at {sizes[0] / MILLION:g}"
    results.add(section, name, costs[-1] / costs[0], "", Bounds(1.2, 1.1, at_most=True))


def replicate_existing(lab: Lab, source: str, count: int, *, mapping: Path | None) -> None:
    """Let the service replicate what exists before the backlog, and stop it."""
    load(lab.fresh_source(source), EVENT_LOGS, event_log, count)
    lab.measure(source, mapping=mapping, done=is_streaming)


def is_streaming(progress: Progress) -> bool:
    """Whether everything has been read."""
    return not progress.is_snapshotting


def require_equal(lab: Lab, source: str, table: str) -> None:
    """A rate counts only when nothing is missing."""
    documents, rows = lab.client[source][_TABLES[table]].count_documents({}), lab.rows(source, table)
    if documents != rows:
        raise AssertionError(f"{source}: {documents} documents and {rows} rows")
