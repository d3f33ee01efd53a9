"""Batches end between cluster times, whatever the replies look like."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import bson
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from replicator_service.core.batching import Batch, Batching, StreamReply
from replicator_service.core.events import event_time
from replicator_service.core.position import Position
from replicator_service.core.replies import Reply

START = Position({"_data": "start"}, 1 << 32)


@dataclass(frozen=True)
class Script:
    """Groups of events that share a cluster time, and where the server cut its replies."""

    groups: list[tuple[str, int]]
    cuts: list[int]
    max_events: int


def scripts() -> st.SearchStrategy[Script]:
    groups = st.lists(
        st.one_of(
            st.tuples(st.just("transaction"), st.integers(1, 9)),
            st.tuples(st.sampled_from(["insert", "drop", "split"]), st.just(1)),
        ),
        max_size=12,
    )
    return st.builds(Script, groups, st.lists(st.integers(1, 5), min_size=1), st.integers(1, 6))


def events_of(script: Script) -> list[dict[str, object]]:
    """The events of a script: those of a split event are its fragments."""
    events: list[dict[str, object]] = []
    for number, (kind, size) in enumerate(script.groups):
        for part in range(size):
            event: dict[str, object] = {
                "_id": {"_data": f"{number}.{part}"},
                "operationType": "drop" if kind == "drop" else "insert",
                "clusterTime": Timestamp(2, number + 1),
                "ns": {"db": "d", "coll": "c"},
                "documentKey": {"_id": f"{number}.{part}"},
            }
            if kind == "transaction":
                event["txnNumber"] = 1
            if kind != "split":
                events.append(event)
                continue
            first = {key: event[key] for key in ("_id", "operationType", "clusterTime")}
            rest = {key: event[key] for key in ("ns", "documentKey")}
            events.append({**first, "splitEvent": {"fragment": 1, "of": 2}})
            events.append({"_id": {"_data": f"{number}.end"}, **rest, "splitEvent": {"fragment": 2, "of": 2}})
    return events


def answers_of(script: Script) -> list[StreamReply]:
    """What the server answers: events in replies of any size, and nothing at the end."""
    events, answers, time = events_of(script), [StreamReply(None, START)], START.cluster_time
    while events:
        size = script.cuts[len(answers) % len(script.cuts)]
        taken, events = events[:size], events[size:]
        time = max([time, *(event_time(event) for event in taken if "clusterTime" in event)])
        token = taken[-1]["_id"]
        assert isinstance(token, dict)
        answers.append(StreamReply(Reply(_array(taken)), Position(token, time)))
    return [*answers, StreamReply(None, Position({"_data": "end"}, 9 << 32))]


def _array(documents: list[dict[str, object]]) -> bytes:
    return bson.encode({str(index): document for index, document in enumerate(documents)})


def batches_of(script: Script) -> list[Batch]:
    batching = Batching(START, max_events=script.max_events, max_bytes=1 << 20, groups_inserts=False)
    batches = []
    for answer in answers_of(script):
        batching.add(answer)
        while (batch := batching.take()) is not None:
            batches.append(batch)
    assert not batching.is_open
    return batches


def _decoded(batch: Batch) -> list[dict[str, Any]]:
    """The events of a batch: those made here lack what the compiled path needs."""
    return [item.event for item in batch.items if isinstance(item.event, dict)]


@given(scripts())
def test_every_event_comes_out_once_and_in_order(script: Script) -> None:
    found = [event["documentKey"]["_id"] for batch in batches_of(script) for event in _decoded(batch)]
    expected = [f"{number}.{part}" for number, (_, size) in enumerate(script.groups) for part in range(size)]
    assert found == expected


@given(scripts())
def test_a_cluster_time_is_never_cut_by_a_commit(script: Script) -> None:
    committed: list[list[int]] = [[]]
    for batch in batches_of(script):
        committed[-1] += [event_time(item.event) for item in batch.items]
        if batch.position is not None:
            committed.append([])
    assert committed[-1] == []
    times = [time for batch in committed for time, _ in groupby(batch)]
    assert times == sorted(set(times))


@given(scripts())
def test_the_position_of_a_batch_is_at_or_after_its_events_and_never_goes_back(script: Script) -> None:
    before = START.cluster_time
    for batch in batches_of(script):
        assert all(event_time(item.event) <= batch.cluster_time for item in batch.items)
        if batch.position is not None:
            assert batch.position.cluster_time == batch.cluster_time >= before
            before = batch.position.cluster_time


@given(scripts())
def test_a_schema_change_is_a_batch_by_itself(script: Script) -> None:
    for batch in batches_of(script):
        kinds = [event["operationType"] for event in _decoded(batch)]
        assert "drop" not in kinds or len(kinds) == 1


@given(scripts())
def test_parts_are_only_made_of_a_cluster_time_that_is_too_large(script: Script) -> None:
    for batch in batches_of(script):
        if batch.position is None:
            assert len({event_time(item.event) for item in batch.items}) == 1
            assert len(batch.items) >= script.max_events
