"""What is measured: each experiment takes its raw limits and then the service, on the same data, in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import limits
from benchmarks.backlog import load, write_rounds
from benchmarks.documents import EVENT_LOGS, SUPPORT_TICKETS, event_log, support_ticket
from benchmarks.lab import MAPPING, Lab, Progress, Run, shop_collection
from benchmarks.latency import measure_latency, percentile
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

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. A rate of the service comes with the run and how many events or documents it had."""

    name: str
    value: float
    unit: str
    run: Run | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """A number with the bounds of the design; ``at_most`` says that small is good."""

    name: str
    value: float
    must: float
    goal: float
    unit: str = ""
    at_most: bool = False

    @property
    def reaches_must(self) -> bool:
        """Whether the number is good enough."""
        return self.value <= self.must if self.at_most else self.value >= self.must

    @property
    def reaches_goal(self) -> bool:
        """Whether the number is as good as it should become."""
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass(slots=True)
class Results:
    """Everything that was measured, by section, and what it means."""

    sections: dict[str, list[Figure]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def rate(self, section: str, name: str, value: float, *, run: Run | None = None, number: int = 1) -> float:
        """Add a rate a second; of the service, with the run and its ``number`` of events. Gives the rate."""
        unit = "documents/s" if section.startswith("first load") else "events/s"
        self.add(section, Figure(name, value, unit, run, number))
        return value

    def add(self, section: str, figure: Figure) -> None:
        """Add any other number."""
        self.sections.setdefault(section, []).append(figure)


def catch_up(lab: Lab, results: Results, scale: float) -> None:
    """A backlog of changes that exists before the service starts, with the shop's mapping and without one."""
    events, existing = int(BACKLOG * scale), int(EXISTING * scale)
    section = "catch-up"
    collection = shop_collection(EVENT_LOGS)
    batches = batches_of_backlog(collection, events, existing)
    with raw_tables(lab.dsn, tables_of(collection)) as writer:
        writer.copy(batches_of(collection, event_log, existing))
        merge = results.rate(section, "COPY + merge alone, same changes", writer.merge(batches))
    del batches
    database = lab.client["catch_up"]
    _replicate_existing(lab, "catch_up", existing, mapping=MAPPING)
    span = write_rounds(database, events, existing)
    results.rate(section, "change stream drained, raw", limits.drain(database, span, events, decoded=False))
    drained = limits.drain(database, span, events, decoded=True)
    results.rate(section, "change stream drained, decoded", drained)
    run = lab.measure("catch_up", mapping=MAPPING, done=lambda p: p.cluster_time >= span.end)
    rate = results.rate(section, "service, shop mapping", events / run.seconds, run=run, number=events)
    results.add(section, _memory(run))
    results.verdicts.append(Verdict("catch-up / min(drain, merge)", rate / min(drained, merge), 0.5, 0.75))
    results.verdicts.append(_memory_verdict(run, f"memory, backlog of {events:,}"))
    _require_equal(lab, "catch_up", "event_logs")

    _replicate_existing(lab, "catch_up_documents", existing, mapping=None)
    span = write_rounds(lab.client["catch_up_documents"], events, existing)
    run = lab.measure("catch_up_documents", mapping=None, done=lambda p: p.cluster_time >= span.end)
    results.rate(section, "service, document tables", events / run.seconds, run=run, number=events)
    results.add(section, _memory(run))
    _require_equal(lab, "catch_up_documents", "event_logs")
    for name in ("catch_up", "catch_up_documents"):
        lab.client.drop_database(name)


def first_load(lab: Lab, results: Results, scale: float) -> None:
    """Everything that exists, read for the first time and compared: flat events, and tickets with their messages."""
    _first_load(lab, results, "flat", EVENT_LOGS, event_log, int(FLAT * scale))
    _first_load(lab, results, "nested", SUPPORT_TICKETS, support_ticket, int(NESTED * scale))


def _first_load(lab: Lab, results: Results, kind: str, name: str, make: Callable[[int], Document], count: int) -> None:
    section = f"first load, {kind}"
    source = f"first_load_{kind}"
    collection = shop_collection(name)
    tables = tables_of(collection)
    batches = batches_of(collection, make, count)
    with raw_tables(lab.dsn, tables) as writer:
        results.rate(section, "COPY alone", writer.copy(batches))
    with raw_tables(lab.dsn, tables) as writer:
        merged = results.rate(section, "COPY + merge alone, new rows", writer.merge(batches))
        results.rate(section, "COPY + merge alone, existing rows", writer.merge(batches))
    del batches
    database = lab.fresh_source(source)
    load(database, name, make, count)
    results.rate(section, "scan, raw", limits.scan(database, name, count, decoded=False))
    scanned = results.rate(section, "scan, decoded", limits.scan(database, name, count, decoded=True))
    run = lab.measure(source, mapping=MAPPING, done=lambda p: not p.is_snapshotting)
    rate = results.rate(section, "service", count / run.seconds, run=run, number=count)
    results.add(section, _memory(run))
    results.verdicts.append(Verdict(f"{section} / min(scan, merge)", rate / min(scanned, merged), 0.5, 0.8))
    _require_equal(lab, source, tables[0].name)
    compared = results.rate(section, "reconciliation", count / lab.reconcile(source, name, mapping=MAPPING))
    results.verdicts.append(Verdict(f"reconciliation, {kind} / scan decoded", compared / scanned, 0.4, 0.8))
    lab.client.drop_database(source)


def latency(lab: Lab, results: Results, scale: float) -> None:
    """500 writes a second with MongoDB's default durability, while the service streams."""
    source = "latency"
    database = lab.fresh_source(source)
    load(database, EVENT_LOGS, event_log, 1_000)
    section = f"latency at {RATE:.0f} writes/s"
    with lab.service(source, mapping=MAPPING) as process:
        lab.wait(process, source, lambda p: p.cluster_time > 0 and not p.is_snapshotting)
        measured = measure_latency(
            lab.stack.mongo.uri,
            source,
            lab.connection,
            schema_name(source),
            rate=RATE,
            seconds=max(3.0, SECONDS * min(1.0, scale)),
        )
    results.add(section, Figure("writes", measured.rate, "writes/s"))
    for share, must, goal in ((0.5, 20.0, 8.0), (0.99, 100.0, 30.0)):
        name = f"p{share * 100:.0f}"
        since_sent = percentile(measured.from_sending, share) * 1e3
        value = percentile(measured.from_acknowledgement, share) * 1e3
        results.add(section, Figure(f"{name}, sent → visible", since_sent, "ms"))
        results.add(section, Figure(f"{name}, acknowledged → visible", value, "ms"))
        results.verdicts.append(Verdict(f"latency {name}", value, must, goal, "ms", at_most=True))
    lab.client.drop_database(source)


def million(lab: Lab, results: Results, scale: float) -> None:
    """Memory while a backlog of a million changes is caught up with."""
    events, existing = int(MILLION * scale), int(EXISTING * scale)
    _replicate_existing(lab, "million", existing, mapping=MAPPING)
    span = write_rounds(lab.client["million"], events, existing)
    run = lab.measure("million", mapping=MAPPING, done=lambda p: p.cluster_time >= span.end)
    section = f"catch-up with {events:,}"
    results.rate(section, "service, shop mapping", events / run.seconds, run=run, number=events)
    results.add(section, _memory(run))
    results.verdicts.append(_memory_verdict(run, f"memory, backlog of {events:,}"))
    _require_equal(lab, "million", "event_logs")
    lab.client.drop_database("million")


EXPERIMENTS: dict[str, Callable[[Lab, Results, float], None]] = {
    "catch-up": catch_up,
    "first-load": first_load,
    "latency": latency,
    "million": million,
}


def _replicate_existing(lab: Lab, source: str, count: int, *, mapping: Path | None) -> None:
    """Let the service replicate what exists before the backlog, and stop it."""
    load(lab.fresh_source(source), EVENT_LOGS, event_log, count)
    lab.measure(source, mapping=mapping, done=_is_streaming)


def _is_streaming(progress: Progress) -> bool:
    return not progress.is_snapshotting


def _require_equal(lab: Lab, source: str, table: str) -> None:
    """A rate counts only when nothing is missing."""
    names = {"event_logs": EVENT_LOGS, "support_tickets": SUPPORT_TICKETS}
    documents, rows = lab.client[source][names[table]].count_documents({}), lab.rows(source, table)
    if documents != rows:
        raise AssertionError(f"{source}: {documents} documents and {rows} rows")


def _memory(run: Run) -> Figure:
    return Figure("  its memory at most", run.peak_bytes / _MIB, "MiB")


def _memory_verdict(run: Run, name: str) -> Verdict:
    return Verdict(name, run.peak_bytes / _MIB, 250, 150, "MiB", at_most=True)
