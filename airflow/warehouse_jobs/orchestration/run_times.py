"""The times of a DAG run, from what every run has.

A run that was started by hand or by an asset has no logical date and no data interval, so nothing here needs them.
Every run has ``run_after``, which its retries share: what follows from it is the same at every attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from warehouse_jobs.generator.parameters import LIFE_SIZE, Interval
from warehouse_jobs.orchestration.errors import FormError

_QUARTER = timedelta(seconds=LIFE_SIZE)
_ON_A_SCHEDULE = ("scheduled", "backfill")


class DagRun(Protocol):
    """What is read of Airflow's run. Its ``run_type`` is an enumeration that equals its values, unlike its ``str``."""

    run_type: str
    run_after: datetime
    data_interval_start: datetime | None
    data_interval_end: datetime | None


@dataclass(frozen=True, slots=True)
class RunTimes:
    """The times of one run. ``interval`` is that of a scheduled run, none of any other."""

    run_after: datetime
    interval: Interval | None = None

    @classmethod
    def of(cls, run: DagRun) -> RunTimes:
        """Those of a run of Airflow."""
        start, end = run.data_interval_start, run.data_interval_end
        is_scheduled = run.run_type in _ON_A_SCHEDULE
        if not is_scheduled or start is None or end is None or start >= end:
            return cls(run.run_after)
        return cls(run.run_after, Interval(start, end))

    def history(self, days: int) -> Interval:
        """What the run writes: a scheduled one its own interval, any other the ``days`` before it.

        The latter ends at a full quarter of an hour, the grain of the generator.
        """
        if self.interval is not None:
            return self.interval
        passed = (self.run_after - datetime.fromtimestamp(0, UTC)) % _QUARTER
        end = self.run_after - passed
        return Interval(end - timedelta(days=days), end)


def time_of(wanted: str | None) -> datetime | None:
    """A time of a trigger form, in UTC where it has no offset; None where there is none.

    Raises :class:`FormError`.
    """
    if not wanted:
        return None
    try:
        time = datetime.fromisoformat(wanted)
    except ValueError:
        raise FormError(f"{wanted!r} is not a time", hint="Write it as 2026-01-31T00:00:00+00:00.") from None
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)
