"""What a webhook is told: each cause once, its end once, and nothing more than once a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from replicator_service.core.errors import Fatal, ResyncRequired, SourceUnavailable
from replicator_service.core.overview import DatabaseView, FindingGroup, LastReconciliation, MartView
from replicator_service.core.schema_findings import FindingKind
from replicator_service.runtime.webhook.messages import FIELDS, Announcer, Event, Message, document
from tests.support.health import Surroundings

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
YEARS = 10**9
HOUR = 3_600
AWAY = SourceUnavailable("nobody answers", hint="look at the line")


class World:
    """A leader, its clock, and whoever tells of it."""

    def __init__(self) -> None:
        self.around = Surroundings()
        self.began = self.around.now
        self.announcer = Announcer(max_lag_seconds=300, wall_clock=self.wall)
        self.second = YEARS
        self.views: dict[str, object] = {}
        self.around.lead(checkpoint=YEARS, operation=YEARS, oldest=YEARS - 48 * HOUR)

    def wall(self) -> datetime:
        return NOW + timedelta(seconds=self.around.now - self.began)

    def see(self, **values: object) -> None:
        self.views = values

    def causes(self, after: float = 0.0) -> list[tuple[Event, str]]:
        return [(each.event, each.cause) for each in self.messages(after)]

    def messages(self, after: float = 0.0) -> list[Message]:
        self.around.now += after
        self.second += int(after)
        for part in ("stream-reader", "planner", "writer"):
            self.around.health.ticked(part)
        self.around.see_source(self.second, YEARS - 48 * HOUR)
        if self.around.service.is_leader:
            self.around.commit(self.second)
        self.around.see_database(DatabaseView(is_installed=True, **self.views))  # type: ignore[arg-type]  # fields by name
        return self.announcer.messages(self.around.service)


@pytest.fixture
def world() -> World:
    return World()


def dead_letters(count: int) -> dict[str, object]:
    return {"dead_letters": count}


def mart_of(age: timedelta) -> MartView:
    return MartView("user_activity", NOW - age, NOW - age, 1.0, 5, 0, 0, 0, 0)


def test_nothing_is_told_of_a_service_that_is_well(world: World) -> None:
    assert [world.causes(after) for after in (0, 1, 60, 600)] == [[]] * 4


def test_a_cause_is_told_when_it_begins_and_when_it_is_over(world: World) -> None:
    world.see(**dead_letters(3))
    assert world.causes() == [(Event.RAISED, "dead_letters")]
    assert world.causes(1) == []
    world.see()
    assert world.causes(100) == [(Event.RESOLVED, "dead_letters")]
    assert world.causes(100) == []


def test_a_cause_that_comes_and_goes_is_told_once_a_minute_and_ends_with_how_it_is(world: World) -> None:
    told = []
    for second in range(121):
        world.see(**dead_letters(second % 2))
        told += [(second, message) for message in world.causes(1)]
    events = [event for _, (event, _) in told]
    assert events == [Event.RAISED, Event.RESOLVED, Event.RAISED][: len(events)]
    seconds = [second for second, _ in told]
    assert len(seconds) >= 2
    assert all(later - earlier >= 60 for earlier, later in pairwise(seconds))


def test_words_that_change_are_told_once_an_hour(world: World) -> None:
    world.see(**dead_letters(1))
    world.causes()
    world.see(**dead_letters(2))
    assert world.causes(120) == []
    assert world.causes(HOUR) == [(Event.UPDATED, "dead_letters")]


def test_what_becomes_more_severe_is_told_without_waiting_for_an_hour(world: World) -> None:
    # History for half an hour is short; for five minutes, critical.
    for before, left, told in ((1, 1_800, Event.RAISED), (120, 300, Event.UPDATED)):
        world.around.now += before
        for part in ("stream-reader", "planner", "writer"):
            world.around.health.ticked(part)
        world.around.see_source(world.second, world.second - left)
        world.around.see_database(DatabaseView(is_installed=True))
        found = world.announcer.messages(world.around.service)
        assert [(each.event, each.cause) for each in found] == [(told, "headroom")]


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        ({"finding_groups": (FindingGroup("things", FindingKind.MISFIT, 2, 5),)}, "schema"),
        ({"marts": (mart_of(timedelta(days=2)),)}, "marts"),
        ({"last_reconciliation": LastReconciliation(NOW, 4, 1)}, "differences"),
        ({"dead_letters": 1}, "dead_letters"),
    ],
)
def test_everything_that_a_person_should_look_at_is_told(world: World, view: dict[str, object], cause: str) -> None:
    world.see(**view)
    assert world.causes() == [(Event.RAISED, cause)]


def test_waiting_is_told_with_its_reason_and_so_is_its_end(world: World) -> None:
    world.causes()
    world.around.health.waits(AWAY)
    (message,) = world.announcer.messages(world.around.service)
    assert (message.event, message.cause) == (Event.RAISED, "waiting")
    assert "Nobody answers" in message.notice.message
    world.around.lead(checkpoint=YEARS, operation=YEARS)
    world.around.commit(YEARS)
    world.around.now += 10
    world.around.lead(checkpoint=YEARS, operation=YEARS)
    world.around.commit(YEARS)
    (message,) = world.messages()
    assert (message.event, message.cause) == (Event.RESOLVED, "streaming")
    assert "of waiting" in message.notice.message


def test_lost_history_and_a_failure_are_told_as_what_they_are(world: World) -> None:
    world.causes()
    world.around.health.resync_required(ResyncRequired("history is gone"))
    (message,) = world.announcer.messages(world.around.service)
    assert (message.cause, message.notice.command) == ("resync_required", "replicator resync --all")
    world.around.health.failed(Fatal("the disk is on fire", hint="put it out"))
    told = [(each.cause, each.notice.hint) for each in world.announcer.messages(world.around.service)]
    assert ("failed", "put it out") in told


def test_a_standby_does_not_repeat_what_the_leader_tells(world: World) -> None:
    world.see(**dead_letters(3))
    world.around.health.standing_by(cluster_time=None)
    assert [cause for _, cause in world.causes()] == ["no_leader"]


def test_an_outage_does_not_tell_everything_again(world: World) -> None:
    world.see(**dead_letters(3))
    assert world.causes() == [(Event.RAISED, "dead_letters")]
    world.around.health.waits(AWAY)
    world.around.now += 100
    assert [each.cause for each in world.announcer.messages(world.around.service)][:1] == ["waiting"]
    world.around.lead(checkpoint=YEARS, operation=YEARS)
    assert (Event.RAISED, "dead_letters") not in world.causes(100)


def test_the_json_has_every_field_and_a_line_for_chat_programs(world: World) -> None:
    world.see(**dead_letters(3))
    (message,) = world.messages()
    found = document(message, identity="1", stream="shop", instance="host:1", state="streaming")
    assert list(found) == list(FIELDS)
    assert found["severity"] == "warning"
    assert found["command"] == "replicator dead-letters list"
    assert found["text"].startswith("[warning] replicator of shop: 3 documents could not be written")
