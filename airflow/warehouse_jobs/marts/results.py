"""What a load did, what a diff found, and which rows were valid at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class ChangeKind(StrEnum):
    """What happens to a key: it begins or returns, gets a new version, ends, or is replaced in place."""

    INSERTED = "inserted"
    VERSIONED = "versioned"
    CLOSED = "closed"
    OVERWRITTEN = "overwritten"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One data check on the staged rows. ``failing`` counts rows, or is 1 for a check of the whole mart."""

    name: str
    passed: bool
    failing: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A load in numbers of keys. ``rows`` is the size of the mart after it.

    ``already_loaded`` is true when this ``as_of`` had been loaded before, and nothing was done.
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
    """What a load would do, without doing it: its numbers, and the first changes in the order of the key."""

    summary: LoadResult
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class ValidRows:
    """The versions valid at one time, in the order of the key; the last two columns are their validity."""

    mart: str
    at: datetime
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class InstallResult:
    """Whether the database's ``search_path`` has the mart schema, and if not, what a person has to do."""

    search_path: str
    changed: bool
    warning: str = ""
