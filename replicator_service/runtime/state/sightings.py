"""When MongoDB was seen at which of its times: whoever has reached one of them is no later than that sighting."""

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
    """Remembers sightings until they are passed. Belongs to whoever holds the lock around it."""

    def __init__(self) -> None:
        self._sightings: deque[Passed] = deque()

    def add(self, time: int, now: float) -> None:
        """MongoDB was seen at this time."""
        if self._sightings and self._sightings[-1].time == time:
            self._sightings.pop()
        self._sightings.append(Passed(time, now))
        if len(self._sightings) > _MOST:
            # A position that stands still for long is looked for in minutes, not in seconds.
            self._sightings = deque(sighting for number, sighting in enumerate(self._sightings) if number % 2 == 0)

    def passed(self, cluster_time: int | None) -> Passed | None:
        """The latest sighting of a time that ``cluster_time`` has reached."""
        if cluster_time is None:
            return None
        while len(self._sightings) > 1 and self._sightings[1].time <= cluster_time:
            self._sightings.popleft()
        return self._sightings[0] if self._sightings and self._sightings[0].time <= cluster_time else None
