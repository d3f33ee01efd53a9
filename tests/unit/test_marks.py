"""The oplog's entry at the position: stored, and looked at again before the next one is believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from replicator_service.core.errors import ConfigurationError, SourceUnavailable
from replicator_service.core.ports import HistoryMark
from replicator_service.core.position import Position
from replicator_service.pipeline.marks import Marks

if TYPE_CHECKING:
    from replicator_service.core.ports import Source


@dataclass
class Oplog:
    """Entries by cluster time."""

    marks: dict[int, HistoryMark] = field(default_factory=dict)
    is_readable: bool = True

    def write(self, time: int, *, wall: int = 0) -> HistoryMark:
        self.marks[time] = HistoryMark(time, 1, wall)
        return self.marks[time]

    def history_mark(self, time: int) -> HistoryMark | None:
        if not self.is_readable:
            raise ConfigurationError("not allowed")
        return self.marks.get(time)

    def operation_time(self) -> int:
        return max(self.marks)

    def oldest_time(self) -> int | None:
        return min(self.marks, default=None)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def oplog() -> Oplog:
    return Oplog()


def entry(time: int, *, token: int | None = None) -> Position:
    """A position at this time, of whose entry the token is unless it names a later time."""
    return Position({"_data": f"82{time if token is None else token:016x}04"}, time)


def marks_of(oplog: Oplog, known: HistoryMark | None = None, clock: Clock | None = None) -> Marks:
    return Marks(cast("Source", oplog), known, clock or Clock())


def test_the_entry_at_the_position_is_stored_once_a_second(oplog: Oplog) -> None:
    first, second = oplog.write(1), oplog.write(2)
    clock = Clock()
    marks = marks_of(oplog, clock=clock)
    assert marks.at(entry(1)) == first
    assert marks.at(entry(2)) is None
    clock.now = 1.0
    assert marks.at(entry(2)) == second


def test_an_entry_of_another_history_is_not_stored(oplog: Oplog) -> None:
    known = HistoryMark(1, 1, 7)
    oplog.write(1, wall=8)
    oplog.write(2)
    with pytest.raises(SourceUnavailable):
        marks_of(oplog, known).at(entry(2))


def test_a_history_without_the_known_entry_is_another_one(oplog: Oplog) -> None:
    oplog.write(1)
    oplog.write(3)
    with pytest.raises(SourceUnavailable):
        marks_of(oplog, HistoryMark(2, 1, 0)).at(entry(3))


def test_a_known_entry_that_has_left_the_oplog_proves_nothing(oplog: Oplog) -> None:
    latest = oplog.write(3)
    assert marks_of(oplog, HistoryMark(2, 1, 0)).at(entry(3)) == latest


def test_a_server_that_takes_over_before_the_first_commit_is_another_history(oplog: Oplog) -> None:
    oplog.write(1)
    marks = marks_of(oplog)
    marks.begin_anew()
    oplog.write(1, wall=7)
    with pytest.raises(SourceUnavailable):
        marks.at(entry(1))


def test_a_position_that_the_oplog_reaches_back_to_is_an_entry(oplog: Oplog) -> None:
    oplog.write(1)
    oplog.write(3)
    with pytest.raises(SourceUnavailable):
        marks_of(oplog).at(entry(2))


def test_a_position_before_the_first_entry_of_a_stream_need_not_be_one(oplog: Oplog) -> None:
    latest = oplog.write(1)
    oplog.write(3)
    assert marks_of(oplog, latest).at(entry(2, token=3)) == latest


def test_what_has_left_the_oplog_is_stored_with_the_first_commit(oplog: Oplog) -> None:
    """So a backup that is restored before the second one is recognised by it."""
    first = oplog.write(2)
    marks = marks_of(oplog)
    marks.begin_anew()
    oplog.marks.clear()
    oplog.write(5)
    assert marks.at(entry(2)) == first


def test_a_stream_that_begins_anew_has_nothing_to_do_with_what_was_known(oplog: Oplog) -> None:
    first = oplog.write(2)
    marks = marks_of(oplog, HistoryMark(2, 1, 9))
    marks.begin_anew()
    assert marks.at(entry(2)) == first


def test_without_the_privilege_nothing_is_stored(oplog: Oplog) -> None:
    oplog.is_readable = False
    clock = Clock()
    marks = marks_of(oplog, HistoryMark(2, 1, 0), clock)
    assert marks.at(entry(3)) is None
    oplog.is_readable = True
    clock.now = 5.0
    assert marks.at(entry(3)) is None
