"""Parts as a scheduler treats them: shared, lost, interrupted, compared again, none at all."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from replicator_service.reconcile import (
    Options,
    RunState,
    differences_of,
    finish_run,
    plan_parts,
    reconcile_part,
    repair,
    shares,
    start_run,
)
from replicator_service.reconcile.attempt import INTERRUPTED
from replicator_service.source.read.opening import opened_sources
from tests.support.reconciliation import MAPPING, corrupt, order
from tests.support.replication import Replication, replicating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

    from tests.support.databases import Sink, Source

REPAIR = Options(repair=True, allow_deletes=1, timeout_seconds=20.0)


@pytest.fixture
def replication(source: Source, sink: Sink) -> Iterator[Replication]:
    """Orders and two document collections, replicated."""
    source.db.Orders.insert_many([{"_id": number, **order(number)} for number in range(40)])
    source.db.notes.insert_many([{"_id": number} for number in range(20)])
    source.db["odd"].insert_one({"_id": 1})
    with replicating(source, sink, MAPPING) as replication:
        replication.catch_up()
        yield replication


@pytest.fixture
def warehouse(sink: Sink) -> Iterator[Connection[Any]]:
    """A connection of somebody who changes rows by hand."""
    with sink.connect() as connection:
        yield connection


def test_collections_that_share_a_part_are_compared_repaired_and_told_each(
    replication: Replication, source: Source, warehouse: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "FEW", 1)
    (part,) = plan_parts(replication.settings)
    assert part.collections == ("Orders", "notes", "odd")
    corrupt(warehouse, source, "delete from {notes} where _id = '$number:7'")
    corrupt(warehouse, source, "update {orders} set city = 'Nowhere' where number < 3")
    warehouse.execute("update replicator.collection set state = 'paused' where collection = 'odd'")

    run = start_run(replication.settings, options=REPAIR)
    found = reconcile_part(replication.settings, MAPPING, part, run, options=REPAIR)
    assert (found.collection, found.documents, found.differences, found.repaired) == (None, 60, 4, 4)
    result = finish_run(replication.settings, run, planned=[part])
    stored = differences_of(replication.settings, run)
    assert {name for name, _ in stored} == {"Orders", "notes"}
    assert result.state is RunState.FINISHED
    assert result.not_proved == ("odd: paused: 'replicator resume odd' reads it again",)
    assert not result.is_whole_proof


def test_a_worker_that_is_killed_between_two_repairs_leaves_a_whole_report(
    replication: Replication, source: Source, warehouse: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(warehouse, source, "update {orders} set city = 'Nowhere' where number < 10")
    corrupt(warehouse, source, "insert into {orders} (_id, etl_valid_from) values ('planted', now())")
    (part,) = plan_parts(replication.settings, collections=["Orders"])
    run = start_run(replication.settings, collections=["Orders"], options=REPAIR)
    monkeypatch.setattr(repair, "_BATCH_KEYS", 3)
    kept, times = repair.Repair._write_once, 0

    def killed(self: repair.Repair, ids: dict[str, Any]) -> set[str]:
        nonlocal times
        times += 1
        if times == 3:
            raise KeyboardInterrupt
        return kept(self, ids)

    monkeypatch.setattr(repair.Repair, "_write_once", killed)
    with pytest.raises(KeyboardInterrupt):
        reconcile_part(replication.settings, MAPPING, part, run, options=REPAIR)
    monkeypatch.setattr(repair.Repair, "_write_once", kept)
    interrupted = finish_run(replication.settings, run, planned=[part])
    assert (interrupted.state, interrupted.error) == (RunState.FAILED, f"Orders: {INTERRUPTED}")
    assert (interrupted.differences, interrupted.repaired) == (4, 4)

    reconcile_part(replication.settings, MAPPING, part, run, options=REPAIR)
    result = finish_run(replication.settings, run, planned=[part])
    assert (result.state, result.error) == (RunState.FINISHED, None)
    assert (result.documents, result.differences, result.repaired) == (40, 11, 11)
    assert len(differences_of(replication.settings, run)) == 11

    # Cleared afterwards: nothing is found any more, and nothing of what was done is forgotten.
    reconcile_part(replication.settings, MAPPING, part, run, options=REPAIR)
    assert finish_run(replication.settings, run, planned=[part]).repaired == 11


def test_a_part_that_nobody_has_compared_fails_the_run_until_somebody_does(replication: Replication) -> None:
    orders, notes, odd = plan_parts(replication.settings)
    run = start_run(replication.settings)
    for part in (orders, odd):
        reconcile_part(replication.settings, MAPPING, part, run)
    lost = finish_run(replication.settings, run, planned=[orders, notes, odd])
    assert (lost.state, lost.error) == (RunState.FAILED, "not compared: notes")
    reconcile_part(replication.settings, MAPPING, notes, run)
    found = finish_run(replication.settings, run, planned=[orders, notes, odd])
    assert (found.state, found.error, found.is_whole_proof) == (RunState.FINISHED, None, True)


def test_what_was_mended_meanwhile_is_no_difference_of_the_run_any_more(
    replication: Replication, source: Source, warehouse: Connection[Any]
) -> None:
    corrupt(warehouse, source, "update {orders} set city = 'Nowhere' where number < 3")
    (part,) = plan_parts(replication.settings, collections=["Orders"])
    run = start_run(replication.settings, collections=["Orders"])
    assert reconcile_part(replication.settings, MAPPING, part, run).remaining == 3
    corrupt(warehouse, source, "update {orders} set city = 'City ' || number where number < 3")
    assert reconcile_part(replication.settings, MAPPING, part, run).remaining == 0
    assert differences_of(replication.settings, run) == []


def test_an_empty_plan_ends_as_a_proof_of_nothing(source: Source, sink: Sink) -> None:
    with replicating(source, sink, MAPPING) as replication:
        source.db.Orders.insert_one({"_id": 1})
        replication.catch_up()
        with sink.connect() as connection:
            connection.execute("delete from replicator.collection")
        source.db.Orders.drop()
        assert plan_parts(replication.settings) == []
        run = start_run(replication.settings)
        result = finish_run(replication.settings, run, planned=[])
    assert (result.state, result.documents, result.is_whole_proof) == (RunState.FINISHED, 0, True)


def test_many_ranges_of_one_collection_are_about_equal(source: Source) -> None:
    source.db.large.insert_many([{"_id": number} for number in range(120_000)])
    with opened_sources(source.uri, source.name, app_name="test") as (reader,):
        places = reader.boundaries("large", 10_000)
    assert len(places) > 9_000
    assert source.db.large.count_documents({"_id": {"$gte": _number(places[-1])}}) < 1_000


def _number(place: bytes) -> int:
    return int.from_bytes(place[-5:-1], "little")


def test_processes_compare_parts_of_their_own(
    replication: Replication, source: Source, warehouse: Connection[Any]
) -> None:
    source.db.Orders.insert_many([{"_id": number, **order(number)} for number in range(40, 1_000)])
    replication.catch_up()
    corrupt(warehouse, source, "delete from {orders} where _id = '$number:500'")
    corrupt(warehouse, source, "update {notes} set doc = '{{}}' where _id = '$number:7'")
    program = (
        "import sys, pickle; from replicator_service.reconcile import Options, reconcile, run; "
        "run.PART_DOCUMENTS = 8 * 300; settings, mapping = pickle.load(sys.stdin.buffer); "
        "found = reconcile(settings, mapping, options=Options(repair=True), processes=2); "
        "print(found.documents, found.differences, found.repaired, *sorted(part.label for part in found.parts))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((replication.settings, replication.mapping)),
        capture_output=True,
        timeout=60,
        check=False,
    )
    ranges = [f"Orders {number}/4" for number in range(1, 5)]
    told = " ".join(["1021", "2", "2", *ranges, "Orders keys", "notes", "odd"])
    assert done.stdout.decode().strip() == told, done.stderr.decode()
