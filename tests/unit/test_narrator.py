"""The story in the log: a line for each change of state, and one now and then that sums up."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from replicator_service.core.errors import Fatal
from replicator_service.runtime.health import State
from replicator_service.runtime.logging import make_logger
from replicator_service.runtime.narrator import Narrator
from tests.support.health import Surroundings


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def narrator(around: Surroundings, stream: io.StringIO) -> Narrator:
    return Narrator(around.watch.present, around.metrics, make_logger(stream=stream), summary_seconds=60)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_nothing_is_told_while_nothing_happens(around: Surroundings, narrator: Narrator, stream: io.StringIO) -> None:
    narrator.look()
    around.now += 59
    narrator.look()
    assert lines(stream) == []


def test_a_change_of_state_is_told_once(around: Surroundings, narrator: Narrator, stream: io.StringIO) -> None:
    around.lead()
    narrator.look()
    narrator.look()
    (line,) = lines(stream)
    assert (line["event"], line["before"], line["state"]) == ("state changed", "starting", "streaming")


def test_a_failure_is_told_with_its_cause_and_hint(
    around: Surroundings, narrator: Narrator, stream: io.StringIO
) -> None:
    around.health.entered(State.FAILED, Fatal("broken", hint="Mend it."))
    narrator.look()
    (line,) = lines(stream)
    assert (line["cause"], line["hint"]) == ("broken", "Mend it.")


def test_a_summary_counts_what_came_since_the_last_one(
    around: Surroundings, narrator: Narrator, stream: io.StringIO
) -> None:
    around.commit(events={("a", "insert"): 3}, rows=4)
    around.now += 60
    narrator.look()
    around.commit(events={("a", "insert"): 5}, rows=5)
    around.now += 61
    narrator.look()
    assert [(line["events"], line["rows"], line["seconds"]) for line in lines(stream)] == [(3, 4, 60), (5, 5, 61)]
