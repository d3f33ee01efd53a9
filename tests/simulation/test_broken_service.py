"""The simulator finds what it is there to find: each test takes one of the service's mechanisms out.

A plan is short, so that what it needs is seen. Which interleaving breaks it is looked for among a few dozen seeds; with
the mechanism in its place, all of them hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from replicator_service.app.service import Service
from replicator_service.core.steps import EmptyTables
from replicator_service.pipeline.collection import Snapshot
from replicator_service.pipeline.marks import Marks
from replicator_service.pipeline.planner import Planner
from replicator_service.pipeline.readers import Readers
from replicator_service.pipeline.reading import Reads
from replicator_service.pipeline.snapshots import Snapshots
from simulation.mongo import source as mongo_source
from simulation.mongo import stream as mongo_stream
from simulation.mongo.replication import Abilities
from simulation.mongo.source import ModelSource, _order_of
from simulation.plan import Action, Plan, Setup
from simulation.run import run
from tests.support.examples import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from replicator_service.pipeline.readers import Chunk

SEEDS = 30
DOCUMENTS = tuple(("typed", f"k{number}", number) for number in range(1, 6))
SETUP = Setup(documents=DOCUMENTS, chunk_documents=2, delay=0.1, stay=0.2)


def plan(*actions: tuple[Any, ...], setup: Setup = SETUP) -> Plan:
    """Actions as they are written below: seconds, kind, arguments."""
    return Plan(0, setup, tuple(Action(after, kind, tuple(arguments)) for after, kind, *arguments in actions))


PLANS = {
    "a resync of what lives": plan((2.0, "resync", "typed"), (0.6, "postgres_restore"), (2.0, "put", "typed", "k1", 3)),
    "a delete that is missed": plan(
        (3.0, "kill", 0, 5.0),
        (0.0, "delete", "typed", "k2"),
        (0.1, "put", "typed", "k9", 1),
        (0.1, "truncate"),
        (6.0, "put", "typed", "k1", 3),
    ),
    "a queue's tail goes during a resync": plan(
        *(
            action
            for _ in range(6)
            for action in (
                (2.0, "resync", "typed"),
                *(each for n in range(6) for each in ((0.2, "delete", "typed", "k5"), (0.2, "put", "typed", "k5", n))),
            )
        ),
        setup=replace(SETUP, chunk_documents=10),
    ),
    "writes during the first load": plan(
        (0.0, "put", "typed", "k4", 7), (0.0, "delete", "typed", "k5"), (0.1, "put", "typed", "k1", 8)
    ),
    "many writes during the first load": plan(
        *((0.02 * (n % 5), "put", "typed", f"k{1 + n % 5}", 3 + n) for n in range(40)),
        setup=replace(SETUP, poll_events=1, batch_events=1),
    ),
    "several ranges": plan(
        (0.1, "put", "typed", "k3", 7),
        (0.0, "delete", "typed", "k2"),
        (0.0, "put", "typed", "k0", 8),
        setup=replace(SETUP, range_documents=2, snapshot_workers=3),
    ),
    "lost history, answered by another instance": plan(
        (3.0, "postgres_down", 1.0),
        (0.0, "put", "typed", "k2", 3),
        (0.0, "put", "typed", "k2", 5),
        (0.1, "truncate"),
        (10.0, "end_sessions"),
        (2.0, "resync_all"),
        (20.0, "kill", 1, 50.0),
        (1.0, "kill", 2, 50.0),
        (30.0, "put", "typed", "k1", 3),
        setup=replace(SETUP, instances=3, stops_on_loss=True),
    ),
    "another server": plan(
        (30.0, "kill", 0, 20.0),
        (0.0, "put", "typed", "k2", 9),
        (1.0, "begin_anew"),
        (30.0, "put", "typed", "k1", 3),
    ),
    "a drop that is taken back": plan(
        (0.0, "stall", 8.0),
        (0.0, "drop", "typed"),
        (3.0, "fail_over", 0.0),
        (30.0, "put", "twin", "k1", 3),
    ),
    "a collection is replaced": plan((3.0, "out", "typed", tuple((f"k{number}", number) for number in range(1, 5)))),
    "an update that waits for its transaction, and a rename": plan(
        (3.0, "update", "typed", "k2", 9),
        (0.0, "rename", "typed", "twin"),
        setup=replace(SETUP, abilities=Abilities(groups_inserts=True), batch_events=1),
    ),
    "a server that repeats tokens": plan(
        (20.0, "put", "typed", "k1", 3),
        (20.0, "delete", "typed", "k1"),
        setup=replace(SETUP, abilities=Abilities(repeats_tokens=True)),
    ),
}


def violations(of: str, seeds: int = SEEDS) -> Iterator[str]:
    """What the seeds of a plan break, one after the other."""
    outcomes = (run(replace(PLANS[of], seed=seed)) for seed in range(seeds))
    return (outcome.violation for outcome in outcomes if outcome.violation is not None)


def assert_found(told: str, *, in_plan: str) -> None:
    found = set()
    for each in violations(in_plan):
        if told in each:
            return
        found.add(each)
    pytest.fail(f"not found in {SEEDS} seeds, but {found}")


@pytest.mark.parametrize("name", PLANS)
def test_the_whole_service_holds(name: str) -> None:
    assert list(violations(name, some(SEEDS))) == []


def test_a_sweep_that_takes_who_wrote_a_row_as_evidence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resync does not write what has not changed: everything then counts as gone."""
    monkeypatch.setattr(Reads, "existing", lambda *_, **__: set())
    assert_found("a row has gone whose document is what it was", in_plan="a resync of what lives")


