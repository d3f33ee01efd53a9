"""What was measured: rows with a value of each round, and the bounds that some of them have."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a row must and should reach; ``at_most`` says that small is good."""

    must: float
    goal: float
    at_most: bool = False

    def word(self, value: float) -> str:
        """The verdict."""
        if self._holds(value, self.goal):
            return "goal met"
        return "must met" if self._holds(value, self.must) else "not met"

    def _holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the service took: from when it led, and from the start of its process.

    Processor times are those between the two ends of ``seconds``. ``path`` is what made the rows: compiled or Python.
    """

    seconds: float
    seconds_from_start: float
    service_cpu: float
    mongod_cpu: float
    postgres_cpu: float
    peak_bytes: int
    path: str = ""


@dataclass(slots=True)
class Row:
    """One row: its value in each round; of a rate of the service also the microseconds of each process."""

    section: str
    name: str
    unit: str
    bounds: Bounds | None = None
    note: str = ""
    values: list[float] = field(default_factory=list)
    costs: list[tuple[float, float, float]] = field(default_factory=list)
    """Of the service, mongod and PostgreSQL, for each event or document."""

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest."""
        return min(self.values), max(self.values)

    @property
    def cost(self) -> tuple[float, ...]:
        """The medians of the microseconds, of nothing where they are not known."""
        return tuple(median(each) for each in zip(*self.costs, strict=True))

    @property
    def verdict(self) -> str:
        """Whether the median meets the bounds; nothing without any."""
        return self.bounds.word(self.value) if self.bounds is not None else ""


class Results:
    """All rows, in the order in which they were first added."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        self.left_out: list[str] = []
        """What was not measured, and why."""

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def add(self, section: str, name: str, value: float, unit: str = "", bounds: Bounds | None = None) -> Row:
        """Add the value of one round."""
        row = self._rows.setdefault((section, name), Row(section, name, unit, bounds))
        row.values.append(value)
        return row

    def rate(self, section: str, name: str, number: int, run: Run, unit: str = "events/s") -> float:
        """Add a rate of the service, with what each process spent on each of ``number`` events. Returns the rate."""
        rate = number / run.seconds
        row = self.add(section, name, rate, unit)
        row.note = run.path
        row.costs.append(
            tuple(each / number * 1e6 for each in (run.service_cpu, run.mongod_cpu, run.postgres_cpu))  # type: ignore[arg-type]  # there are three
        )
        return rate

    def memory(self, section: str, run: Run, bounds: Bounds | None = None) -> None:
        """Add the most memory that a run took."""
        self.add(section, "memory of the service at most", run.peak_bytes / MIB, "MiB", bounds)
