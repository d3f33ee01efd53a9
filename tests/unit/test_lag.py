"""Lag: nothing while nothing waits, the truth while something does, and never nothing while nothing moves."""

from __future__ import annotations

import pytest

from replicator_service.core.errors import SinkUnavailable
from tests.support.health import Surroundings, at_second


@pytest.fixture
def around() -> Surroundings:
    surroundings = Surroundings()
    surroundings.lead()
    return surroundings


def test_an_idle_stream_has_no_lag_although_mongodb_moves_its_time_every_ten_seconds(around: Surroundings) -> None:
    operation = 100
    for second in range(60):
        around.now += 1
        if second % 10 == 9:
            operation += 10
        around.answer(operation - 10, has_events=False)
        around.see_source(operation)
        assert around.service.lag_seconds == 0, second
        if second % 10 == 0:
            around.commit(operation)


def test_a_standby_shows_no_lag_for_that_either(around: Surroundings) -> None:
    around.see_source(100)
    around.health.standing_by(cluster_time=at_second(100))
    around.now += 1
    around.see_source(110)
    assert around.service.lag_seconds == 0
    around.now += 1
    around.health.standing_by(cluster_time=at_second(110))
    around.see_source(110)
    assert around.service.lag_seconds == 0


def test_catching_up_shows_how_far_the_checkpoint_is_behind() -> None:
    around = Surroundings()
    around.lead(checkpoint=100, operation=7_300)
    around.answer(200, has_events=True)
    assert around.service.lag_seconds == 7_200
    around.commit(4_000)
    assert around.service.lag_seconds == 3_300


def test_what_the_stream_has_brought_and_nobody_has_written_counts_from_then(around: Surroundings) -> None:
    around.answer(100, has_events=False)
    around.now += 1
    around.answer(150, has_events=True)
    for _ in range(30):
        around.now += 1
        around.answer(150, has_events=False)
        around.see_source(150)
    assert around.service.lag_seconds == 31
    around.commit(150)
    assert around.service.lag_seconds == 0


def test_a_stream_that_brings_nothing_does_not_read_as_no_lag(around: Surroundings) -> None:
    around.answer(100, has_events=False)
    for second in range(30):
        around.now += 1
        around.see_source(100 + second)
    lag = around.service.lag_seconds
    assert lag is not None
    assert lag >= 25


def test_lag_grows_while_a_server_is_waited_for_also_when_nothing_happens(around: Surroundings) -> None:
    around.health.waits(SinkUnavailable("PostgreSQL is away"))
    for _ in range(9):
        around.now += 1
        around.see_source(100)
    assert around.service.lag_seconds == 9