def test_a_sweep_that_spares_the_rows_of_missed_deletes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reads, "existing", lambda _, __, keys, **___: set(keys))
    assert_found("a row is unexpected", in_plan="a delete that is missed")


def test_a_sweep_by_what_exists_now_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    existing_at = Reads.existing

    def existing_now(self: Reads, collection: str, keys: list[str], **options: Any) -> set[str]:
        self._converge, converge = lambda _: None, self._converge
        try:
            return existing_at(self, collection, keys, **{**options, "at": None})
        finally:
            self._converge = converge

    monkeypatch.setattr(Reads, "existing", existing_now)
    assert_found("typed", in_plan="a queue's tail goes during a resync")


def test_a_chunk_that_is_read_now_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = Readers._fill

    def fill_now(self: Readers, source: Any, chunk: Chunk) -> None:
        fill(self, source, chunk)
        chunk.ahead = None

    monkeypatch.setattr(Readers, "_fill", fill_now)
    monkeypatch.setattr(Snapshots, "_time_to_read", lambda *_: None)
    assert_found("typed", in_plan="many writes during the first load")


def test_a_chunk_that_is_written_over_what_the_stream_has_brought_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Snapshot, "note", lambda *_: None)
    assert_found("typed", in_plan="writes during the first load")


def test_a_document_that_counts_as_new_although_the_stream_has_written_it_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    note = Snapshot.note

    def note_for_chunks_alone(self: Snapshot, keys: Any) -> None:
        self.written, written = None, self.written
        note(self, keys)
        self.written = written

    monkeypatch.setattr(Snapshot, "note", note_for_chunks_alone)
    assert_found("has rows already", in_plan="many writes during the first load")


def test_a_range_whose_last_document_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order = ModelSource.in_order

    def without_the_last(self: ModelSource, name: str, after: bytes | None, **options: Any) -> Any:
        upto = options.pop("upto")
        cursor = in_order(self, name, after, upto=upto, **options)
        part, key = cursor._part, None if upto is None else _order_of(upto)
        cursor._part = lambda seen: [each for each in part(seen) if each.key != key]
        cursor._seen = []
        cursor._next = cursor._fetch()
        return cursor

    monkeypatch.setattr(ModelSource, "in_order", without_the_last)
    assert_found("a row is missing", in_plan="several ranges")


def test_an_instance_that_remembers_an_earlier_term_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It saw the loss, and waits for a word that another instance has had."""
    lead, decide = Service._lead, Service._decide
    remembering: set[Service] = set()

    def remembering_decide(self: Service, doors: Any, stopping: Any) -> None:
        remembering.add(self)
        decide(self, doors, stopping)
        remembering.discard(self)

    def remembering_lead(self: Service, doors: Any, checkpoint: Any, stopping: Any) -> None:
        if self in remembering:
            self._decide(doors, stopping)
        lead(self, doors, checkpoint, stopping)

    monkeypatch.setattr(Service, "_decide", remembering_decide)
    monkeypatch.setattr(Service, "_lead", remembering_lead)
    assert_found("the service does not get done", in_plan="lost history, answered by another instance")


def test_a_position_without_the_identity_of_its_history_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_source, "require_same_history", lambda *_: None)
    monkeypatch.setattr(mongo_source, "require_same_collections", lambda *_: None)
    monkeypatch.setattr(Marks, "at", lambda *_: None)
    assert_found("typed", in_plan="another server")


def test_a_beginning_from_what_may_be_taken_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_source.ModelSource, "settled", mongo_source.ModelSource.operation_time)
    assert_found("typed", in_plan="a drop that is taken back")


def test_a_replacement_that_is_emptied_first_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Planner._rename

    def emptying_rename(self: Planner, name: str, target: str | None, *rest: Any) -> Iterator[Any]:
        held = self.collections.get(target) if target is not None else None
        if held is not None and held.is_streamed:
            yield EmptyTables(held.name, held.tables)
        yield from rename(self, name, target, *rest)

    monkeypatch.setattr(Planner, "_rename", emptying_rename)
    assert_found("a row has gone whose document is what it was", in_plan="a collection is replaced")


def test_rows_that_move_while_a_part_is_ahead_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Planner.batch

    def forgetful_batch(self: Planner, events: Any) -> Iterator[Any]:
        self._parted_time = 1 << 63
        yield from batch(self, events)

    monkeypatch.setattr(Planner, "batch", forgetful_batch)
    assert_found("twin: a row is missing", in_plan="an update that waits for its transaction, and a rename")


def test_tokens_that_go_back_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_stream, "require_forward", lambda *_: None)
    assert_found("the token went back", in_plan="a server that repeats tokens")
