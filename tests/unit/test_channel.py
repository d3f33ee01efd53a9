"""The bounded queue between two threads."""

from __future__ import annotations

import threading

import pytest

from replicator_service.core.errors import StopRequested
from replicator_service.pipeline.channel import Channel
from tests.support.waiting import wait_until


def test_whoever_waits_for_room_still_turns() -> None:
    """A stream that is held, or a slow statement, must not look like a stuck thread."""
    ticks: list[str] = []
    channel: Channel[int] = Channel(1, threading.Condition(), tick=lambda: ticks.append("turned"), tick_seconds=0.01)
    channel.put(1)
    waiting = threading.Thread(target=channel.put, args=(2,))
    waiting.start()
    wait_until(lambda: len(ticks) > 3, message="the waiting thread to turn")
    assert channel.get() == 1
    waiting.join(5)
    assert channel.get() == 2


def test_an_item_too_heavy_for_the_channel_passes_alone() -> None:
    channel: Channel[str] = Channel(10, threading.Condition())
    channel.put("heavy", 1_000)
    assert channel.get() == "heavy"


def test_what_waits_can_be_taken_after_the_channel_was_closed() -> None:
    channel: Channel[int] = Channel(10, threading.Condition())
    channel.put(1)
    channel.close()
    assert channel.get() == 1
    with pytest.raises(StopRequested):
        channel.get()
    with pytest.raises(StopRequested):
        channel.put(2)


def test_the_error_that_closed_it_reaches_the_other_side() -> None:
    channel: Channel[int] = Channel(10, threading.Condition())
    channel.close(ValueError("first"))
    channel.close(ValueError("second"))
    with pytest.raises(ValueError, match="first"):
        channel.get()


def test_getting_gives_up_after_the_timeout() -> None:
    assert Channel[int](1, threading.Condition()).get(timeout=0.01) is None
