"""How long a server may be silent: seconds at first, minutes when it needs them."""

from __future__ import annotations

from replicator_service.source.connect.deadline import LONGEST_SECONDS, Deadline


def test_each_deadline_that_passes_doubles_the_next_up_to_the_longest() -> None:
    deadline = Deadline(5)
    waited = [deadline.seconds]
    while deadline.passed():
        waited.append(deadline.seconds)
    assert waited == [5, 10, 20, 40, 80, 160, 320, LONGEST_SECONDS]
    assert not deadline.passed()


def test_an_answer_leaves_twice_what_it_took_and_never_less_than_the_floor() -> None:
    deadline = Deadline(5)
    for _ in range(4):
        deadline.passed()
    deadline.answered(30)
    assert deadline.seconds == 60
    deadline.answered(0.01)
    assert deadline.seconds == 5
