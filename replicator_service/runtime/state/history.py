"""The last quarter of an hour in memory, a sample a second: what the charts of the page are drawn from."""

from __future__ import annotations

import resource
import threading
from collections import deque
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from replicator_service.runtime.judgement.service_view import ServiceView
    from replicator_service.runtime.state.activity import Activity, Work

Json = dict[str, Any]
Number = int | float | None

SAMPLE_SECONDS = 1.0
SAMPLES = 900
_PAGES = Path("/proc/self/statm")
_MEMORY_PAGE = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. ``at`` counts seconds since the recording began; what was not known is None.

    Rates are means since the sample before; ``commit_ms`` is the slowest commit since then.
    """

    at: float
    lag_seconds: Number
    events_per_second: Number
    rows_per_second: Number
    commit_ms: Number
    dead_letters: Number
    memory_mib: Number


SERIES = tuple(field.name for field in fields(Sample))


class History:
    """A ring of samples with running numbers; ``began`` tells it from that of another process.

    Every method may be called by any thread.
    """

    def __init__(self, *, began: float = 0.0, size: int = SAMPLES) -> None:
        self._began = began
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=size)
        self._next = 0

    def add(self, sample: Sample) -> None:
        """Remember a sample; the oldest goes when the ring is full."""
        with self._lock:
            self._samples.append(sample)
            self._next += 1

    def since(self, number: int = 0) -> Json:
        """The samples from ``number`` on, as one list a series; ``next`` is what to ask from the next time.

        All samples when ``number`` lies in the future: whoever asks remembers another process.
        """
        with self._lock:
            oldest = self._next - len(self._samples)
            first = oldest if number > self._next else max(number, oldest)
            chosen = [self._samples[index] for index in range(first - oldest, len(self._samples))]
            return {
                "began": self._began,
                "seconds": SAMPLE_SECONDS * (self._samples.maxlen or 0),
                "first": first,
                "next": self._next,
                "series": {name: [getattr(sample, name) for sample in chosen] for name in SERIES},
            }


class Recorder:
    """Takes the samples in a thread of its own, until :meth:`stop`."""

    def __init__(
        self,
        service_view: Callable[[], ServiceView],
        activity: Activity,
        history: History,
        *,
        clock: Callable[[], float],
        memory: Callable[[], int | None],
    ) -> None:
        self._service_view = service_view
        self._activity = activity
        self._history = history
        self._clock = clock
        self._memory = memory
        self._began = clock()
        self._before: tuple[float, Work] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to take samples."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def sample(self) -> None:
        """Take one sample now."""
        now, work, service = self._clock(), self._activity.take(), self._service_view()
        events = rows = None
        if self._before is not None and now > self._before[0]:
            seconds, before = now - self._before[0], self._before[1]
            events = _short((work.events - before.events) / seconds)
            rows = _short((work.rows - before.rows) / seconds)
        self._before = now, work
        memory = self._memory()
        self._history.add(
            Sample(
                at=round(now - self._began, 1),
                lag_seconds=_short(service.lag_seconds),
                events_per_second=events,
                rows_per_second=rows,
                commit_ms=None if work.slowest_seconds is None else _short(work.slowest_seconds * 1_000),
                dead_letters=service.dead_letters,
                memory_mib=None if memory is None else round(memory / 2**20),
            )
        )

    def _run(self) -> None:
        while not self._stopping.wait(SAMPLE_SECONDS):
            self.sample()


def resident_bytes() -> int | None:
    """The memory that this process occupies, or None where the system does not tell (it is not Linux)."""
    try:
        return int(_PAGES.read_text(encoding="ascii").split()[1]) * _MEMORY_PAGE
    except (OSError, ValueError, IndexError):
        return None


def _short(value: float | None) -> Number:
    """As few digits as a chart can show."""
    if value is None:
        return None
    rounded = round(value, 1)
    return int(rounded) if rounded >= 100 or rounded == int(rounded) else rounded
