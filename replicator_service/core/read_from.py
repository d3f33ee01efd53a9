"""Which members of a replica set documents and changes are read from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ReadFrom(StrEnum):
    """``address``: what ``readPreference`` in the address says, without one the primary. Tags are the address's."""

    ADDRESS = "address"
    PRIMARY = "primary"
    SECONDARY = "secondary"


@dataclass(frozen=True, slots=True)
class Reading:
    """Where reads go at present.

    ``spares_primary``: a secondary is wanted. ``member`` is the host and port that is read from, None for the primary.
    ``reason`` says why the primary was read instead the last time.
    """

    spares_primary: bool = False
    member: str | None = None
    reason: str | None = None


class ReadingObserver(Protocol):
    """Hears where reads go, whenever that changes; ``fell_back``: to the primary, against the preference."""

    def __call__(self, reading: Reading, *, fell_back: bool) -> None:
        """Hear of it; called from any thread, and may not block."""
        ...


def ignore_reading(reading: Reading, *, fell_back: bool) -> None:
    """For those to whom it does not matter where reads go."""
