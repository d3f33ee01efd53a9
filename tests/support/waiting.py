"""Waiting for something with a bound, instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_INTERVAL_SECONDS = 0.01


def wait_until(
    predicate: Callable[[], T], *, timeout: float = 30.0, message: str | Callable[[], str] = "the condition"
) -> T:
    """Call `predicate` until it returns something true and return that; fail after `timeout` seconds.

    The bound says that something never comes, not how fast it is: a machine may have ten times as much to do.
    An exception of the predicate ends the wait at once. `message` says what was waited for, and may be a function
    when it should show the state at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            told = message if isinstance(message, str) else message()
            raise AssertionError(f"Waited {timeout} s in vain for {told} (last result: {result!r}).")
        time.sleep(_INTERVAL_SECONDS)
