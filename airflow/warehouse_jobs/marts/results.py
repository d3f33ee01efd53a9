"""What a load did, what a diff found, and which rows were valid at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from replicator_service.core.words import counted

if TYPE_CHECKING:
    from datetime import datetime


class ChangeKind(StrEnum):
    """What happens to a key: it begins or returns, gets a new version, ends, or is replaced in place."""

    INSERTED = "inserted"
    VERSIONED = "versioned"
    CLOSED = "closed"
    OVERWRITTEN = "overwritten"


class Mode(StrEnum):
    """Which keys a load computes: all, those that have changed, or all to prove that the others had not."""

    FULL = "full"
    INCREMENTAL = "incremental"
    PROOF = "proof"


class CheckOutcome(StrEnum):
    """What became of a check. Only a failed one keeps a load from being published."""

    PASSED = "passed"
    WARNED = "warned"
    ACCEPTED = "accepted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One data check. ``failing`` counts rows, or is 1 for a check of the whole mart; ``detail`` says it in words."""

    name: str
    outcome: CheckOutcome
    failing: int
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the load may be published as far as this check is concerned."""
        return self.outcome is not CheckOutcome.FAILED

    @property
    def told(self) -> str:
        """The check with what it found."""
        return f"{self.name}: {self.detail or counted(self.failing, 'row')}"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A load in numbers of keys. ``rows`` is the size of the mart after it.

    ``already_loaded`` is true when this ``as_of`` had been loaded before, or a load that nobody gave a time was
    overtaken by another: nothing was done, and ``as_of`` is that of the last load. ``source_time`` is the time at
    MongoDB that the replicated tables showed, None where nobody says it. ``warnings`` is what may keep figures from
    being right. ``computed`` counts the keys that were computed on their own, None where there were only all of them;
    ``reason`` says why a load was full that might not have been.
    """

    mart: str
    as_of: datetime
    rows: int
    inserted: int
    versioned: int
    closed: int
    overwritten: int
    unchanged: int
    checks: tuple[CheckResult, ...]
    seconds: float
    already_loaded: bool = False
    source_time: datetime | None = None
    warnings: tuple[str, ...] = ()
    mode: Mode = Mode.FULL
    reason: str = ""
    computed: int | None = None

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def changed(self) -> int:
        """The number of keys that the load touched."""
        return self.inserted + self.versioned + self.closed + self.overwritten


@dataclass(frozen=True, slots=True)
class Change:
    """One key that a load would touch; ``columns`` holds (name, value now, value then) where they differ."""

    kind: ChangeKind
    key: tuple[object, ...]
    columns: tuple[tuple[str, object, object], ...]


@dataclass(frozen=True, slots=True)
class DiffResult:
    """What a load would do, without doing it: its numbers, and the first changes in the order of the key.

    Values that Python cannot hold (a time in the year 20000) are texts.
    """

    summary: LoadResult
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class ValidRows:
    """The versions valid at one time, in the order of the key; the last two columns are their validity.

    ``total`` counts all of them, ``rows`` are the first. Times that Python cannot hold are texts.
    """

    mart: str
    at: datetime
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What taking back the load of ``as_of`` did, in numbers of versions; ``last`` is the load before, if any."""

    mart: str
    as_of: datetime
    removed: int
    reopened: int
    restored: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class MartStatus:
    """The last load of a mart, as ``mart.load_run`` has it."""

    mart: str
    as_of: datetime
    loaded_at: datetime
    seconds: float
    source_time: datetime | None
    rows: int
    inserted: int
    versioned: int
    closed: int
    overwritten: int
    unchanged: int
    checks: int | None
    warnings: tuple[str, ...]
    accepted: tuple[str, ...]
    mode: str | None = None
    reason: str | None = None
    computed: int | None = None


@dataclass(frozen=True, slots=True)
class InstallResult:
    """Whether the database's ``search_path`` has the mart schema, and if not, what a person has to do."""

    search_path: str
    changed: bool
    warning: str = ""
