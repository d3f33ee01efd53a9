"""When MongoDB was seen at which of its times: whoever has reached one of them is no later than that look."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Passed:
    """MongoDB was at ``time`` when it was looked at ``at``, on the monotonic clock."""

    time: int
    at: float


class Sightings:
    """Remembers looks until they are passed. Belongs to whoever holds the lock around it."""

    def __init__(self) -> None:
        self._looks: deque[Passed] = deque()

    def add(self, time: int, now: float) -> None:
        """MongoDB was seen at this time."""
        if self._looks and self._looks[-1].time == time:
            self._looks.pop()
        self._looks.append(Passed(time, now))
        if len(self._looks) > _MOST:
            # A position that stands still for long is looked for in minutes, not in seconds.
            self._looks = deque(look for number, look in enumerate(self._looks) if number % 2 == 0)

    def passed(self, cluster_time: int | None) -> Passed | None:
        """The latest look at a time that ``cluster_time`` has reached."""
        if cluster_time is None:
            return None
        while len(self._looks) > 1 and self._looks[1].time <= cluster_time:
            self._looks.popleft()
        return self._looks[0] if self._looks and self._looks[0].time <= cluster_time else None
